//! What is kept of each object, and since when it is as it is.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::images::ContainerImage;
use super::index::{BRIEF, Now};
use super::matrix::Finding;
use super::model::{DaemonSet, Node, Pod};
use super::pulled::Pulled;
use super::reasons::brief;
use super::refusals::Refusal;

/// A DaemonSet, and since when it is known.
#[derive(Clone, Debug)]
pub struct DaemonSetEntry {
    /// The object.
    pub set: DaemonSet,
    /// Its images, in the puller's order.
    pub images: Arc<[ContainerImage]>,
    /// Since when it is known.
    pub since: Now,
    /// The cluster refuses its pods, and nodes lack some.
    pub refused: Option<Refusal>,
    /// When the latest refusal was that was heard (RFC 3339): others are told again.
    pub(super) heard: Box<str>,
    pub(super) epoch: u32,
}

impl DaemonSetEntry {
    /// Whether the controller has spoken of the DaemonSet as it is now.
    pub fn has_spoken(&self) -> bool {
        self.set.status.observed_generation >= self.set.metadata.generation.max(1)
    }

    /// How many nodes should have a pod and have none, when pods are seen on so many. A pod that is being ended is its
    /// node's until it is gone: only then does the controller make another. A node that should have none any more
    /// has its pod for a while; it takes nobody's place, for the controller counts such nodes apart.
    pub fn lacks(&self, nodes: usize) -> usize {
        if self.has_spoken() { self.all().saturating_sub(nodes) } else { 0 }
    }

    /// Nodes that should have a pod, and others that still have one.
    pub fn all(&self) -> usize {
        let status = &self.set.status;
        status.desired_number_scheduled as usize + status.number_misscheduled as usize
    }

    /// The same in the controller's own words, which may come later than the pods but know of nodes that are gone.
    pub fn says_it_lacks(&self) -> usize {
        let status = &self.set.status;
        let current = status.current_number_scheduled.unwrap_or(status.desired_number_scheduled);
        if self.has_spoken() { status.desired_number_scheduled.saturating_sub(current) as usize } else { 0 }
    }
}

/// Where a pod is on its way: a change of it starts the patience anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The scheduler has not looked.
    New,
    /// The scheduler cannot place it.
    Unschedulable,
    /// Bound, and the kubelet says nothing.
    Bound,
    /// The kubelet has taken it.
    Taken,
    /// Its containers are ready and it is not: the node controller's word.
    Lost,
    /// Ready.
    Ready,
    /// It has failed: the node rejected or evicted it.
    Rejected,
    /// It is being ended.
    Ending,
}

/// A pod, and what else was said of it.
#[derive(Clone, Debug)]
pub struct PodEntry {
    /// The object; of its specification only where it goes is kept.
    pub pod: Pod,
    /// The uid of its DaemonSet.
    pub owner: Box<str>,
    /// Its containers and their images: one list for all pods of a template.
    pub images: Arc<[ContainerImage]>,
    /// Where it is on its way.
    pub stage: Stage,
    /// Since when.
    pub since: Now,
    /// Since when one of its images is beyond hope.
    pub fatal: Option<Now>,
    pub(super) epoch: u32,
}

impl PodEntry {
    /// The node it is made for, else its own name.
    pub fn place(&self) -> &str {
        // The controller names the node in every pod since Kubernetes 1.12.
        self.pod.spec.node_name.as_deref().unwrap_or(&self.pod.metadata.name)
    }

    /// Whether only its object is left: the controller makes another beside it.
    pub fn is_over(&self) -> bool {
        self.pod.metadata.deleting && matches!(&*self.pod.status.phase, "Succeeded" | "Failed")
    }

    /// Whether its containers are ready and it is not: the node controller's word.
    pub fn is_lost(&self) -> bool {
        let mut main = self.images.iter().filter(|one| !one.init).peekable();
        let ready = |one: &ContainerImage| self.pod.container(&one.container).is_some_and(|c| c.ready);
        let unready = self.pod.condition("Ready").is_some_and(|c| &*c.status == "False");
        main.peek().is_some() && main.all(ready) && unready
    }
}

/// What events said of a pod: they may come before it.
#[derive(Clone, Debug, Default)]
pub struct Words {
    /// By image: how the pull went.
    pub pulls: BTreeMap<Box<str>, Pull>,
    /// The latest trouble with the pod as a whole, and since when.
    pub trouble: Option<(Now, Finding)>,
}

/// What events said of a pull.
#[derive(Clone, Debug, Default)]
pub struct Pull {
    /// It went well.
    pub pulled: Option<Pulled>,
    /// It went wrong, the last time.
    pub failed: Option<Box<str>>,
}

/// A node that rejects a DaemonSet's pods.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// Since when.
    pub since: Now,
    /// Why, the last time.
    pub finding: Finding,
    /// Since when there is no pod of it.
    pub alone: Option<Now>,
}

/// A node, and since when it is as it is.
#[derive(Clone, Debug)]
pub struct NodeEntry {
    /// The object.
    pub node: Node,
    /// Since when it is known.
    pub known: Now,
    /// Since when it is as ready, or not, as it is.
    pub since: Now,
    pub(super) epoch: u32,
}

/// What is kept of the kubelet's words: they repeat layers of wrapping, on each of thousands of nodes.
pub(super) fn shorten(pod: &mut Pod) {
    let status = &mut pod.status;
    status.conditions.retain(|c| matches!(&*c.kind, "PodScheduled" | "Ready"));
    let texts = status.conditions.iter_mut().filter_map(|c| c.message.as_mut());
    let states = status.container_statuses.iter_mut().chain(&mut status.init_container_statuses);
    let said = states.flat_map(|c| [c.state.waiting.as_mut(), c.state.terminated.as_mut()]).flatten();
    for text in texts.chain(said.map(|said| &mut said.message)) {
        if text.len() > 4 * BRIEF {
            *text = brief(text, 4 * BRIEF).into();
        }
    }
}

pub(super) fn stage(entry: &PodEntry, bound: bool) -> Stage {
    let pod = &entry.pod;
    let status = &pod.status;
    let is = |kind: &str, value: &str| pod.condition(kind).is_some_and(|c| &*c.status == value);
    if pod.metadata.deleting {
        Stage::Ending
    } else if &*status.phase == "Failed" {
        Stage::Rejected
    } else if !bound {
        if is("PodScheduled", "False") { Stage::Unschedulable } else { Stage::New }
    } else if !status.taken && status.container_statuses.is_empty() {
        Stage::Bound
    } else if is("Ready", "True") {
        Stage::Ready
    } else if entry.is_lost() {
        Stage::Lost
    } else {
        Stage::Taken
    }
}
