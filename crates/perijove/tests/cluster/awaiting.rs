//! Pullers, `perijove await` and what it reports.

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use perijove_prepull::manifests::{Group, Mode, Pulled, Puller};
use perijove_testkit::cluster::{Cluster, Namespace, TestImage};
use serde_json::Value;

/// Labels of the pullers.
pub const SELECTOR: &str = "app.kubernetes.io/component=warm-image-puller";

/// What stands for our image, pushed with the first puller: later a registry may be down. (All these tests are on the
/// same cluster.)
pub fn own(cluster: &Cluster) -> &'static str {
    static OWN: OnceLock<String> = OnceLock::new();
    OWN.get_or_init(|| cluster.push(&TestImage::pause(), "own", "1"))
}

/// A puller of these images on every node.
pub fn puller(cluster: &Cluster, images: &[&str], secret: Option<&str>) -> Value {
    let own = own(cluster);
    // The last word of the first image: pullers that differ in it are beside each other.
    let name = images[0].rsplit(['/', ':']).nth(1).unwrap();
    let labels = [("app.kubernetes.io/component", "warm-image-puller"), ("app", name)];
    let images = images.iter().map(|image| Pulled { image: (*image).to_owned(), pull_policy: None });
    let group = Group {
        images: images.collect(),
        pull_secrets: secret.map(str::to_owned).into_iter().collect(),
        ..Group::default()
    };
    let puller = Puller {
        name,
        labels: &labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
        annotations: &BTreeMap::new(),
        group: &group,
        only: &[],
        mode: Mode::ImageVolumes,
        own_image: own,
    };
    puller.daemon_set()
}

/// Starts `perijove await` with these words more.
pub fn start(cluster: &Cluster, namespace: &Namespace<'_>, words: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_perijove"))
        .args(["--format", "json", "await", "--namespace", namespace.name(), "--selector", SELECTOR])
        .args(words)
        .env("KUBECONFIG", cluster.kubeconfig())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Exit code and report.
pub fn end(child: Child) -> (Option<i32>, Value) {
    let (code, report, _) = told(child);
    (code, report)
}

/// The same, and what was said on the way.
pub fn told(child: Child) -> (Option<i32>, Value, String) {
    let output = child.wait_with_output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
    (output.status.code(), report, String::from_utf8_lossy(&output.stderr).into_owned())
}

/// From its start to its end.
pub fn awaited(cluster: &Cluster, namespace: &Namespace<'_>, words: &[&str]) -> (Option<i32>, Value) {
    end(start(cluster, namespace, words))
}

/// The node's state and reason.
pub fn node<'a>(report: &'a Value, name: &str) -> (&'a str, &'a str) {
    let row = report["nodes"].as_array().unwrap().iter().find(|row| row["name"] == name);
    let row = row.unwrap_or_else(|| panic!("{name}: {report}"));
    (row["state"].as_str().unwrap(), row["reason"].as_str().unwrap_or_default())
}

/// An image of which nothing can be run.
pub fn data(cluster: &Cluster, name: &str) -> String {
    cluster.push(&TestImage::data(name), name, "1")
}

/// The reasons of the whole run.
pub fn findings(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|one| one["reason"].as_str().unwrap()).collect()
}

/// The state and reason of each image on each node, all alike but for their order.
pub fn cells(report: &Value) -> Vec<(&str, &str)> {
    let rows = report["nodes"].as_array().unwrap();
    let cells = rows.iter().flat_map(|row| row["images"].as_array().unwrap());
    cells.map(|cell| (cell["state"].as_str().unwrap(), cell["reason"].as_str().unwrap_or_default())).collect()
}

/// What must hold whenever a run says that it ended well: nodes that are called warm have all images, now, and the
/// others have a reason.
pub fn check(cluster: &Cluster, report: &Value, images: &[String]) {
    for row in report["nodes"].as_array().unwrap() {
        let name = row["name"].as_str().unwrap();
        if row["state"] == "warm" {
            let there = cluster.node(name[1..].parse().unwrap()).images();
            let lacks: Vec<&String> = images.iter().filter(|image| !there.contains(image)).collect();
            assert!(lacks.is_empty(), "{name} is called warm and lacks {lacks:?}: {report}");
        } else {
            assert!(row["state"] == "excluded" && row["reason"].is_string(), "{report}");
        }
    }
}
