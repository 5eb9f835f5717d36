//! The pods that a fault needs: one that fills a node, one that has an image pulled, and the awaiter's, to be killed.

use serde_json::{Value, json};

use super::Place;
use crate::cluster::{Cluster, programs};

/// A pod that is deleted with the value, and waited for.
pub(super) struct Pod<'c> {
    cluster: &'c Cluster,
    namespace: String,
    name: String,
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        let words = ["delete", "pod", &self.name, "-n", &self.namespace, "--ignore-not-found"];
        self.cluster.kubectl(&words);
    }
}

/// A pod on the place's node that runs a program of the image.
pub(super) fn start<'c>(cluster: &'c Cluster, place: &Place, name: &str, image: &str) -> Pod<'c> {
    let pod = create(cluster, place, name, image);
    let there = ["wait", "--for=condition=Ready", "pod", name, "-n", place.namespace, "--timeout=120s"];
    cluster.kubectl(&there).text();
    pod
}

/// A pod on the place's node that has its image there, whether or not it runs.
pub(super) fn start_for<'c>(cluster: &'c Cluster, place: &Place, name: &str, image: &str) -> Pod<'c> {
    let pod = create(cluster, place, name, image);
    let node = cluster.node(place.node);
    cluster.wait("the image on the node", || node.images().contains(&image.to_owned()).then_some(()));
    pod
}

fn create<'c>(cluster: &'c Cluster, place: &Place, name: &str, image: &str) -> Pod<'c> {
    cluster.apply(&pod(place, name, image));
    Pod { cluster, namespace: place.namespace.to_owned(), name: name.to_owned() }
}

/// A pod that every Pod Security Standard lets through.
fn pod(place: &Place, name: &str, image: &str) -> Value {
    let container = json!({
        "name": "main",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": place.namespace},
        "spec": {
            "nodeName": format!("n{}", place.node),
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    })
}

/// Kills the processes of the awaiter's pods where they run.
pub(super) fn kill(cluster: &Cluster, place: &Place) {
    let ctr = programs::folder("containerd").join("ctr").display().to_string();
    let pods = cluster.get(&["pods", "-n", place.namespace, "-l", place.awaiter]);
    for pod in pods["items"].as_array().unwrap() {
        let Some(number) = pod["spec"]["nodeName"].as_str().and_then(|n| n.strip_prefix('n')?.parse().ok())
        else {
            continue;
        };
        for container in pod["status"]["containerStatuses"].as_array().into_iter().flatten() {
            let id = container["containerID"].as_str().unwrap_or_default();
            if let Some(id) = id.strip_prefix("containerd://") {
                // One that has ended by itself is no failure.
                cluster.node(number).run(&[
                    &ctr,
                    "--namespace",
                    "k8s.io",
                    "tasks",
                    "kill",
                    "--signal",
                    "SIGKILL",
                    id,
                ]);
            }
        }
    }
}

/// How many pods a node has that count.
pub(super) fn on(cluster: &Cluster, node: &str) -> usize {
    let field = format!("spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed");
    let pods = cluster.get(&["pods", "--all-namespaces", "--field-selector", &field]);
    pods["items"].as_array().unwrap().len()
}
