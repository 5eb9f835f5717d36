//! What is read of Kubernetes' objects. The JSON is parsed straight into these: whatever else an object says is
//! skipped on the way, so that 5,000 nodes fit into little memory.

mod node;
mod pod;
mod spec;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

pub use node::{Node, NodeMeta, NodeSpec, NodeStatus, Taint};
pub use pod::{Condition, ContainerState, ContainerStatus, Owner, Pod, PodMeta, PodStatus, Said};
pub use spec::{
    Affinity, ContainerSpec, ImageVolume, Mount, NodeAffinity, PodSpec, Requirement, Term, Terms, Toleration,
    Volume,
};

/// Reads `null` as nothing said: Go writes it for empty lists and times.
fn or_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Something is there; what, does not matter.
fn is_there<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::<IgnoredAny>::deserialize(from)?.is_some())
}

/// Of a DaemonSet.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DaemonSet {
    /// Its metadata.
    pub metadata: DaemonSetMeta,
    /// What is wanted.
    pub spec: DaemonSetSpec,
    /// What the controller says.
    pub status: DaemonSetStatus,
}

/// Of a DaemonSet's metadata.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonSetMeta {
    /// Its name.
    pub name: String,
    /// Unlike the name, never used again.
    pub uid: Box<str>,
    /// Counts changes of the specification.
    pub generation: i64,
    /// When it was made (RFC 3339, by the API server's clock).
    #[serde(deserialize_with = "or_default")]
    pub creation_timestamp: Box<str>,
    /// Whether it is being deleted.
    #[serde(rename = "deletionTimestamp", deserialize_with = "is_there")]
    pub deleting: bool,
    /// The one annotation that is read.
    #[serde(deserialize_with = "or_default")]
    pub annotations: TemplateGeneration,
}

/// Counts changes of the pod template: an annotation of the DaemonSet, and a label of each of its pods.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TemplateGeneration {
    /// On the DaemonSet.
    #[serde(rename = "deprecated.daemonset.template.generation")]
    pub of_template: Option<Box<str>>,
    /// On a pod.
    #[serde(rename = "pod-template-generation")]
    pub of_pod: Option<Box<str>>,
}

/// Of a DaemonSet's specification.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DaemonSetSpec {
    /// What its pods are made of.
    pub template: Template,
}

/// A pod template.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Template {
    /// The pod's specification.
    pub spec: PodSpec,
}

/// Of a DaemonSet's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DaemonSetStatus {
    /// The generation that the status speaks of; 0 before the controller has spoken.
    pub observed_generation: i64,
    /// Nodes that should have a pod.
    pub desired_number_scheduled: u32,
    /// Such that have one, whatever its state.
    pub current_number_scheduled: Option<u32>,
    /// Nodes that have a pod and should have none.
    pub number_misscheduled: u32,
}

/// Of an event.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Event {
    /// What it is about.
    pub involved_object: Involved,
    /// One word.
    #[serde(deserialize_with = "or_default")]
    pub reason: Box<str>,
    /// For people.
    #[serde(deserialize_with = "or_default")]
    pub message: Box<str>,
    /// Who says it.
    #[serde(deserialize_with = "or_default")]
    pub source: Speaker,
    /// When it was said the last time (RFC 3339, seconds).
    #[serde(deserialize_with = "or_default")]
    pub last_timestamp: Box<str>,
}

/// Who says an event (`v1.EventSource`).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Speaker {
    /// The program.
    pub component: Box<str>,
}

/// What an event is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Involved {
    /// `Pod`, `DaemonSet`, …
    pub kind: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its uid.
    pub uid: Box<str>,
}
