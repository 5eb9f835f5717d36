//! From a pod to what it says of its node, and from a container to what it says of its image: pure.

use std::time::Duration;

use super::entries::{PodEntry, Rejection, Stage, Words};
use super::images::ContainerImage;
use super::index::{BRIEF, Now};
use super::judge::Wake;
use super::matrix::{Cell, Finding, ImageState, NodeState};
use super::policy::Policy;
use super::reasons::{self, Outlook, Reason, brief};

/// One DaemonSet's word on a node.
pub(super) struct Stand {
    pub state: NodeState,
    pub finding: Option<Finding>,
    pub cells: Vec<Cell>,
    /// Since when one of the images is beyond hope.
    pub fatal: Option<Now>,
}

impl Stand {
    pub fn new(state: NodeState, finding: Option<Finding>) -> Self {
        Stand { state, finding, cells: Vec::new(), fatal: None }
    }
}

/// What a node that rejects the pods is good for.
pub(super) fn rejected(rejection: &Rejection, policy: &Policy, wake: &mut Wake) -> Stand {
    let out = wake.over(rejection.since, policy.waits.rejected);
    Stand::new(if out { NodeState::Excluded } else { NodeState::Pulling }, Some(rejection.finding.clone()))
}

/// What one pod says of its node.
pub(super) fn stand(
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
        Stage::Ending if entry.is_lost() => doubt(
            entry.since,
            waits.not_ready,
            Finding::new(Reason::NotReady, "its pod is to end, and nothing is heard of it"),
        ),
        // Only when it has ended the controller makes another.
        Stage::Ending if replaced => doubt(
            entry.since,
            waits.silent,
            Finding::new(Reason::Silent, "its kubelet does not say that the pod which is to end has ended"),
        ),
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
pub(super) fn in_turn(cells: &mut [Cell], stage: Stage) {
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
    let failure = |reason: Reason, message: &str| {
        let state =
            if reason.outlook() == Outlook::Fatal { ImageState::Failed } else { ImageState::Retrying };
        (state, Some(Finding::new(reason, brief(message, BRIEF))))
    };
    let pull = |word: &str, message: &str| {
        // "Back-off pulling image" alone, as older kubelets say it, does not tell why; the event did.
        let bare = message.starts_with("Back-off pulling image") && !message.contains(": Err");
        let message = failed_pull.filter(|_| bare || message.is_empty()).unwrap_or(message);
        failure(reasons::pull(word, message, &one.image), message)
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
        return failure(ends(message), message);
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
            failure(if refused { Reason::PullerRefused } else { Reason::PullerWaits }, &said.message)
        }
        "CreateContainerError" | "RunContainerError" | "CrashLoopBackOff" | "PostStartHookError" => {
            failure(ends(&said.message), &said.message)
        }
        word => pull(word, &said.message),
    }
}
