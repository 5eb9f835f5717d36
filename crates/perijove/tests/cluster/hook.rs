//! The chart with a real helm: warm nodes before an upgrade, an upgrade that fails in time and says why, one that is cut
//! off; and nothing of it left.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use perijove_testkit::cluster::programs::helm;
use perijove_testkit::cluster::{Cluster, Namespace, PodSecurity, TestImage, Version, shared};
use perijove_testkit::skip;

use super::own;

/// A hub's values, and helm in its namespace.
struct Hub<'a> {
    cluster: &'a Cluster,
    namespace: Namespace<'a>,
    folder: tempfile::TempDir,
    /// Name and tag of our own image.
    own: (String, String),
}

impl<'a> Hub<'a> {
    fn new(test: &str, cluster: &'a Cluster) -> Option<Self> {
        if !helm().is_file() {
            skip(test, "helm is not built: make tools-kube");
            return None;
        }
        let own = own::image(test, cluster)?;
        let (name, tag) = own.rsplit_once(':').unwrap();
        Some(Hub {
            cluster,
            namespace: cluster.namespace(&test.replace('_', "-"), PodSecurity::Restricted),
            folder: tempfile::tempdir().unwrap(),
            own: (name.to_owned(), tag.to_owned()),
        })
    }

    fn helm(&self, words: &[&str]) -> Command {
        let mut command = Command::new(helm());
        command.args(words).args(["--namespace", self.namespace.name()]);
        command.env("KUBECONFIG", self.cluster.kubeconfig()).env("HOME", self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Upgrades to users' image `image`.
    fn upgrade(&self, image: &str, deadline: &str) -> Child {
        let chart: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/perijove");
        let (name, tag) = image.rsplit_once(':').unwrap();
        let values = format!(
            "singleuser: {{cloudMetadata: {{blockWithIptables: false}}, image: {{name: '{name}', tag: '{tag}'}}}}\nperijove: {{image: {{name: '{}', tag: '{}'}}, hook: {{deadline: {deadline}, ttlSeconds: 3}}}}\n",
            self.own.0, self.own.1
        );
        let file = self.folder.path().join("values.yaml");
        std::fs::write(&file, values).unwrap();
        let mut command = self.helm(&["upgrade", "--install", "warm", "--timeout", "4m"]);
        command.arg(chart).arg("-f").arg(file).spawn().unwrap()
    }

    fn upgraded(&self, image: &str) -> Output {
        self.upgrade(image, "2m").wait_with_output().unwrap()
    }

    /// What is there for one upgrade alone: pods, DaemonSets, Jobs, accounts, rights.
    fn temporary(&self) -> Vec<String> {
        let kinds = "daemonsets,jobs,pods,serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,secrets";
        let found = self.namespace.get(&[kinds, "-l", "hub.jupyter.org/deletable=true"]);
        let items = found["items"].as_array().cloned().unwrap_or_default();
        let name = |item: &serde_json::Value| {
            format!("{}/{}", item["kind"].as_str().unwrap(), item["metadata"]["name"].as_str().unwrap())
        };
        items.iter().map(name).collect()
    }

    fn wait_for_nothing_left(&self) {
        let gone = || self.temporary().is_empty().then_some(());
        self.cluster.wait("nothing to be left of the upgrade", gone);
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Images that the continuous pullers' pods have running, on how many nodes.
fn kept(hub: &Hub<'_>) -> (usize, String) {
    let pods = hub.namespace.get(&["pods", "-l", "app.kubernetes.io/component=continuous-image-puller"]);
    let pods = pods["items"].as_array().unwrap().clone();
    let ready = pods.iter().filter(|pod| {
        pod["metadata"]["deletionTimestamp"].is_null()
            && pod["status"]["containerStatuses"]
                .as_array()
                .is_some_and(|all| all.iter().all(|one| one["ready"] == true))
    });
    let texts: Vec<String> = ready.map(|pod| pod["spec"].to_string()).collect();
    (texts.len(), texts.join(" "))
}

fn an_upgrade_ends_with_warm_nodes(test: &str, version: Version) {
    let Some(cluster) = shared(test, version) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    // Nothing in it can be run.
    let first = cluster.push(&TestImage::data("first").with_ballast(500_000, 11), "hook-first", "1");
    let second = cluster.push(&TestImage::data("second").with_ballast(500_000, 12), "hook-second", "1");
    for image in [&first, &second] {
        let output = hub.upgraded(image);
        assert!(output.status.success(), "{}", said(&output));
        let name = image.rsplit(['/', ':']).nth(1).unwrap();
        for node in cluster.nodes() {
            assert!(
                node.images().iter().any(|one| one.contains(name)),
                "{name} on each node when helm returns"
            );
        }
        hub.wait_for_nothing_left();
        // The pod with the old image goes when the one with the new image is there.
        cluster.wait("this image alone to be kept on three nodes", || {
            let (nodes, images) = kept(&hub);
            let old = [&first, &second].iter().any(|one| *one != image && images.contains(one.as_str()));
            (nodes == 3 && images.contains(image.as_str()) && !old).then_some(())
        });
    }
    let output = hub.helm(&["uninstall", "warm", "--wait"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let left = hub.namespace.get(&["daemonsets,jobs,roles,rolebindings"]);
    assert_eq!(left["items"].as_array().map(Vec::len), Some(0), "{left}");
}

#[test]
fn an_upgrade_ends_with_warm_nodes_on_the_newest() {
    an_upgrade_ends_with_warm_nodes("an_upgrade_ends_with_warm_nodes_on_the_newest", Version::Newest);
}

/// No image volumes there: our program is handed into the images.
#[test]
fn an_upgrade_ends_with_warm_nodes_on_the_oldest() {
    an_upgrade_ends_with_warm_nodes("an_upgrade_ends_with_warm_nodes_on_the_oldest", Version::Oldest);
}

#[test]
fn an_upgrade_fails_in_time_with_the_reason() {
    let test = "an_upgrade_fails_in_time_with_the_reason";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    let output = hub.upgraded(&format!("{}/hook-missing:1", cluster.registry()));
    assert!(!output.status.success());
    assert!(said(&output).contains("ImageMissing"), "{}", said(&output));
    hub.wait_for_nothing_left();
    let events = hub.namespace.get(&["events"]).to_string();
    assert!(events.contains("PrePullFailed"), "{events}");
}

#[test]
fn an_upgrade_that_is_cut_off_and_repeated_leaves_nothing() {
    let test = "an_upgrade_that_is_cut_off_and_repeated_leaves_nothing";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    let image = cluster.push(&TestImage::data("cut").with_ballast(200_000, 13), "hook-cut", "1");
    let mut cut = hub.upgrade("127.0.0.1:9/nowhere:1", "20s");
    cluster.wait("the awaiter's Job", || {
        hub.temporary().iter().any(|one| one.starts_with("Job/")).then_some(())
    });
    cut.kill().unwrap();
    cut.wait().unwrap();
    // Helm itself calls the release pending until it is told otherwise.
    let output = hub.helm(&["uninstall", "warm", "--no-hooks"]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let output = hub.upgraded(&image);
    assert!(output.status.success(), "{}", said(&output));
    hub.wait_for_nothing_left();
}
