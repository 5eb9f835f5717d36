//! From what was observed to what follows: pure, no clock but the time it is told.
//!
//! A run is *warm* when of each DaemonSet the controller has spoken of its present generation, each node that should
//! have a pod has an updated one, and on as many nodes as the quorum takes all of it is ready. Nodes that are named
//! and left out do not count. It has *failed* when so many nodes are beyond hope that the quorum cannot be met.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::images::ContainerImage;
use super::index::{BRIEF, DaemonSetEntry, Kind, Now, Observed, PodEntry, Rejection, Stage, Words};
use super::matrix::{Cell, Decision, Finding, ImageState, NodeState, Row, Verdict};
use super::nodes;
use super::policy::Policy;
use super::reasons::{self, Outlook, Reason, brief};

/// The next time at which waiting turns into a fact.
pub(super) struct Wake {
    now: Now,
    at: Now,
}

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

/// One DaemonSet's word on a node.
struct Stand {
    state: NodeState,
    finding: Option<Finding>,
    cells: Vec<Cell>,
    fatal: Option<Now>,
}

impl Stand {
    fn new(state: NodeState, finding: Option<Finding>) -> Self {
        Stand { state, finding, cells: Vec::new(), fatal: None }
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
    let mut missing = 0;
    for entry in &sets {
        missing += one_set(entry, observed, policy, &chosen, &images, &mut rows, &mut wake);
    }
    let mut rows = nodes::with_nodes(rows, observed, policy, &mut wake, |stand: &mut Vec<Stand>, finding| {
        stand.insert(0, Stand::new(NodeState::Excluded, Some(finding)));
    });
    if policy.nodes && observed.is_listed(Kind::Pods) {
        missing = missing.saturating_sub(name_missing(&mut rows, observed, &sets));
    }
    let fatal = rows.values().flatten().filter_map(|stand| stand.fatal).min();
    let rows: Vec<Row> = rows.into_iter().map(|(node, stands)| row(node, stands)).collect();
    let eligible = rows.iter().filter(|row| row.state != NodeState::Excluded).count() + missing;
    let required = policy.quorum.of(eligible);
    let mut verdict =
        Verdict { images, rows, missing, required, findings: Vec::new(), decision: Decision::Deadline };
    verdict.decision = decide(&mut verdict, &sets, observed, policy, eligible, fatal, &mut wake);
    if verdict.decision == Decision::Deadline {
        if now < deadline {
            verdict.decision = Decision::Wait(wake.at);
        } else if observed.trouble.is_some() || !observed.is_listed(Kind::DaemonSets) {
            let trouble = observed.trouble.clone().unwrap_or_default();
            verdict.findings.push(Finding::new(Reason::ApiUnreachable, trouble));
        }
    }
    verdict
}

/// What follows; [`Decision::Deadline`] stands for "not yet".
fn decide(
    verdict: &mut Verdict,
    sets: &[&DaemonSetEntry],
    observed: &Observed,
    policy: &Policy,
    eligible: usize,
    fatal: Option<Now>,
    wake: &mut Wake,
) -> Decision {
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
        if let Some((since, message)) = &entry.refused {
            verdict.findings.push(Finding::new(Reason::PodsRefused, message.as_ref()));
            refused_for_good |= reasons::is_final_refusal(message) && wake.over(*since, policy.waits.refused);
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
    let silent = sets.iter().filter(|entry| !has_spoken(entry)).map(|entry| &entry.set.metadata.name);
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
    if verdict.count(NodeState::Warm) >= verdict.required { Decision::Warm } else { Decision::Deadline }
}

/// Whether the controller has spoken of the DaemonSet as it is now.
fn has_spoken(entry: &DaemonSetEntry) -> bool {
    let set = &entry.set;
    set.status.observed_generation >= set.metadata.generation.max(1)
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
    for entry in observed.pods.values() {
        // The controller names the node in every pod since Kubernetes 1.12.
        let node = entry.pod.spec.node_name.as_deref().unwrap_or(&entry.pod.metadata.name);
        let best = chosen.entry((&entry.owner, node)).or_insert(entry);
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
    let rejections = observed.rejections.iter().filter(|(key, _)| *key.0 == *uid);
    let rejections: BTreeMap<&'a str, &'a Rejection> = rejections.map(|(key, r)| (&*key.1, r)).collect();
    let live = pods.iter().filter(|(_, pod)| pod.stage != Stage::Ending).map(|(node, _)| *node);
    let covered: BTreeSet<&str> = live.chain(rejections.keys().copied()).collect();
    let desired = entry.set.status.desired_number_scheduled as usize;
    let more = if has_spoken(entry) { desired.saturating_sub(covered.len()) } else { 0 };
    for node in pods.keys().chain(rejections.keys()).copied().collect::<BTreeSet<&'a str>>() {
        let stand = match pods.get(node) {
            Some(pod) => {
                let words = observed.words.get(&pod.pod.metadata.uid);
                let updated = is_updated(entry, pod);
                let mut stand =
                    stand(pod, updated, words, rejections.get(node).copied(), more > 0, policy, wake);
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
    more
}

fn rejected(rejection: &Rejection, policy: &Policy, wake: &mut Wake) -> Stand {
    let out = wake.over(rejection.since, policy.waits.rejected);
    Stand::new(if out { NodeState::Excluded } else { NodeState::Pulling }, Some(rejection.finding.clone()))
}

/// What one pod says of its node.
fn stand(
    entry: &PodEntry,
    updated: bool,
    words: Option<&Words>,
    rejection: Option<&Rejection>,
    replaced: bool,
    policy: &Policy,
    wake: &mut Wake,
) -> Stand {
    let waits = &policy.waits;
    // Until it is a fact, it is not said.
    let mut doubt = |since: Now, wait: Duration, finding: Finding| match wake.over(since, wait) {
        true => Stand::new(NodeState::Excluded, Some(finding)),
        false => Stand::new(NodeState::Pulling, None),
    };
    if let Some(rejection) =
        rejection.filter(|_| matches!(entry.stage, Stage::New | Stage::Bound | Stage::Rejected))
    {
        return rejected(rejection, policy, wake);
    }
    match entry.stage {
        Stage::New | Stage::Rejected => Stand::new(NodeState::Pulling, None),
        Stage::Unschedulable => {
            let message = entry.pod.condition("PodScheduled").and_then(|c| c.message.as_deref());
            let message = message.unwrap_or_default();
            // What it says of pre-emption helps nobody here.
            let said = message.split(" preemption:").next().unwrap_or(message);
            doubt(
                entry.since,
                waits.scheduling,
                Finding::new(reasons::unschedulable(message), brief(said, BRIEF)),
            )
        }
        Stage::Bound => doubt(
            entry.since,
            waits.silent,
            Finding::new(Reason::Silent, "its kubelet has said nothing of the pod that it was given"),
        ),
        Stage::Lost => {
            let ready = entry.pod.condition("Ready");
            let said = ready.and_then(|c| c.message.as_deref().or(c.reason.as_deref())).unwrap_or_default();
            let finding = Finding::new(Reason::NotReady, brief(said, BRIEF));
            doubt(entry.since, waits.not_ready, finding)
        }
        Stage::Ending if replaced => Stand::new(NodeState::Pulling, None),
        Stage::Ending => doubt(
            entry.since,
            waits.not_ready,
            Finding::new(Reason::Silent, "its pod is being ended, and no other comes"),
        ),
        Stage::Ready if !updated => {
            Stand::new(NodeState::Pulling, Some(Finding::new(Reason::PodOfBefore, &*entry.pod.metadata.name)))
        }
        Stage::Ready | Stage::Taken => {
            let all_warm = entry.images.iter().all(|one| cell(entry, one, words).0 == ImageState::Warm);
            if entry.stage == Stage::Ready && all_warm {
                return Stand::new(NodeState::Warm, None);
            }
            if let Some(since) = entry.fatal {
                return Stand { fatal: Some(since), ..Stand::new(NodeState::Failed, None) };
            }
            match words.and_then(|words| words.trouble.as_ref()) {
                Some((since, finding)) if !started(entry) && finding.reason == Reason::NetworkNotReady => {
                    doubt(*since, waits.silent, finding.clone())
                }
                Some((_, finding)) if !started(entry) => {
                    Stand::new(NodeState::Pulling, Some(finding.clone()))
                }
                _ => Stand::new(NodeState::Pulling, None),
            }
        }
    }
}

/// Whether anything of the pod has got further than waiting for its surroundings.
fn started(entry: &PodEntry) -> bool {
    let status = &entry.pod.status;
    let mut all = status.init_container_statuses.iter().chain(&status.container_statuses);
    all.any(|c| {
        let waits = c.state.waiting.as_ref();
        !waits.is_none_or(|said| matches!(&*said.reason, "" | "ContainerCreating" | "PodInitializing"))
            || c.state.running
            || c.state.terminated.is_some()
    })
}

/// The kubelet brings a pod's images one after another: of those that only wait, the first is under way.
fn in_turn(cells: &mut [Cell], stage: Stage) {
    if !matches!(stage, Stage::Taken | Stage::Lost) {
        return;
    }
    if let Some(first) = cells.iter_mut().find(|cell| cell.state == ImageState::Waiting) {
        first.state = ImageState::Pulling;
    }
}

/// How an image is doing in a pod, by its container's state and the events.
pub(super) fn cell(
    entry: &PodEntry,
    one: &ContainerImage,
    words: Option<&Words>,
) -> (ImageState, Option<Finding>) {
    let heard = words.and_then(|words| words.pulls.get(&one.image));
    let failed_pull = heard.and_then(|pull| pull.failed.as_deref());
    let pull = |word: &str, message: &str| {
        // "Back-off pulling image" alone, as older kubelets say it, does not tell why; the event did.
        let bare = message.starts_with("Back-off pulling image") && !message.contains(": Err");
        let message = failed_pull.filter(|_| bare || message.is_empty()).unwrap_or(message);
        let reason = reasons::pull(word, message, &one.image);
        let state = match reason.outlook() {
            Outlook::Fatal => ImageState::Failed,
            _ => ImageState::Retrying,
        };
        (state, Some(Finding::new(reason, brief(message, BRIEF))))
    };
    let puller = |reason: Reason, message: &str| {
        let state =
            if reason.outlook() == Outlook::Fatal { ImageState::Failed } else { ImageState::Retrying };
        (state, Some(Finding::new(reason, brief(message, BRIEF))))
    };
    let Some(status) = entry.pod.container(&one.container) else {
        return failed_pull.map_or((ImageState::Waiting, None), |message| pull("ErrImagePull", message));
    };
    let ends = |message: &str| match () {
        () if message.contains("exec format error") => Reason::WrongPlatform,
        () if status.restart_count >= 3 => Reason::PullerEnds,
        () => Reason::PullerWaits,
    };
    if let Some(said) = &status.state.terminated {
        if one.init && said.exit_code == 0 {
            return (ImageState::Warm, None);
        }
        let message = if said.message.is_empty() { &said.reason } else { &said.message };
        return puller(ends(message), message);
    }
    if status.state.running {
        let warm = status.ready && !one.init;
        return (if warm { ImageState::Warm } else { ImageState::Starting }, None);
    }
    let Some(said) = &status.state.waiting else { return (ImageState::Waiting, None) };
    match &*said.reason {
        "" | "ContainerCreating" | "PodInitializing" => {
            failed_pull.map_or((ImageState::Waiting, None), |message| pull("ErrImagePull", message))
        }
        "CreateContainerConfigError" => {
            let never = ["run as root", "non-numeric user", "verify user is non-root"];
            let refused = never.iter().any(|words| said.message.contains(words));
            puller(if refused { Reason::PullerRefused } else { Reason::PullerWaits }, &said.message)
        }
        "CreateContainerError" | "RunContainerError" | "CrashLoopBackOff" | "PostStartHookError" => {
            puller(ends(&said.message), &said.message)
        }
        word => pull(word, &said.message),
    }
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
