//! Of a pod's specification: where it may land, and what stands for which image.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::or_default;

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
