//! Of a node.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Condition, or_default};

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
