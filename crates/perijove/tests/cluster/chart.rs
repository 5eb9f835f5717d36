//! The chart before real API servers, in a namespace that enforces the restricted Pod Security level.

use std::path::{Path, PathBuf};
use std::process::Command;

use perijove_testkit::cluster::programs::helm;
use perijove_testkit::cluster::{PodSecurity, Version, shared};
use perijove_testkit::skip;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Values files of real deployments, and of those that were made.
fn values(test: &str) -> Vec<PathBuf> {
    let made = workspace().join("crates/prepull/tests/fixtures/values");
    let shared =
        std::env::var_os("PERIJOVE_SHARED").map_or_else(|| workspace().join("../shared"), PathBuf::from);
    let mut folders = vec![made];
    match shared.join("conformance/values") {
        real if real.is_dir() => folders.push(real),
        _ => skip(
            &format!("{test} (real deployments)"),
            "set PERIJOVE_SHARED to the folder with conformance/values",
        ),
    }
    let entries = folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    entries.map(|entry| entry.unwrap().path().join("values.yaml")).collect()
}

/// Every object of every deployment is taken, and no pod is warned of.
fn every_deployment_is_accepted(test: &str, version: Version) {
    if !helm().is_file() {
        return skip(test, "helm is not built: make tools-kube");
    }
    let Some(cluster) = shared(test, version) else { return };
    let namespace = cluster.namespace("chart-accepted", PodSecurity::Restricted);
    // Enforcement looks at pods alone; a warning comes for what makes them too.
    let label = "pod-security.kubernetes.io/warn=restricted";
    cluster.kubectl(&["label", "namespace", namespace.name(), label]).text();
    let files = values(test);
    assert!(files.len() >= 5);
    for file in files {
        let mut command = Command::new(helm());
        command.args(["template", "hub"]).arg(workspace().join("charts/perijove")).arg("-f").arg(&file);
        command.args(["--namespace", namespace.name(), "--kube-version", version.number()]);
        let rendered = command.args(["--set", "perijove.hook.countNodes=true"]).output().unwrap();
        assert!(rendered.status.success(), "{}", String::from_utf8_lossy(&rendered.stderr));
        let text = String::from_utf8(rendered.stdout).unwrap();
        let ran = cluster.kubectl_with(&["apply", "--dry-run=server", "-f", "-"], &text);
        assert!(ran.ok && !ran.stderr.contains("PodSecurity"), "{}: {}", file.display(), ran.stderr);
        let kinds = text.lines().filter(|line| line.starts_with("kind: ")).count();
        assert!(kinds > 10);
        assert_eq!(ran.stdout.lines().count(), kinds, "{}: {}", file.display(), ran.stdout);
    }
}

#[test]
fn every_deployment_is_accepted_by_the_newest() {
    every_deployment_is_accepted("every_deployment_is_accepted_by_the_newest", Version::Newest);
}

#[test]
fn every_deployment_is_accepted_by_the_oldest() {
    every_deployment_is_accepted("every_deployment_is_accepted_by_the_oldest", Version::Oldest);
}
