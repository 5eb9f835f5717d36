//! What has been observed so far. Objects come one by one (`apply`, `delete`) or as a whole list (`begin`, `done`);
//! nothing here asks for anything, and the only clock is the time that each is told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::end;
pub use super::entries::{DaemonSetEntry, NodeEntry, PodEntry, Pull, Rejection, Stage, Words};
use super::entries::{shorten, stage};
use super::images::{ContainerImage, images_of};
use super::matrix::Finding;
use super::model::{DaemonSet, Event, Node, Pod};
use super::pulled::{Pulled, pulled};
use super::reasons::{self, Reason, brief};
use super::refusals::Refusal;

/// Bytes of the cluster's words that are kept.
pub(crate) const BRIEF: usize = 400;

/// Time since the awaiter started.
pub type Now = Duration;

/// A kind of object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// DaemonSets.
    DaemonSets,
    /// Their pods.
    Pods,
    /// What is said of them.
    Events,
    /// Nodes.
    Nodes,
}

/// An object of any kind.
#[derive(Clone, Debug)]
pub enum Object {
    /// A DaemonSet.
    DaemonSet(Box<DaemonSet>),
    /// A pod.
    Pod(Box<Pod>),
    /// An event.
    Event(Box<Event>),
    /// A node.
    Node(Box<Node>),
}

/// What a stream says.
#[derive(Clone, Debug)]
pub enum Update {
    /// A list begins: what it does not name is gone when it is done.
    Begin(Kind),
    /// The list is whole.
    Done(Kind),
    /// There is this, or it has changed to this.
    Apply(Object),
    /// This is gone.
    Delete(Object),
}

/// Everything observed so far.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// By uid.
    pub daemonsets: BTreeMap<Box<str>, DaemonSetEntry>,
    /// Names of those that were there and were deleted.
    pub deleted: Vec<String>,
    /// By uid.
    pub pods: BTreeMap<Box<str>, PodEntry>,
    /// By the pod's uid.
    pub words: BTreeMap<Box<str>, Words>,
    /// By the DaemonSet's uid and the node.
    pub rejections: BTreeMap<(Box<str>, Box<str>), Rejection>,
    /// By name.
    pub nodes: BTreeMap<Box<str>, NodeEntry>,
    /// What awaiters have said at their end, by the uid of the object of which they said it.
    pub ends: BTreeMap<Box<str>, Box<str>>,
    troubles: [Option<String>; 4],
    lists: Vec<Arc<[ContainerImage]>>,
    listed: [bool; 4],
    epochs: [u32; 4],
}

/// Words on pods that are not known (yet) are kept up to so many pods.
const WORDS: usize = 20_000;

impl Observed {
    /// Whether a kind was listed whole at least once.
    pub fn is_listed(&self, kind: Kind) -> bool {
        self.listed[kind as usize]
    }

    /// What the API server's trouble is, while there is any with one of the kinds.
    pub fn trouble(&self) -> Option<&str> {
        self.troubles.iter().find_map(Option::as_deref)
    }

    /// Takes what the API server's trouble with a kind is, or that there is none any more.
    pub fn troubled(&mut self, kind: Kind, trouble: Option<String>) {
        self.troubles[kind as usize] = trouble;
    }

    /// Takes the next word of a stream.
    pub fn update(&mut self, update: Update, now: Now) {
        match update {
            Update::Begin(kind) => self.epochs[kind as usize] += 1,
            Update::Done(kind) => self.done(kind, now),
            Update::Apply(Object::DaemonSet(set)) => self.daemonset(*set, now),
            Update::Apply(Object::Pod(pod)) => self.pod(*pod, now),
            Update::Apply(Object::Event(event)) => self.event(&event, now),
            Update::Apply(Object::Node(node)) => self.node(*node, now),
            Update::Delete(Object::DaemonSet(set)) => self.forget_daemonset(&set.metadata.uid),
            Update::Delete(Object::Pod(pod)) => self.forget_pod(&pod.metadata.uid, now),
            Update::Delete(Object::Node(node)) => {
                self.nodes.remove(&node.metadata.name);
                self.rejections.retain(|(_, name), _| **name != *node.metadata.name);
            }
            // Events end after an hour; what they said stays true.
            Update::Delete(Object::Event(_)) => {}
        }
    }

    fn done(&mut self, kind: Kind, now: Now) {
        self.listed[kind as usize] = true;
        let epoch = self.epochs[kind as usize];
        match kind {
            Kind::DaemonSets => {
                let gone = self.daemonsets.iter().filter(|(_, entry)| entry.epoch != epoch);
                let gone: Vec<_> = gone.map(|(uid, _)| uid.clone()).collect();
                gone.iter().for_each(|uid| self.forget_daemonset(uid));
            }
            Kind::Pods => {
                let gone = self.pods.iter().filter(|(_, entry)| entry.epoch != epoch);
                let gone: Vec<_> = gone.map(|(uid, _)| uid.clone()).collect();
                gone.iter().for_each(|uid| self.forget_pod(uid, now));
            }
            Kind::Nodes => self.nodes.retain(|_, entry| entry.epoch == epoch),
            Kind::Events => {}
        }
    }

    fn daemonset(&mut self, set: DaemonSet, now: Now) {
        let epoch = self.epochs[Kind::DaemonSets as usize];
        let old = self.daemonsets.remove(&set.metadata.uid);
        let images = self.one_list(images_of(&set.spec.template.spec));
        let known = old.map(|old| (old.since, old.refused, old.heard));
        let (since, refused, heard) = known.unwrap_or_else(|| (now, None, Box::default()));
        let entry = DaemonSetEntry { images, since, refused, heard, epoch, set };
        let uid = entry.set.metadata.uid.clone();
        self.daemonsets.insert(uid.clone(), entry);
        self.forget_refusal(&uid);
    }

    /// All pods of a template have the same list: it is kept once, for as long as one of them is there.
    fn one_list(&mut self, images: Vec<ContainerImage>) -> Arc<[ContainerImage]> {
        if let Some(known) = self.lists.iter().find(|known| known[..] == images[..]) {
            return Arc::clone(known);
        }
        self.lists.retain(|known| Arc::strong_count(known) > 1);
        let list: Arc<[ContainerImage]> = images.into();
        self.lists.push(Arc::clone(&list));
        list
    }

    fn forget_daemonset(&mut self, uid: &str) {
        if let Some(entry) = self.daemonsets.remove(uid) {
            self.deleted.push(entry.set.metadata.name);
        }
    }

    fn pod(&mut self, mut pod: Pod, now: Now) {
        let uid = pod.metadata.uid.clone();
        let images = self.one_list(images_of(&pod.spec));
        // One place to look for the node, and little memory.
        let node: Option<Box<str>> = pod.node().map(Into::into);
        let bound = pod.spec.node_name.is_some();
        let owner = pod.metadata.owner_references.first().map(|owner| owner.uid.clone()).unwrap_or_default();
        pod.metadata.owner_references = Vec::new();
        pod.spec = super::model::PodSpec { node_name: node, ..Default::default() };
        shorten(&mut pod);
        let old = self.pods.get(&uid);
        let mut entry = PodEntry {
            owner,
            images,
            stage: Stage::New,
            since: now,
            fatal: old.and_then(|old| old.fatal),
            epoch: self.epochs[Kind::Pods as usize],
            pod,
        };
        entry.stage = stage(&entry, bound);
        entry.since = old.filter(|old| old.stage == entry.stage).map_or(now, |old| old.since);
        let is_new = old.is_none();
        self.remember_rejection(&entry, now);
        entry.fatal = self.is_fatal(&entry).then(|| entry.fatal.unwrap_or(now));
        let owner = entry.owner.clone();
        self.pods.insert(uid, entry);
        if let Some(set) = self.daemonsets.get_mut(&owner).filter(|_| is_new)
            && let Some(refusal) = &mut set.refused
        {
            // Where one pod comes, others may.
            refusal.since = now;
            self.forget_refusal(&owner);
        }
    }

    /// A refusal that was overcome says nothing any more, not even when a node joins later.
    fn forget_refusal(&mut self, uid: &str) {
        let Some(set) = self.daemonsets.get(uid).filter(|set| set.refused.is_some() && set.has_spoken())
        else {
            return;
        };
        let pods = self.pods.values().filter(|entry| *entry.owner == *uid && !entry.is_over());
        let rejecting = self.rejections.keys().filter(|(owner, _)| **owner == *uid).map(|(_, node)| &**node);
        let nodes: BTreeSet<&str> = pods.map(PodEntry::place).chain(rejecting).collect();
        if set.lacks(nodes.len()) == 0
            && let Some(set) = self.daemonsets.get_mut(uid)
        {
            set.refused = None;
        }
    }

    /// The controller deletes a rejected pod at once and makes another: what the node said is kept until a pod of
    /// the same DaemonSet gets further.
    fn remember_rejection(&mut self, entry: &PodEntry, now: Now) {
        let Some(node) = &entry.pod.spec.node_name else { return };
        let key = (entry.owner.clone(), node.clone());
        if let Some(rejection) = self.rejections.get_mut(&key) {
            rejection.alone = None;
        }
        match entry.stage {
            Stage::Rejected => {
                let status = &entry.pod.status;
                let word = status.reason.as_deref().unwrap_or_default();
                let message = status.message.as_deref().unwrap_or_default();
                let reason = reasons::rejected(word, message);
                let said = brief(if message.is_empty() { word } else { message }, BRIEF);
                let finding = Finding::new(reason, said);
                let since = self.rejections.get(&key).map_or(now, |old| old.since);
                self.rejections.insert(key, Rejection { since, finding, alone: None });
            }
            Stage::Taken | Stage::Ready | Stage::Lost => {
                self.rejections.remove(&key);
            }
            Stage::New | Stage::Unschedulable | Stage::Bound | Stage::Ending => {}
        }
    }

    fn forget_pod(&mut self, uid: &str, now: Now) {
        self.words.remove(uid);
        let Some(entry) = self.pods.remove(uid) else { return };
        let Some(node) = entry.pod.spec.node_name else { return };
        if let Some(rejection) = self.rejections.get_mut(&(entry.owner, node)) {
            rejection.alone = Some(now);
        }
    }

    fn event(&mut self, event: &Event, now: Now) {
        let about = &event.involved_object;
        if &*event.source.component == end::COMPONENT && !about.uid.is_empty() {
            self.ends.insert(about.uid.clone(), event.message.clone());
            return;
        }
        if &*about.kind == "DaemonSet" {
            let is_news = |set: &&mut DaemonSetEntry| {
                &*event.reason == "FailedCreate"
                    && (event.last_timestamp.is_empty() || event.last_timestamp > set.heard)
            };
            if let Some(set) = self.daemonsets.get_mut(&about.uid).filter(is_news) {
                set.heard = event.last_timestamp.clone();
                set.refused = Some(Refusal::heard(&event.message, set.refused.as_ref(), now));
                self.forget_refusal(&about.uid);
            }
            return;
        }
        // In a hub's namespace most events are about users' pods.
        let ours = self.pods.contains_key(&about.uid)
            || self.daemonsets.values().any(|entry| {
                about
                    .name
                    .strip_prefix(entry.set.metadata.name.as_str())
                    .is_some_and(|rest| rest.starts_with('-'))
            });
        if &*about.kind != "Pod" || !ours {
            return;
        }
        if !self.words.contains_key(&about.uid) && self.words.len() >= WORDS {
            self.words.pop_first();
        }
        let words = self.words.entry(about.uid.clone()).or_default();
        match &*event.reason {
            "Pulled" => {
                if let Some((image, took)) = pulled(&event.message) {
                    let pull = words.pulls.entry(image.into()).or_default();
                    // The kubelet says "already present" when a container is started again.
                    let is_news = took != Pulled::default();
                    pull.pulled = pull.pulled.filter(|_| !is_news).or(Some(took));
                    pull.failed = None;
                }
            }
            "Failed" => {
                if let Some((image, why)) = failed_pull(&event.message) {
                    words.pulls.entry(image.into()).or_default().failed = Some(brief(why, BRIEF).into());
                }
            }
            "NetworkNotReady" | "FailedCreatePodSandBox" | "FailedMount" | "FailedAttachVolume" => {
                let network = &*event.reason == "NetworkNotReady";
                let reason = if network { Reason::NetworkNotReady } else { Reason::SandboxFailed };
                let since =
                    words.trouble.as_ref().filter(|(_, old)| old.reason == reason).map_or(now, |(at, _)| *at);
                words.trouble = Some((since, Finding::new(reason, brief(&event.message, BRIEF))));
            }
            _ => {}
        }
        let Some(mut entry) = self.pods.remove(&about.uid) else { return };
        entry.fatal = self.is_fatal(&entry).then(|| entry.fatal.unwrap_or(now));
        self.pods.insert(about.uid.clone(), entry);
    }

    fn is_fatal(&self, entry: &PodEntry) -> bool {
        let words = self.words.get(&entry.pod.metadata.uid);
        entry.images.iter().any(|one| {
            let cell = super::stand::cell(entry, one, words);
            cell.0 == super::matrix::ImageState::Failed
        })
    }

    fn node(&mut self, mut node: Node, now: Now) {
        node.status
            .conditions
            .retain(|c| matches!(&*c.kind, "Ready" | "DiskPressure" | "MemoryPressure" | "PIDPressure"));
        for condition in &mut node.status.conditions {
            condition.message = condition.message.as_deref().map(|text| brief(text, BRIEF).into());
        }
        let name = node.metadata.name.clone();
        let ready = |node: &Node| {
            let mut conditions = node.status.conditions.iter();
            conditions.find(|c| &*c.kind == "Ready").map(|c| c.status.clone()).unwrap_or_default()
        };
        let (known, since) = match self.nodes.get(&name) {
            Some(old) if ready(&old.node) == ready(&node) => (old.known, old.since),
            Some(old) => (old.known, now),
            None => (now, now),
        };
        let epoch = self.epochs[Kind::Nodes as usize];
        self.nodes.insert(name, NodeEntry { node, known, since, epoch });
    }
}

/// `Failed to pull image "x": why`, and for volumes made of images `Failed to pull image volume…` in some releases.
fn failed_pull(message: &str) -> Option<(&str, &str)> {
    let rest = message.strip_prefix("Failed to pull image \"")?;
    rest.split_once("\": ")
}
