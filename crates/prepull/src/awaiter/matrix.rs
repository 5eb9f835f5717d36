//! Node × image: what is known of each, and what follows for the run.

use std::sync::Arc;
use std::time::Duration;

use super::pulled::Pulled;
use super::reasons::Reason;

/// A reason with what was said.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Why.
    pub reason: Reason,
    /// The cluster's own words, made brief; may be empty.
    pub said: String,
}

impl Finding {
    /// A reason with what was said.
    pub fn new(reason: Reason, said: impl Into<String>) -> Self {
        Finding { reason, said: said.into() }
    }
}

impl std::fmt::Display for Finding {
    /// `ImageMissing: the registry has no such image (manifest unknown)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason.word(), self.reason.text())?;
        if self.said.is_empty() { Ok(()) } else { write!(f, " ({})", self.said) }
    }
}

/// Of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// Every image is there and in use.
    Warm,
    /// Not yet.
    Pulling,
    /// Named and left out.
    Excluded,
    /// It will not be.
    Failed,
}

impl NodeState {
    /// As JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            NodeState::Warm => "warm",
            NodeState::Pulling => "pulling",
            NodeState::Excluded => "excluded",
            NodeState::Failed => "failed",
        }
    }
}

/// Of an image on a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ImageState {
    /// On the node and in use.
    Warm,
    /// Its turn has not come.
    Waiting,
    /// Under way.
    Pulling,
    /// On the node; its container does not run yet.
    Starting,
    /// It went wrong, and is tried again.
    Retrying,
    /// Trying again is of no use.
    Failed,
}

impl ImageState {
    /// As JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            ImageState::Warm => "warm",
            ImageState::Waiting => "waiting",
            ImageState::Pulling => "pulling",
            ImageState::Starting => "starting",
            ImageState::Retrying => "retrying",
            ImageState::Failed => "failed",
        }
    }
}

/// An image on a node.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Position in [`Verdict::images`].
    pub image: usize,
    /// Where it is.
    pub state: ImageState,
    /// Why, if it is not well.
    pub finding: Option<Finding>,
    /// What its pull took.
    pub pulled: Option<Pulled>,
}

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its name.
    pub node: Arc<str>,
    /// Where it is.
    pub state: NodeState,
    /// Why, if it is not well.
    pub finding: Option<Finding>,
    /// Its images, in the pullers' order.
    pub cells: Vec<Cell>,
}

/// What follows for the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Something may still come; without it, judge again at this time.
    Wait(Duration),
    /// Done.
    Warm,
    /// It will not be done.
    Failed,
    /// The deadline has passed.
    Deadline,
}

/// What is known and what follows.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// The images, in the pullers' order.
    pub images: Vec<Arc<str>>,
    /// The nodes by name.
    pub rows: Vec<Row>,
    /// Nodes that should have a pod and have none yet: only their number is known.
    pub missing: usize,
    /// Nodes that must be warm.
    pub required: usize,
    /// What is said of the run, the most important first.
    pub findings: Vec<Finding>,
    /// What follows.
    pub decision: Decision,
}

impl Verdict {
    /// Nodes in a state.
    pub fn count(&self, state: NodeState) -> usize {
        self.rows.iter().filter(|row| row.state == state).count()
    }

    /// `2 of 3 nodes warm, 1 pulling`.
    pub fn summary(&self) -> String {
        let count = |state| self.count(state);
        let excluded = count(NodeState::Excluded);
        let eligible = self.rows.len() - excluded + self.missing;
        let mut text = format!("{} of {eligible} nodes warm", count(NodeState::Warm));
        for (number, word) in [
            (count(NodeState::Pulling), "pulling"),
            (self.missing, "without a pod"),
            (count(NodeState::Failed), "failed"),
            (excluded, "left out"),
        ] {
            if number > 0 {
                text.push_str(&format!(", {number} {word}"));
            }
        }
        text
    }
}
