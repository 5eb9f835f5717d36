//! Every fault is seen by Kubernetes as it is meant, and heals.

use std::time::Instant;

use perijove_testkit::cluster::fault::{Place, slow_pull};
use perijove_testkit::cluster::{self, Cluster, Fault, Namespace, PodSecurity, TestImage, Version};
use serde_json::{Value, json};

/// A pod that runs `command`, or the image's own, on node 2.
fn pod(name: &str, image: &str, secret: Option<&str>, command: &[&str]) -> Value {
    let secrets: Vec<Value> = secret.map(|name| json!({"name": name})).into_iter().collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeName": "n2",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "imagePullSecrets": secrets,
            "containers": [{"name": "main", "image": image, "command": command}],
        },
    })
}

/// What the kubelet says of the only container: a reason and a message.
fn said(namespace: &Namespace, name: &str) -> String {
    let state = namespace.get(&["pod", name])["status"]["containerStatuses"][0].clone();
    ["state", "lastState"].map(|s| state[s].to_string()).join(" ")
}

fn wait_for_words(cluster: &Cluster, namespace: &Namespace, name: &str, words: &[&str]) {
    let mut last = String::new();
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        cluster.wait(name, || {
            last = said(namespace, name);
            words.iter().all(|w| last.contains(w)).then_some(())
        });
    }));
    assert!(seen.is_ok(), "{name}: {words:?} not in {last}");
}

fn ready(cluster: &Cluster, namespace: &Namespace, name: &str) {
    cluster.wait(name, || {
        let ready = namespace.get(&["pod", name])["status"]["containerStatuses"][0]["ready"] == true;
        ready.then_some(())
    });
}

/// Faults that are about an image, and the words by which the kubelet tells them.
const IMAGES: [(Fault, &[&str]); 5] = [
    (Fault::MissingTag, &["ImagePull", "not found"]),
    (Fault::WrongSecret, &["ImagePull", "401"]),
    (Fault::OtherArchitecture, &["ImagePull", "no match for platform"]),
    (Fault::UnreadableLayer, &["ImagePull", "failed to"]),
    (Fault::NoShell, &["/bin/sh", "no such file"]),
];

#[test]
fn faults_of_images() {
    let Some(cluster) = cluster::shared("faults_of_images", Version::Newest) else { return };
    let namespace = cluster.namespace("faults-of-images", PodSecurity::Privileged);
    let place = Place { node: 2, namespace: namespace.name(), awaiter: "app=awaiter" };
    let all: Vec<_> = IMAGES
        .iter()
        .enumerate()
        .map(|(index, (fault, words))| {
            let broken = fault.apply(&cluster, &place);
            let name = format!("pod-{index}");
            let image = broken.image.as_deref().unwrap();
            namespace.apply(&pod(&name, image, broken.pull_secret, &["/bin/sh"]));
            (name, words)
        })
        .collect();
    for (name, words) in all {
        wait_for_words(&cluster, &namespace, &name, words);
    }
}

#[test]
fn faults_of_registries() {
    let Some(cluster) = cluster::alone("faults_of_registries", Version::Newest) else { return };
    let namespace = cluster.namespace("faults-of-registries", PodSecurity::Privileged);
    let place = Place { node: 2, namespace: namespace.name(), awaiter: "app=awaiter" };

    let broken = Fault::RegistryDown.apply(&cluster, &place);
    namespace.apply(&pod("down", broken.image.as_deref().unwrap(), None, &[]));
    wait_for_words(&cluster, &namespace, "down", &["ImagePull", "connection refused"]);
    drop(broken);
    ready(&cluster, &namespace, "down");

    let broken = Fault::SlowRegistry.apply(&cluster, &place);
    let start = Instant::now();
    namespace.apply(&pod("slow", broken.image.as_deref().unwrap(), None, &[]));
    ready(&cluster, &namespace, "slow");
    assert!(start.elapsed() > slow_pull(), "{:?}", start.elapsed());
}

#[test]
fn faults_of_nodes_and_control_plane() {
    let Some(cluster) = cluster::alone("faults_of_nodes_and_control_plane", Version::Newest) else { return };
    let namespace = cluster.namespace("faults-of-nodes", PodSecurity::Privileged);
    let place = Place { node: 2, namespace: namespace.name(), awaiter: "app=awaiter" };
    let images: Vec<Fault> = IMAGES.iter().map(|(fault, _)| *fault).collect();
    let elsewhere = |f: &Fault| images.contains(f) || matches!(f, Fault::RegistryDown | Fault::SlowRegistry);
    for (name, fault) in Fault::ALL.into_iter().filter(|(_, f)| !elsewhere(f)) {
        let start = Instant::now();
        let waits = (fault == Fault::AwaiterKilled).then(|| awaiter(&cluster, &namespace));
        let broken = fault.apply(&cluster, &place);
        broken.wait_until_seen();
        let seen = start.elapsed();
        if let Some(waits) = waits {
            cluster.wait("the awaiter's second start", || {
                let status = namespace.get(&["pod", &waits])["status"]["containerStatuses"][0].clone();
                (status["restartCount"] == 1 && status["lastState"]["terminated"]["exitCode"] == 137)
                    .then_some(())
            });
        }
        drop(broken);
        for node in cluster.nodes() {
            node.wait_until_ready();
            node.wait_for("DiskPressure", "False");
        }
        assert_eq!(cluster.get(&["nodes"])["items"].as_array().unwrap().len(), 3, "{name}");
        println!("{name}: seen after {seen:.1?}, healed after {:.1?}", start.elapsed());
    }
    // After all that the nodes still do what nodes do.
    let image = cluster.push(&TestImage::pause(), "test/after-all", "1");
    namespace.apply(&pod("after-all", &image, None, &[]));
    ready(&cluster, &namespace, "after-all");
}

/// A pod in the awaiter's place.
fn awaiter(cluster: &Cluster, namespace: &Namespace) -> String {
    let image = cluster.push(&TestImage::pause(), "test/awaiter", "1");
    namespace.apply(&pod("awaiter", &image, None, &[]));
    ready(cluster, namespace, "awaiter");
    "awaiter".to_owned()
}
