//! What is read of Kubernetes' objects. The JSON is parsed straight into these: whatever else an object says is
//! skipped on the way, so that 5,000 nodes fit into little memory.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny};

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
}

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

/// Of a pod's specification.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodSpec {
    /// The node it is bound to.
    pub node_name: Option<Box<str>>,
    /// Where it may land.
    #[serde(deserialize_with = "or_default")]
    pub node_selector: BTreeMap<String, String>,
    /// Where it may land.
    #[serde(deserialize_with = "or_default")]
    pub affinity: Affinity,
    /// Taints that do not keep it away.
    #[serde(deserialize_with = "or_default")]
    pub tolerations: Vec<Toleration>,
    /// One after another, before the others.
    #[serde(deserialize_with = "or_default")]
    pub init_containers: Vec<ContainerSpec>,
    /// Side by side.
    #[serde(deserialize_with = "or_default")]
    pub containers: Vec<ContainerSpec>,
    /// Volumes, of which those made of images count.
    #[serde(deserialize_with = "or_default")]
    pub volumes: Vec<Volume>,
}

/// Of `spec.affinity`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Affinity {
    /// Of nodes.
    #[serde(deserialize_with = "or_default")]
    pub node_affinity: NodeAffinity,
}

/// Of `nodeAffinity`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeAffinity {
    /// What the node must meet, if anything.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<Terms>,
}

/// One of the terms must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Terms {
    /// The terms.
    #[serde(deserialize_with = "or_default")]
    pub node_selector_terms: Vec<Term>,
}

/// All of it must hold.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Term {
    /// Of the node's labels.
    #[serde(deserialize_with = "or_default")]
    pub match_expressions: Vec<Requirement>,
    /// Of the node's fields: its name.
    #[serde(deserialize_with = "or_default")]
    pub match_fields: Vec<Requirement>,
}

/// `key operator values`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Requirement {
    /// A label, or `metadata.name`.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt`, `Lt`.
    pub operator: String,
    /// Values.
    #[serde(deserialize_with = "or_default")]
    pub values: Vec<Box<str>>,
}

/// A toleration.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Toleration {
    /// The taint's key; empty for any.
    pub key: String,
    /// `Exists` or `Equal`.
    pub operator: String,
    /// The taint's value.
    pub value: String,
    /// The taint's effect; empty for any.
    pub effect: String,
}

/// Of a container's specification.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerSpec {
    /// Its name.
    pub name: Box<str>,
    /// Its image.
    pub image: Box<str>,
    /// Volumes by name.
    #[serde(deserialize_with = "or_default")]
    pub volume_mounts: Vec<Mount>,
}

/// A mounted volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// The volume's name.
    pub name: Box<str>,
}

/// Of a volume.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Volume {
    /// Its name.
    pub name: Box<str>,
    /// Where it is made of an image.
    pub image: Option<ImageVolume>,
}

/// A volume made of an image.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ImageVolume {
    /// The image.
    pub reference: Box<str>,
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

/// Of a node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its metadata.
    pub metadata: NodeMeta,
    /// What was said of it.
    pub spec: NodeSpec,
    /// How it is.
    pub status: NodeStatus,
}

/// Of a node's metadata.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeMeta {
    /// Its name.
    pub name: Box<str>,
    /// What selectors look at.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
}

/// Of a node's specification.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Cordoned.
    pub unschedulable: bool,
    /// Its taints.
    #[serde(deserialize_with = "or_default")]
    pub taints: Vec<Taint>,
}

/// A taint.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Taint {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule`, `NoExecute`.
    pub effect: String,
}

/// Of a node's status.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// `Ready`, `DiskPressure`, …
    #[serde(deserialize_with = "or_default")]
    pub conditions: Vec<Condition>,
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
