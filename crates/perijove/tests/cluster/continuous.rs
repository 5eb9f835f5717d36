//! The continuous pullers on real nodes: what they keep stays where the kubelet collects, what new values let go goes, a
//! node that joins late is warmed without a word, and `helm test` tells how it stands.

use std::collections::BTreeMap;

use perijove_testkit::cluster::fault::Place;
use perijove_testkit::cluster::{Fault, Node, TestImage, Version, alone, shared};
use serde_json::{Value, json};

use super::hub::{Hub, said, worked};

/// Settings of the chart's own: nothing is pulled ahead.
const ALONE: &str = "hook: {enabled: false, ttlSeconds: 3}";

fn pods(hub: &Hub<'_>) -> Vec<Value> {
    let found = hub.namespace.get(&["pods", "-l", "app.kubernetes.io/component=continuous-image-puller"]);
    found["items"].as_array().unwrap().clone()
}

/// The pods that keep images, by node, each with the images that it has in use: only those of which all containers are
/// ready, and which are not about to go.
fn keepers(hub: &Hub<'_>) -> BTreeMap<String, Vec<Keeper>> {
    let mut found: BTreeMap<String, Vec<Keeper>> = BTreeMap::new();
    for pod in pods(hub) {
        let statuses = pod["status"]["containerStatuses"].as_array();
        let ready = statuses.is_some_and(|all| all.iter().all(|one| one["ready"] == true));
        if ready && pod["metadata"]["deletionTimestamp"].is_null() {
            let restarts = statuses.unwrap().iter().map(|one| one["restartCount"].as_u64().unwrap()).sum();
            let node = pod["spec"]["nodeName"].as_str().unwrap().to_owned();
            let uid = pod["metadata"]["uid"].as_str().unwrap().to_owned();
            found.entry(node).or_default().push(Keeper { uid, restarts, images: images(&pod["spec"]) });
        }
    }
    found
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Keeper {
    uid: String,
    restarts: u64,
    images: Vec<String>,
}

/// The users' images of a puller's pod: mounted, or run.
fn images(spec: &Value) -> Vec<String> {
    let list = |name: &str| spec[name].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mounted: Vec<String> = list("volumes")
        .iter()
        .map(|volume| text(&volume["image"]["reference"]))
        .filter(|reference| !reference.is_empty())
        .collect();
    if mounted.is_empty() {
        list("containers").iter().map(|one| text(&one["image"])).collect()
    } else {
        mounted
    }
}

/// Waits until each of so many nodes has one keeper, of this image alone, and nothing is left of others: what a pod
/// that is about to end has in use is not collected.
fn wait_until_kept(hub: &Hub<'_>, image: &str, nodes: usize) -> BTreeMap<String, Vec<Keeper>> {
    hub.cluster.wait(&format!("{image} alone to be kept on {nodes} nodes"), || {
        let pods = pods(hub).len();
        let found = keepers(hub);
        let one = |all: &Vec<Keeper>| all.len() == 1 && all[0].images == [image];
        (pods == nodes && found.len() == nodes && found.values().all(one)).then_some(found)
    })
}

const MEGABYTE: u64 = 1 << 20;

/// A node that is told to keep more of its disk free than usual, until the value goes.
struct Collector<'n, 'c> {
    hub: &'n Hub<'c>,
    node: &'n Node<'c>,
    wanted: u64,
}

impl<'n, 'c> Collector<'n, 'c> {
    /// There is room at first: a kubelet that starts with too little takes none of its own pods back. Of images it knows
    /// the age since it looked last, which it does when it starts: only those that are there can go.
    fn new(hub: &'n Hub<'c>, node: &'n Node<'c>) -> Self {
        let wanted = node.free_bytes() - 500 * MEGABYTE;
        node.configure(Some(&json!({
            "evictionHard": {"nodefs.available": wanted.to_string()},
            // The usual age at which an image may go is two minutes.
            "imageMinimumGCAge": "1s",
        })));
        Collector { hub, node, wanted }
    }

    /// A user's pod fills the disk, so that 60 MB of images have to go. A kubelet on a busy machine may not see at once
    /// that it has won them, and evicts a pod as well: whoever uses more of the disk than was asked for, which the
    /// pullers do not.
    fn collect(&self) {
        let shell = self.hub.cluster.push(&TestImage::shell(), "kept/shell", "1");
        let bytes = self.node.free_bytes() - self.wanted + 60 * MEGABYTE;
        let fill = format!("head -c {bytes} /dev/zero >/filling/zeros; exec sleep 3600");
        self.hub.namespace.apply(&json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "filling"},
            "spec": {
                "nodeName": self.node.name(),
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": false,
                "securityContext": {
                    "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [{
                    "name": "main",
                    "image": shell,
                    "command": ["/bin/busybox", "sh", "-c", fill],
                    "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "filling", "mountPath": "/filling"}],
                }],
                "volumes": [{"name": "filling", "emptyDir": {}}],
            },
        }));
    }
}

impl Drop for Collector<'_, '_> {
    fn drop(&mut self) {
        self.hub.namespace.kubectl(&["delete", "pod", "filling", "--ignore-not-found"]);
        self.node.configure(None);
        if !std::thread::panicking() {
            self.node.wait_for("DiskPressure", "False");
            self.node.wait_until_ready();
        }
    }
}

fn a_kept_image_stays_and_one_let_go_goes(test: &str, version: Version) {
    let Some(cluster) = alone(test, version) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    let node = cluster.node(2);
    let old = cluster.push(&TestImage::data("old").with_ballast(60 << 20, 61), "kept/old", "1");
    let new = cluster.push(&TestImage::data("new").with_ballast(20 << 20, 62), "kept/new", "1");
    worked(&hub.upgraded(&old, ALONE));
    let first = wait_until_kept(&hub, &old, 3);
    let collector = Collector::new(&hub, &node);
    worked(&hub.upgraded(&new, ALONE));
    let kept = wait_until_kept(&hub, &new, 3);
    assert_ne!(first, kept);
    assert!([&old, &new].iter().all(|image| node.images().contains(image)), "both are still there");

    collector.collect();
    cluster.wait("the old image to be collected", || (!node.images().contains(&old)).then_some(()));
    assert!(node.images().contains(&new), "{:?}", node.images());
    // The very pods of before, and never started anew.
    assert_eq!(keepers(&hub), kept, "{:#?}", pods(&hub));
    drop(collector);
    for node in cluster.nodes() {
        assert!(node.images().contains(&new), "{}", node.name());
    }
}

#[test]
fn a_kept_image_stays_and_one_let_go_goes_on_the_newest() {
    a_kept_image_stays_and_one_let_go_goes(
        "a_kept_image_stays_and_one_let_go_goes_on_the_newest",
        Version::Newest,
    );
}

/// Kept by a program of ours that runs in it.
#[test]
fn a_kept_image_stays_and_one_let_go_goes_on_the_oldest() {
    a_kept_image_stays_and_one_let_go_goes(
        "a_kept_image_stays_and_one_let_go_goes_on_the_oldest",
        Version::Oldest,
    );
}

#[test]
fn a_node_that_joins_late_is_warmed() {
    let test = "a_node_that_joins_late_is_warmed";
    let Some(cluster) = alone(test, Version::Newest) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    let image = cluster.push(&TestImage::data("late").with_ballast(200_000, 63), "kept/late", "1");
    worked(&hub.upgraded(&image, ALONE));
    wait_until_kept(&hub, &image, 3);
    let place = Place { node: 1, namespace: hub.namespace.name(), awaiter: "" };
    let joined = Fault::LateNode.apply(&cluster, &place);
    let kept = wait_until_kept(&hub, &image, 4);
    assert!(kept.contains_key("n4"), "{kept:?}");
    assert!(cluster.node(4).images().contains(&image));
    drop(joined);
}

/// With the rights that the chart gives it, and no more.
#[test]
fn helm_test_tells_whether_all_images_are_there() {
    let test = "helm_test_tells_whether_all_images_are_there";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(hub) = Hub::new(test, &cluster) else { return };
    let image = cluster.push(&TestImage::data("tested").with_ballast(200_000, 64), "kept/tested", "1");
    worked(&hub.upgraded(&image, ALONE));
    worked(&hub.helm(&["test", "warm", "--timeout", "3m"]).output().unwrap());
    hub.wait_for_nothing_left();
    let missing = format!("{image}-not");
    worked(&hub.upgraded(&missing, ALONE));
    let output = hub.helm(&["test", "warm", "--timeout", "3m", "--logs"]).output().unwrap();
    assert!(!output.status.success(), "{}", said(&output));
    let pods = hub.namespace.get(&["pods", "-l", "app.kubernetes.io/component=test-image-awaiter"]);
    assert!(pods.to_string().contains("ImageMissing"), "{pods}");
}
