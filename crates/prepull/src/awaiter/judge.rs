//! From what was observed to what follows: pure, no clock but the time it is told.
//!
//! A run is *warm* when of each DaemonSet the controller has spoken of its present generation, each node that should
//! have a pod has an updated one, and on as many nodes as the quorum takes all of it is ready. Nodes that are named
//! and left out do not count. It has *failed* when so many nodes are beyond hope that the quorum cannot be met.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::entries::{DaemonSetEntry, PodEntry, Rejection, Stage};
use super::index::{Kind, Now, Observed};
use super::matrix::{Cell, Decision, Finding, ImageState, NodeState, Row, Verdict};
use super::nodes;
use super::policy::Policy;
use super::reasons::Reason;
use super::stand::{Stand, cell, in_turn, rejected, stand};

/// The next time at which waiting turns into a fact.
pub(super) struct Wake {
    now: Now,
    at: Now,
}

/// A node whose pods were rejected, and that has none for so long, is gone.
const ALONE: Duration = Duration::from_secs(30);

impl Wake {
    /// Whether `wait` is over since `since`; if not, it will be looked at again then.
    pub(super) fn over(&mut self, since: Now, wait: Duration) -> bool {
        let end = since.saturating_add(wait);
        if end > self.now {
            self.at = self.at.min(end);
        }
        end <= self.now
    }
}

/// Says how everything stands at `now` and what follows, with the run to end at `deadline`.
pub fn judge(observed: &Observed, policy: &Policy, now: Now, deadline: Now) -> Verdict {
    let mut wake = Wake { now, at: deadline };
    let mut sets: Vec<&DaemonSetEntry> = observed.daemonsets.values().collect();
    sets.sort_by(|a, b| a.set.metadata.name.cmp(&b.set.metadata.name));
    let images = names(&sets);
    let chosen = chosen(observed);
    let mut rows: BTreeMap<&str, Vec<Stand>> = BTreeMap::new();
    let (mut missing, mut unseen) = (0, 0);
    for entry in &sets {
        let lacks = one_set(entry, observed, policy, &chosen, &images, &mut rows, &mut wake);
        missing += lacks;
        unseen += entry.says_it_lacks().saturating_sub(lacks);
    }
    let mut rows = nodes::with_nodes(rows, observed, policy, &mut wake, |stand: &mut Vec<Stand>, finding| {
        stand.insert(0, Stand::new(NodeState::Excluded, Some(finding)));
    });
    // Of pods that were never listed nothing is known, not even that they are missing.
    if !observed.is_listed(Kind::Pods) {
        (missing, unseen) = (0, 0);
    } else if policy.nodes {
        missing = missing.saturating_sub(name_missing(&mut rows, observed, &sets));
    }
    let fatal = rows.values().flatten().filter_map(|stand| stand.fatal).min();
    let rows: Vec<Row> = rows.into_iter().map(|(node, stands)| row(node, stands)).collect();
    let eligible = rows.iter().filter(|row| row.state != NodeState::Excluded).count() + missing;
    let required = policy.quorum.of(eligible);
    let mut verdict =
        Verdict { images, rows, missing, required, findings: Vec::new(), decision: Decision::Deadline };
    let sum = Sum { eligible, unseen, fatal };
    verdict.decision = decide(&mut verdict, &sets, observed, policy, sum, &mut wake);
    if verdict.decision == Decision::Deadline {
        if now < deadline {
            verdict.decision = Decision::Wait(wake.at);
        } else if observed.trouble().is_some() || !observed.is_listed(Kind::Pods) {
            let trouble = observed.trouble().unwrap_or_default();
            verdict.findings.push(Finding::new(Reason::ApiUnreachable, trouble));
        }
    }
    verdict
}

/// What the nodes add up to.
#[derive(Clone, Copy)]
struct Sum {
    /// Those that are not left out.
    eligible: usize,
    /// Those more that should have a pod, by the controller's word alone.
    unseen: usize,
    /// Since when one of them is beyond hope.
    fatal: Option<Now>,
}

/// What follows; [`Decision::Deadline`] stands for "not yet".
fn decide(
    verdict: &mut Verdict,
    sets: &[&DaemonSetEntry],
    observed: &Observed,
    policy: &Policy,
    sum: Sum,
    wake: &mut Wake,
) -> Decision {
    let Sum { eligible, unseen, fatal } = sum;
    let ending = sets.iter().filter(|entry| entry.set.metadata.deleting).map(|e| &e.set.metadata.name);
    let mut gone: Vec<&String> = observed.deleted.iter().chain(ending).collect();
    gone.dedup();
    if !gone.is_empty() {
        verdict
            .findings
            .extend(gone.iter().map(|name| Finding::new(Reason::DaemonSetDeleted, name.as_str())));
        return Decision::Failed;
    }
    let mut refused_for_good = false;
    for entry in sets {
        if let Some(refusal) = &entry.refused {
            verdict.findings.push(Finding::new(Reason::PodsRefused, refusal.message.as_ref()));
            // While the API server is away, pods may come unseen.
            refused_for_good |= refusal.is_final
                && observed.trouble().is_none()
                && wake.over(refusal.since, policy.waits.refused);
        }
    }
    if refused_for_good {
        return Decision::Failed;
    }
    let listed = observed.is_listed(Kind::DaemonSets) && observed.is_listed(Kind::Pods);
    if !listed || sets.len() < policy.expect.max(1) {
        // Of what was never listed, the API server's silence is all that can be said.
        if observed.is_listed(Kind::DaemonSets) && sets.len() < policy.expect.max(1) {
            let said = format!("{} of {}", sets.len(), policy.expect.max(1));
            verdict.findings.push(Finding::new(Reason::NoDaemonSet, said));
        }
        return Decision::Deadline;
    }
    let silent = sets.iter().filter(|entry| !entry.has_spoken()).map(|entry| &entry.set.metadata.name);
    let silent: Vec<Finding> = silent.map(|name| Finding::new(Reason::Unanswered, name.as_str())).collect();
    if !silent.is_empty() {
        verdict.findings.extend(silent);
        return Decision::Deadline;
    }
    if verdict.missing > 0 {
        verdict.findings.push(Finding::new(Reason::PodsMissing, verdict.missing.to_string()));
    }
    if policy.nodes && !observed.is_listed(Kind::Nodes) {
        return Decision::Deadline;
    }
    let failed = verdict.count(NodeState::Failed);
    if failed > 0 && eligible - failed < verdict.required {
        if fatal.is_none_or(|since| wake.over(since, policy.waits.settle)) {
            verdict.findings.push(Finding::new(Reason::QuorumLost, ""));
            return Decision::Failed;
        }
        return Decision::Deadline;
    }
    if eligible == 0 && !verdict.rows.is_empty() {
        verdict.findings.push(Finding::new(Reason::AllExcluded, ""));
        return Decision::Failed;
    }
    if eligible == 0 {
        verdict.findings.push(Finding::new(Reason::NoNode, ""));
        let all = sets.iter().map(|entry| entry.since).max().unwrap_or_default();
        return if wake.over(all, policy.waits.zero) { Decision::Warm } else { Decision::Deadline };
    }
    let warm = verdict.count(NodeState::Warm);
    if warm < verdict.required {
        return Decision::Deadline;
    }
    if warm < policy.quorum.of(eligible + unseen) {
        verdict.findings.retain(|finding| finding.reason != Reason::PodsMissing);
        let all = verdict.missing + unseen;
        verdict.findings.push(Finding::new(Reason::PodsMissing, all.to_string()));
        return Decision::Deadline;
    }
    Decision::Warm
}

fn names(sets: &[&DaemonSetEntry]) -> Vec<Arc<str>> {
    let mut images: Vec<Arc<str>> = Vec::new();
    for one in sets.iter().flat_map(|entry| entry.images.iter()) {
        if !images.iter().any(|known| **known == *one.image) {
            images.push(Arc::from(&*one.image));
        }
    }
    images
}

/// The pod that counts of each DaemonSet on each node: the one that got furthest, the updated one before others.
fn chosen(observed: &Observed) -> BTreeMap<(&str, &str), &PodEntry> {
    let mut chosen: BTreeMap<(&str, &str), &PodEntry> = BTreeMap::new();
    let rank = |entry: &PodEntry| {
        let stage = match entry.stage {
            Stage::Ready => 7,
            Stage::Lost => 6,
            Stage::Taken => 5,
            Stage::Bound => 4,
            Stage::Unschedulable => 3,
            Stage::New => 2,
            Stage::Rejected => 1,
            Stage::Ending => 0,
        };
        let updated = observed.daemonsets.get(&entry.owner).is_some_and(|set| is_updated(set, entry));
        (entry.stage != Stage::Ending, updated, stage)
    };
    for entry in observed.pods.values().filter(|entry| !entry.is_over()) {
        let best = chosen.entry((&entry.owner, entry.place())).or_insert(entry);
        if rank(entry) > rank(best) {
            *best = entry;
        }
    }
    chosen
}

/// Whether a pod is of the DaemonSet's present template: by the template's generation, which the controller writes
/// to both, else by its images.
fn is_updated(set: &DaemonSetEntry, entry: &PodEntry) -> bool {
    let of_set = set.set.metadata.annotations.of_template.as_ref();
    let of_pod = entry.pod.metadata.labels.of_pod.as_ref();
    match (of_set, of_pod) {
        (Some(set), Some(pod)) => set == pod,
        _ => set.images == entry.images,
    }
}

/// Adds a DaemonSet's word to each of its nodes, and gives the number of nodes that have no pod of it yet.
fn one_set<'a>(
    entry: &'a DaemonSetEntry,
    observed: &'a Observed,
    policy: &Policy,
    chosen: &BTreeMap<(&str, &'a str), &'a PodEntry>,
    images: &[Arc<str>],
    rows: &mut BTreeMap<&'a str, Vec<Stand>>,
    wake: &mut Wake,
) -> usize {
    let uid = &*entry.set.metadata.uid;
    let after = |key: &(&str, &str)| key.0 == uid;
    let pods = chosen.range((uid, "")..).take_while(|(key, _)| after(key));
    let pods: BTreeMap<&'a str, &'a PodEntry> = pods.map(|(key, pod)| (key.1, *pod)).collect();
    // The controller makes the next pod at once: where none comes, the node is gone.
    let mut is_there = |rejection: &Rejection| rejection.alone.is_none_or(|since| !wake.over(since, ALONE));
    let rejections =
        observed.rejections.iter().filter(|(key, rejection)| *key.0 == *uid && is_there(rejection));
    let rejections: BTreeMap<&'a str, &'a Rejection> = rejections.map(|(key, r)| (&*key.1, r)).collect();
    let all: BTreeSet<&'a str> = pods.keys().chain(rejections.keys()).copied().collect();
    let ending = |node: &&&str| pods.get(**node).is_some_and(|pod| pod.stage == Stage::Ending);
    let live = all.len() - all.iter().filter(ending).count();
    let is_replaced = entry.all() > live;
    for &node in &all {
        let stand = match pods.get(node) {
            Some(pod) => {
                let words = observed.words.get(&pod.pod.metadata.uid);
                let updated = is_updated(entry, pod);
                let mut stand =
                    stand(pod, updated, words, rejections.get(node).copied(), is_replaced, policy, wake);
                for one in pod.images.iter() {
                    let (state, finding) = cell(pod, one, words);
                    let Some(image) = images.iter().position(|name| **name == *one.image) else { continue };
                    let pulled =
                        words.and_then(|words| words.pulls.get(&one.image)).and_then(|pull| pull.pulled);
                    let is_there = state == ImageState::Waiting && pulled.is_some();
                    let state = if is_there { ImageState::Starting } else { state };
                    stand.cells.push(Cell { image, state, finding, pulled });
                }
                in_turn(&mut stand.cells, pod.stage);
                stand
            }
            // Between two attempts of the controller there is no pod.
            None => rejections.get(node).map_or_else(
                || Stand::new(NodeState::Pulling, None),
                |rejection| rejected(rejection, policy, wake),
            ),
        };
        rows.entry(node).or_default().push(stand);
    }
    entry.lacks(all.len())
}

/// With the nodes read, those that should have a pod and have none are known by name. Gives their number.
fn name_missing<'a>(
    rows: &mut BTreeMap<&'a str, Vec<Stand>>,
    observed: &'a Observed,
    sets: &[&DaemonSetEntry],
) -> usize {
    let mut named = 0;
    for (name, entry) in &observed.nodes {
        if rows.contains_key(&**name)
            || !sets.iter().any(|set| nodes::lands(&set.set.spec.template.spec, &entry.node))
        {
            continue;
        }
        named += 1;
        let finding = Finding::new(Reason::PodsMissing, "1");
        rows.insert(name, vec![Stand::new(NodeState::Pulling, Some(finding))]);
    }
    named
}

/// A node's DaemonSets together: left out counts most, then failed; warm takes them all.
fn row(node: &str, stands: Vec<Stand>) -> Row {
    let worst = [NodeState::Excluded, NodeState::Failed, NodeState::Pulling, NodeState::Warm];
    let state = worst.into_iter().find(|state| stands.iter().any(|stand| stand.state == *state));
    let state = state.unwrap_or(NodeState::Pulling);
    let finding = stands.iter().filter(|stand| stand.state == state).find_map(|stand| stand.finding.clone());
    let mut cells: Vec<Cell> = Vec::new();
    for cell in stands.into_iter().flat_map(|stand| stand.cells) {
        if !cells.iter().any(|known| known.image == cell.image) {
            cells.push(cell);
        }
    }
    cells.sort_by_key(|cell| cell.image);
    let of_cells =
        || cells.iter().filter(|cell| cell.state == ImageState::Failed).find_map(|c| c.finding.clone());
    let finding = finding.or_else(|| if state == NodeState::Failed { of_cells() } else { None });
    Row { node: Arc::from(node), state, finding, cells }
}
