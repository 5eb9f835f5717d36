//! The image set: what the verb `images` prints and what the pullers are made of.

use std::collections::BTreeMap;

use serde::Serialize;

/// Where a pod can land.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Placement {
    /// Labels that the node has.
    pub node_selector: BTreeMap<String, String>,
    /// Taints that the pod takes, as Kubernetes writes them.
    pub tolerations: Vec<serde_json::Value>,
    /// Required node selector terms, one of which the node meets; none asks for nothing.
    pub affinity: Vec<serde_json::Value>,
    /// Resources as `nvidia.com/gpu` that the pod asks for: the node has them, and clusters that taint such nodes
    /// let the pod pass by itself (admission plugin ExtendedResourceToleration).
    pub extended_resources: Vec<String>,
}

/// What an image is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The user's server.
    User,
    /// A container before it.
    Init,
    /// A container beside it.
    Sidecar,
    /// A volume made of an image.
    Volume,
    /// Named in the hub's Python code.
    Code,
    /// `prePuller.extraImages`.
    Extra,
    /// The container that Z2JH's pullers end in.
    Pause,
    /// Placeholders for users to come.
    Placeholder,
}

/// An image that a user's pod, or the chart beside it, can need.
#[derive(Clone, Debug, Serialize)]
pub struct Image {
    /// As it is written, where it is written first.
    pub image: String,
    /// The same with registry, `library/` and `:latest` written out: equal for equal images.
    pub normalized: String,
    /// What it is there for.
    pub roles: Vec<Role>,
    /// The key paths that name it.
    pub sources: Vec<String>,
    /// For each of `sources`, the file and line; `line` is 0 for a default of the chart.
    pub places: Vec<FileLine>,
    /// The strictest one said: Always, IfNotPresent, Never; none leaves it to Kubernetes.
    pub pull_policy: Option<String>,
    /// Secrets that pods with it pull with.
    pub pull_secrets: Vec<String>,
    /// Labels of every node that a pod with it can land on: what its groups have in common.
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations of every pod with it: what its groups have in common.
    pub tolerations: Vec<serde_json::Value>,
    /// Required node affinity, where its groups agree.
    pub affinity: Vec<serde_json::Value>,
    /// Its groups, as positions in [`ImageSet::groups`]; none for what is no part of a user's pod.
    pub groups: Vec<usize>,
}

/// A file and a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileLine {
    /// The file as it was named, or the release whose default it is.
    pub file: String,
    /// The line, from 1; 0 where there is none.
    pub line: u32,
}

/// Images that can land on the same nodes.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Which nodes.
    #[serde(flatten)]
    pub placement: Placement,
    /// The images, as written, in the order of the values.
    pub images: Vec<String>,
    /// Secrets that they are pulled with.
    pub pull_secrets: Vec<String>,
}

/// What no reader can know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unknown {
    /// The key path.
    pub source: String,
    /// Why.
    pub reason: String,
    /// The file as it was named.
    pub file: String,
    /// The line, from 1; 0 where there is none.
    pub line: u32,
}

/// Something that is read, but may not be what was meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// The key path, or the key.
    pub source: String,
    /// What.
    pub text: String,
    /// The file as it was named.
    pub file: String,
    /// The line, from 1; 0 where there is none.
    pub line: u32,
}

/// Every image that a deployment's users can start, and where.
#[derive(Clone, Debug, Serialize)]
pub struct ImageSet {
    /// The images, in the order of the values.
    pub images: Vec<Image>,
    /// The places, in the order of the values.
    pub groups: Vec<Group>,
    /// What no reader can know.
    pub unknown: Vec<Unknown>,
    /// What may not be as meant.
    pub notes: Vec<Note>,
    /// `prePuller.extraTolerations`: what pullers tolerate beyond the pods of their group.
    pub puller_tolerations: Vec<serde_json::Value>,
    /// The release whose defaults were taken.
    pub z2jh_version: String,
}
