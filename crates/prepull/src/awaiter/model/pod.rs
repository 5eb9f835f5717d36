//! Of a pod, but for its specification.

use serde::Deserialize;

use super::{PodSpec, TemplateGeneration, is_there, or_default};

/// Of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    /// Its metadata.
    pub metadata: PodMeta,
    /// Where it goes and what it runs.
    pub spec: PodSpec,
    /// What the scheduler and the kubelet say.
    pub status: PodStatus,
}

/// Of a pod's metadata.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodMeta {
    /// Its name.
    pub name: Box<str>,
    /// Unlike the name, never used again.
    pub uid: Box<str>,
    /// Whether it is being ended.
    #[serde(rename = "deletionTimestamp", deserialize_with = "is_there")]
    pub deleting: bool,
    /// The one label that is read.
    #[serde(deserialize_with = "or_default")]
    pub labels: TemplateGeneration,
    /// Who made it.
    #[serde(deserialize_with = "or_default")]
    pub owner_references: Vec<Owner>,
}

/// Who made a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Owner {
    /// The owner's uid.
    pub uid: Box<str>,
}

/// Of a pod's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    /// `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: Box<str>,
    /// Why it failed: `Evicted`, `OutOfpods`, …
    pub reason: Option<Box<str>>,
    /// The same for people.
    pub message: Option<Box<str>>,
    /// Set by the kubelet when it takes the pod.
    #[serde(rename = "startTime", deserialize_with = "is_there")]
    pub taken: bool,
    /// `PodScheduled`, `Ready`, …
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
    /// Of the init containers.
    #[serde(deserialize_with = "or_default")]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Of the containers.
    #[serde(deserialize_with = "or_default")]
    pub container_statuses: Vec<ContainerStatus>,
}

/// A condition of a pod or a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: Box<str>,
    /// `True`, `False`, `Unknown`.
    pub status: Box<str>,
    /// One word.
    pub reason: Option<Box<str>>,
    /// For people.
    pub message: Option<Box<str>>,
}

/// What the kubelet says of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    /// The container's name.
    pub name: Box<str>,
    /// Whether it runs and answers.
    pub ready: bool,
    /// How often it was started again.
    pub restart_count: u32,
    /// Waiting, running or terminated.
    #[serde(deserialize_with = "or_default")]
    pub state: ContainerState,
}

/// One of three; none means waiting.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerState {
    /// For its image, its volumes, the next attempt.
    pub waiting: Option<Said>,
    /// It runs.
    #[serde(deserialize_with = "is_there")]
    pub running: bool,
    /// It has ended.
    pub terminated: Option<Said>,
}

/// The kubelet's words.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Said {
    /// One word.
    pub reason: Box<str>,
    /// For people.
    pub message: Box<str>,
    /// Where it ended.
    pub exit_code: i32,
}

impl Pod {
    /// The node it is bound to, else the one that the DaemonSet's controller made it for.
    pub fn node(&self) -> Option<&str> {
        if let Some(name) = &self.spec.node_name {
            return Some(name);
        }
        let required = self.spec.affinity.node_affinity.required.as_ref()?;
        let fields = required.node_selector_terms.iter().flat_map(|term| &term.match_fields);
        let named = fields.filter(|field| field.key == "metadata.name" && field.operator == "In");
        named.flat_map(|field| &field.values).map(AsRef::as_ref).next()
    }

    /// A condition by type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| &*condition.kind == kind)
    }

    /// What the kubelet says of a container, init or not.
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        let status = &self.status;
        status.container_statuses.iter().chain(&status.init_container_statuses).find(|c| &*c.name == name)
    }
}
