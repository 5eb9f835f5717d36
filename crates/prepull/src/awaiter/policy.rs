//! What counts as done, and how long each doubt is given.

use std::str::FromStr;
use std::time::Duration;

/// How many nodes must be warm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quorum {
    /// Of the nodes that are not left out, rounded up.
    Percent(u8),
    /// So many.
    Nodes(usize),
}

impl Quorum {
    /// The nodes that it takes, when `eligible` are not left out.
    pub fn of(self, eligible: usize) -> usize {
        match self {
            Quorum::Percent(percent) => (eligible * usize::from(percent)).div_ceil(100),
            Quorum::Nodes(nodes) => nodes,
        }
    }
}

impl FromStr for Quorum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is neither a percentage from 1% to 100% nor a number of nodes from 1");
        if let Some(percent) = text.strip_suffix('%') {
            let percent = percent.parse().map_err(|_| wrong())?;
            return if (1..=100).contains(&percent) { Ok(Quorum::Percent(percent)) } else { Err(wrong()) };
        }
        let nodes = text.parse().map_err(|_| wrong())?;
        if nodes == 0 { Err(wrong()) } else { Ok(Quorum::Nodes(nodes)) }
    }
}

/// How long each doubt is given before it is a fact. All are counted from when the awaiter saw it first, by its own
/// clock: the cluster's may be another.
#[derive(Clone, Copy, Debug)]
pub struct Waits {
    /// A pod that the scheduler cannot place: a place may come free within moments of another pod's end.
    pub scheduling: Duration,
    /// A bound pod of which the kubelet says nothing. Above the 50 s after which Kubernetes calls a node unready, for
    /// a kubelet that only restarts is back before.
    pub silent: Duration,
    /// A pod that is not ready although its containers are: the node controller's word. Moments of disagreement are
    /// usual while a status is written.
    pub not_ready: Duration,
    /// A node that came just now and is not ready: networks take their time.
    pub new_node: Duration,
    /// A node that rejects the puller's pod. The controller tries again after a second: twice is no accident.
    pub rejected: Duration,
    /// What the cluster refuses to create: roles, accounts and quotas may come moments later.
    pub refused: Duration,
    /// After the first word that is fatal: other nodes and images have theirs to say, and the report has them all.
    pub settle: Duration,
    /// Zero nodes: the controller's first word may be from before it knew the nodes.
    pub zero: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Waits {
            scheduling: Duration::from_secs(10),
            silent: Duration::from_secs(60),
            not_ready: Duration::from_secs(3),
            new_node: Duration::from_secs(60),
            rejected: Duration::from_secs(8),
            refused: Duration::from_secs(5),
            settle: Duration::from_secs(1),
            zero: Duration::from_secs(2),
        }
    }
}

/// What counts as done.
#[derive(Clone, Debug)]
pub struct Policy {
    /// How many nodes must be warm.
    pub quorum: Quorum,
    /// DaemonSets that there must be at least.
    pub expect: usize,
    /// Patience.
    pub waits: Waits,
    /// Whether nodes are read too.
    pub nodes: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { quorum: Quorum::Percent(100), expect: 1, waits: Waits::default(), nodes: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_counts_a_quorum() {
        for (text, eligible, takes) in [
            ("100%", 3, 3),
            ("90%", 10, 9),
            ("90%", 11, 10),
            ("1%", 3, 1),
            ("2", 3, 2),
            ("5", 3, 5),
            ("50%", 0, 0),
        ] {
            assert_eq!(text.parse::<Quorum>().map(|quorum| quorum.of(eligible)), Ok(takes), "{text}");
        }
        for text in ["", "0", "0%", "101%", "-1", "all", "90 %", "1.5"] {
            assert!(text.parse::<Quorum>().is_err(), "{text}");
        }
    }
}
