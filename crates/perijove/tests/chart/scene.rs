//! helm, the chart, and what comes out as objects.

use std::path::{Path, PathBuf};
use std::process::Command;

use perijove_testkit::skip;
use serde::Deserialize;
use serde_json::Value;

/// The repository.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// The chart.
pub fn chart() -> PathBuf {
    workspace().join("charts/perijove")
}

/// A program that `make tools-kube` builds, or one on the PATH; without it the test is skipped.
pub fn tool(test: &str, name: &str) -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let built = cache.and_then(|cache| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(cache.join("perijove/kube"))
            .ok()?
            .filter_map(|entry| Some(entry.ok()?.path().join(name)))
            .filter(|path| path.is_file())
            .collect();
        found.sort();
        found.pop()
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = built.or_else(|| std::env::split_paths(&path).map(|p| p.join(name)).find(|p| p.is_file()));
    if found.is_none() {
        skip(test, &format!("{name} is not there: make tools-kube"));
    }
    found
}

/// What a test renders with.
pub struct Scene {
    helm: PathBuf,
    folder: tempfile::TempDir,
}

impl Scene {
    /// With helm; without it `test` is skipped.
    pub fn new(test: &str) -> Option<Scene> {
        Some(Scene { helm: tool(test, "helm")?, folder: tempfile::tempdir().unwrap() })
    }

    /// helm, with nothing of this machine's settings and no way to a cluster.
    pub fn helm(&self) -> Command {
        let mut command = Command::new(&self.helm);
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("KUBECONFIG", self.folder.path().join("none"));
        command
    }

    /// A file with `text`, for `-f`.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `helm template` of release `hub` in namespace `jupyter`, with values and flags; else what it said.
    pub fn try_render(&self, values: &[&str], flags: &[&str]) -> Result<Vec<Value>, String> {
        let mut command = self.helm();
        command.args(["template", "hub"]).arg(chart()).args(["--namespace", "jupyter"]).args(flags);
        for (number, text) in values.iter().enumerate() {
            command.arg("-f").arg(self.file(&format!("values-{number}.yaml"), text));
        }
        let output = command.output().unwrap();
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        Ok(objects(&String::from_utf8(output.stdout).unwrap()))
    }

    /// The objects that values and flags give.
    pub fn render(&self, values: &[&str], flags: &[&str]) -> Vec<Value> {
        self.try_render(values, flags).unwrap_or_else(|said| panic!("{said}"))
    }
}

/// The objects of a stream of YAML.
pub fn objects(text: &str) -> Vec<Value> {
    let documents = serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap_or_else(|error| panic!("{error}:\n{text}")));
    documents.filter(|object| !object.is_null()).collect()
}

/// Those of one kind.
pub fn of_kind<'o>(objects: &'o [Value], kind: &str) -> Vec<&'o Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The label of what an object is for.
pub fn component(object: &Value) -> &str {
    object["metadata"]["labels"]["app.kubernetes.io/component"].as_str().unwrap_or("")
}

/// The DaemonSets of the hook, in the order in which Helm makes them.
pub fn hook_sets(objects: &[Value]) -> Vec<&Value> {
    let weight = |object: &&Value| {
        object["metadata"]["annotations"]["helm.sh/hook-weight"].as_str().unwrap().parse::<i64>().unwrap()
    };
    let mut sets: Vec<&Value> =
        of_kind(objects, "DaemonSet").into_iter().filter(|o| component(o) == "hook-image-puller").collect();
    sets.sort_by_key(weight);
    sets
}

/// The hook's Job.
pub fn hook_job(objects: &[Value]) -> &Value {
    let jobs = of_kind(objects, "Job");
    jobs.into_iter().find(|job| component(job) == "hook-image-awaiter").unwrap()
}

/// The pod of an object that makes pods.
pub fn pod(object: &Value) -> Option<&Value> {
    matches!(object["kind"].as_str(), Some("DaemonSet" | "Job")).then(|| &object["spec"]["template"]["spec"])
}

/// The conformance folder's deployments: name and values. Those that were made for it are in the repository.
pub fn deployments(test: &str) -> Vec<(String, String)> {
    let made = workspace().join("crates/prepull/tests/fixtures/values");
    let shared = std::env::var_os("PERIJOVE_SHARED")
        .map_or_else(|| workspace().join("../shared"), PathBuf::from)
        .join("conformance/values");
    let root = if shared.is_dir() {
        shared
    } else {
        skip(
            &format!("{test} (real deployments)"),
            "set PERIJOVE_SHARED to the folder with conformance/values",
        );
        made
    };
    let mut found: Vec<(String, String)> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path.join("values.yaml")).unwrap())
        })
        .collect();
    found.sort();
    assert!(found.len() >= 5);
    found
}
