//! Objects as the API server writes them, with all that nobody reads.

use serde_json::{Value, json};

pub const IMAGES: [&str; 2] = ["r.example/base:1", "r.example/gpu:2"];

fn containers() -> Value {
    IMAGES
        .iter()
        .enumerate()
        .map(|(n, image)| json!({"name": format!("image-{n}"), "image": image}))
        .collect()
}

pub fn daemonset(desired: usize, version: &str) -> Value {
    json!({
        "kind": "DaemonSet",
        "metadata": {"name": "pull", "uid": "u-pull", "generation": 1, "resourceVersion": version,
            "annotations": {"deprecated.daemonset.template.generation": "1"}},
        "spec": {"template": {"spec": {"containers": containers()}}},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": desired},
    })
}

/// A pod whose containers are in `state`.
pub fn pod(node: &str, state: &Value, ready: bool, version: &str) -> Value {
    let word = if ready { "True" } else { "False" };
    let statuses: Value = (0..IMAGES.len())
        .map(|n| {
            json!({"name": format!("image-{n}"), "ready": ready, "restartCount": 0, "state": state, "image": IMAGES[n],
                "imageID": "sha256:0f5d3c7ad6c2a47a7f2c5bf2f6a5e4a3", "containerID": "containerd://77c8f1b0d5e24b4c9a"})
        })
        .collect();
    json!({
        "kind": "Pod",
        "metadata": {"name": format!("pull-{node}"), "uid": format!("u-{node}"), "resourceVersion": version,
            "labels": {"pod-template-generation": "1", "controller-revision-hash": "6d5f"},
            "ownerReferences": [{"kind": "DaemonSet", "name": "pull", "uid": "u-pull"}]},
        "spec": {"nodeName": node, "containers": containers()},
        "status": {"phase": "Running", "startTime": "2026-11-22T12:00:00Z", "containerStatuses": statuses,
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": word}]},
    })
}

pub fn warm(node: &str, version: &str) -> Value {
    pod(node, &json!({"running": {"startedAt": "2026-11-22T12:00:00Z"}}), true, version)
}

pub fn creating(node: &str, version: &str) -> Value {
    pod(node, &json!({"waiting": {"reason": "ContainerCreating"}}), false, version)
}

pub fn failing(node: &str, message: &str, version: &str) -> Value {
    pod(node, &json!({"waiting": {"reason": "ErrImagePull", "message": message}}), false, version)
}

/// The JSON of pods by node, from one pod for the node `NODE`. Kubernetes also keeps who wrote which field, which is
/// half of a pod's JSON.
pub fn by_node(mut object: Value) -> impl Fn(&str) -> String {
    let fields = (0..60).map(|n| {
        let conditions = json!({format!("k:{{\"type\":\"{n}\"}}"): {"f:lastProbeTime": {}}});
        json!({"manager": "kubelet", "operation": "Update", "fieldsV1": {"f:status": {"f:conditions": conditions}}})
    });
    object["metadata"]["managedFields"] = fields.collect();
    let text = object.to_string();
    move |node| text.replace("NODE", node)
}

pub fn list(kind: &str, items: &[Value], version: &str) -> Value {
    json!({"kind": format!("{kind}List"), "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items})
}
