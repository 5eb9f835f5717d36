//! A hub's administrator: the chart with a real helm, in a namespace that enforces the restricted Pod Security level.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use perijove_testkit::cluster::programs::{helm, kubectl};
use perijove_testkit::cluster::{Cluster, Namespace, PodSecurity};
use perijove_testkit::skip;
use serde_json::Value;

use super::own;

/// The chart.
pub fn chart() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/perijove")
}

/// A hub's values, and helm in its namespace.
pub struct Hub<'a> {
    pub cluster: &'a Cluster,
    pub namespace: Namespace<'a>,
    folder: tempfile::TempDir,
    /// Our own image.
    own: String,
}

impl<'a> Hub<'a> {
    /// In a namespace named after the test; `None` where it is skipped.
    pub fn new(test: &str, cluster: &'a Cluster) -> Option<Self> {
        if !helm().is_file() {
            skip(test, "helm is not built: make tools-kube");
            return None;
        }
        let own = own::image(test, cluster)?;
        Some(Hub {
            cluster,
            namespace: cluster.namespace(&test.replace('_', "-"), PodSecurity::Restricted),
            folder: tempfile::tempdir().unwrap(),
            own,
        })
    }

    /// With another image of our own.
    pub fn with_own(self, own: String) -> Self {
        Hub { own, ..self }
    }

    /// A program that finds the cluster, and none of this machine's settings.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("KUBECONFIG", self.cluster.kubeconfig()).env("HOME", self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// helm in the namespace.
    pub fn helm(&self, words: &[&str]) -> Command {
        let mut command = self.program(&helm());
        command.args(words).args(["--namespace", self.namespace.name()]);
        command
    }

    /// The commands of docs/pre-pulling.md's block that has `words` in it, with this hub's chart, values and namespace.
    pub fn documented(&self, words: &str) -> Command {
        let docs = chart().join("../../docs/pre-pulling.md");
        let text = std::fs::read_to_string(docs).unwrap();
        let blocks = text.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        let block = blocks.filter(|block| block.contains(words)).last().unwrap();
        let commands: Vec<&str> = block.lines().map(str::trim_start).collect();
        assert!(commands[0].starts_with("$ "), "{block}");
        let script: String =
            commands.iter().map(|line| format!("{}\n", line.strip_prefix("$ ").unwrap_or(line))).collect();
        let script = script
            .replace("charts/perijove", &chart().display().to_string())
            .replace("--namespace jupyter", &format!("--namespace {}", self.namespace.name()));
        let folders = [helm(), kubectl()].map(|program| program.parent().unwrap().to_owned());
        let path = std::env::split_paths(&std::env::var_os("PATH").unwrap()).collect::<Vec<_>>();
        let path = std::env::join_paths(folders.into_iter().chain(path)).unwrap();
        let mut command = self.program(Path::new("bash"));
        command.args(["-c", &script]).env("PATH", path).current_dir(self.folder.path());
        command
    }

    /// A values file with users' image `image`, and settings of the chart's own (`hook: {deadline: 2m}`).
    pub fn values(&self, image: &str, settings: &str) -> PathBuf {
        let image = parts(image);
        let own = parts(&self.own);
        let values = format!(
            "singleuser: {{cloudMetadata: {{blockWithIptables: false}}, image: {image}}}\nperijove: {{image: {own}, {settings}}}\n"
        );
        let file = self.folder.path().join("values.yaml");
        std::fs::write(&file, values).unwrap();
        file
    }

    /// Begins an upgrade.
    pub fn upgrade(&self, image: &str, settings: &str) -> Child {
        let file = self.values(image, settings);
        let mut command = self.helm(&["upgrade", "--install", "warm", "--timeout", "4m"]);
        command.arg(chart()).arg("-f").arg(file).spawn().unwrap()
    }

    /// Upgrades, with what helm said.
    pub fn upgraded(&self, image: &str, settings: &str) -> Output {
        self.upgrade(image, settings).wait_with_output().unwrap()
    }

    /// What is there for one upgrade alone: pods, DaemonSets, Jobs, accounts, rights.
    pub fn temporary(&self) -> Vec<String> {
        let kinds = "daemonsets,jobs,pods,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,secrets";
        let found = self.namespace.get(&[kinds, "-l", "hub.jupyter.org/deletable=true"]);
        let items = found["items"].as_array().cloned().unwrap_or_default();
        let name = |item: &Value| {
            format!("{}/{}", item["kind"].as_str().unwrap(), item["metadata"]["name"].as_str().unwrap())
        };
        items.iter().map(name).collect()
    }

    pub fn wait_for_nothing_left(&self) {
        let gone = || self.temporary().is_empty().then_some(());
        self.cluster.wait("nothing to be left of the upgrade", gone);
    }
}

/// Name and tag of an image, as values say it.
fn parts(image: &str) -> String {
    let (name, tag) = image.rsplit_once(':').unwrap();
    format!("{{name: '{name}', tag: '{tag}'}}")
}

/// All that a program said.
pub fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Panics with what a program said when it has failed.
pub fn worked(output: &Output) {
    assert!(output.status.success(), "{}", said(output));
}
