//! Builds what was observed, from JSON as the API server writes it.

use std::time::Duration;

use serde_json::{Value, json};

use super::super::index::{Kind, Object, Observed, Update};
use super::super::{Policy, Verdict, judge};

/// A deadline that the scenes do not reach unless they want to.
pub const DEADLINE: Duration = Duration::from_secs(600);
pub const IMAGES: [&str; 2] = ["r.example/base:1", "r.example/gpu:2"];

/// Seconds.
pub fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[derive(Clone, Default)]
pub struct Scene {
    pub observed: Observed,
    pub policy: Policy,
}

pub fn containers() -> Value {
    let all: Vec<Value> = IMAGES
        .iter()
        .enumerate()
        .map(|(n, image)| json!({"name": format!("image-{n}"), "image": image}))
        .collect();
    Value::Array(all)
}

/// A DaemonSet that wants `desired` nodes.
pub fn daemonset(name: &str, desired: u32) -> Value {
    json!({
        "metadata": {"name": name, "uid": name, "generation": 1,
            "annotations": {"deprecated.daemonset.template.generation": "1"}},
        "spec": {"template": {"spec": {"nodeSelector": {"pool": "user"}, "containers": containers()}}},
        "status": {"observedGeneration": 1, "desiredNumberScheduled": desired},
    })
}

/// A pod for `node`, not yet bound.
pub fn pod(set: &str, node: &str) -> Value {
    json!({
        "metadata": {"name": format!("{set}-{node}"), "uid": format!("{set}-{node}"),
            "labels": {"pod-template-generation": "1", "controller-revision-hash": "5d4"},
            "ownerReferences": [{"kind": "DaemonSet", "name": set, "uid": set}]},
        "spec": {"containers": containers(), "affinity": {"nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}}}},
        "status": {"phase": "Pending"},
    })
}

pub fn bound(set: &str, node: &str) -> Value {
    let mut pod = pod(set, node);
    pod["spec"]["nodeName"] = json!(node);
    pod["status"]["conditions"] = json!([{"type": "PodScheduled", "status": "True"}]);
    pod
}

/// A pod that the kubelet has taken; `states` are those of its containers.
pub fn taken(set: &str, node: &str, states: &[Value]) -> Value {
    let mut pod = bound(set, node);
    pod["status"]["startTime"] = json!("2026-11-22T12:00:00Z");
    let states = states.iter().enumerate();
    let statuses: Vec<Value> = states
        .map(|(n, state)| json!({"name": format!("image-{n}"), "ready": false, "restartCount": 0, "state": state}))
        .collect();
    pod["status"]["containerStatuses"] = json!(statuses);
    let ready = json!({"type": "Ready", "status": "False", "reason": "ContainersNotReady"});
    pod["status"]["conditions"].as_array_mut().unwrap().push(ready);
    pod
}

pub fn warm(set: &str, node: &str) -> Value {
    let mut pod = taken(set, node, &[running(), running()]);
    pod["status"]["phase"] = json!("Running");
    pod["status"]["conditions"][1] = json!({"type": "Ready", "status": "True"});
    for status in pod["status"]["containerStatuses"].as_array_mut().unwrap() {
        status["ready"] = json!(true);
    }
    pod
}

/// As the node controller leaves the pod of a node that went away.
pub fn lost(set: &str, node: &str) -> Value {
    let mut pod = warm(set, node);
    pod["status"]["conditions"][1]["status"] = json!("False");
    pod
}

pub fn rejected(set: &str, node: &str, reason: &str, message: &str) -> Value {
    let mut pod = bound(set, node);
    pod["status"] = json!({"phase": "Failed", "reason": reason, "message": message});
    pod
}

pub fn unschedulable(set: &str, node: &str, message: &str) -> Value {
    let mut pod = pod(set, node);
    pod["status"]["conditions"] =
        json!([{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}]);
    pod
}

pub fn running() -> Value {
    json!({"running": {"startedAt": "2026-11-22T12:00:01Z"}})
}

pub fn waiting(reason: &str, message: &str) -> Value {
    json!({"waiting": {"reason": reason, "message": message}})
}

pub fn creating() -> Value {
    json!({"waiting": {"reason": "ContainerCreating"}})
}

pub fn not_found() -> Value {
    let image = IMAGES[1];
    waiting(
        "ErrImagePull",
        &format!(
            "rpc error: code = NotFound desc = failed to pull and unpack image \"{image}\": failed to resolve reference \"{image}\": {image}: not found"
        ),
    )
}

pub fn event(pod: &str, reason: &str, message: &str) -> Value {
    json!({"involvedObject": {"kind": "Pod", "name": pod, "uid": pod}, "reason": reason, "message": message})
}

pub fn node(name: &str) -> Value {
    json!({
        "metadata": {"name": name, "labels": {"pool": "user", "kubernetes.io/hostname": name}},
        "spec": {},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]},
    })
}

pub fn read(kind: Kind, value: &Value) -> Object {
    let value = value.clone();
    match kind {
        Kind::DaemonSets => Object::DaemonSet(serde_json::from_value(value).unwrap()),
        Kind::Pods => Object::Pod(serde_json::from_value(value).unwrap()),
        Kind::Events => Object::Event(serde_json::from_value(value).unwrap()),
        Kind::Nodes => Object::Node(serde_json::from_value(value).unwrap()),
    }
}

impl Scene {
    /// One DaemonSet, listed whole at the start; so are no pods yet.
    pub fn of(desired: u32) -> Self {
        let mut scene = Scene::default();
        scene.lists(Kind::DaemonSets, &[daemonset("pull", desired)], 0);
        scene.lists(Kind::Pods, &[], 0);
        scene
    }

    pub fn lists(&mut self, kind: Kind, objects: &[Value], now: u64) -> &mut Self {
        self.observed.update(Update::Begin(kind), at(now));
        objects.iter().for_each(|one| self.observed.update(Update::Apply(read(kind, one)), at(now)));
        self.observed.update(Update::Done(kind), at(now));
        self
    }

    pub fn sees(&mut self, kind: Kind, object: &Value, now: u64) -> &mut Self {
        self.observed.update(Update::Apply(read(kind, object)), at(now));
        self
    }

    pub fn loses(&mut self, kind: Kind, object: &Value, now: u64) -> &mut Self {
        self.observed.update(Update::Delete(read(kind, object)), at(now));
        self
    }

    pub fn pods(&mut self, pods: &[Value], now: u64) -> &mut Self {
        pods.iter().for_each(|pod| {
            self.sees(Kind::Pods, pod, now);
        });
        self
    }

    pub fn judged(&self, now: u64) -> Verdict {
        judge(&self.observed, &self.policy, at(now), DEADLINE)
    }

    /// The decision, the summary, and each node with its state and reason: a line each.
    pub fn told(&self, now: u64) -> String {
        let verdict = self.judged(now);
        let mut text = format!("{now} s: {:?}; {}\n", verdict.decision, verdict.summary());
        for row in &verdict.rows {
            let cells: Vec<&str> = row.cells.iter().map(|cell| cell.state.word()).collect();
            let why = row.finding.as_ref().map(|f| format!(" {f}")).unwrap_or_default();
            text.push_str(&format!("  {} {} [{}]{why}\n", row.node, row.state.word(), cells.join(" ")));
        }
        for finding in &verdict.findings {
            text.push_str(&format!("  {finding}\n"));
        }
        text
    }
}
