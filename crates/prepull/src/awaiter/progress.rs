//! What is told while it goes on: one line a change, and how far it is.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::matrix::{ImageState, NodeState, Verdict};
use super::reasons::Reason;

/// Takes what happens; a library does not print.
pub trait Progress {
    /// How everything stands, whenever something was heard.
    fn verdict(&mut self, verdict: &Verdict);
    /// Time goes by, and this is how everything stands.
    fn summary(&mut self, verdict: &Verdict, left: Duration);
    /// Something else that people want to know.
    fn note(&mut self, line: &str);
}

/// Nothing is told.
impl Progress for () {
    fn verdict(&mut self, _: &Verdict) {}
    fn summary(&mut self, _: &Verdict, _: Duration) {}
    fn note(&mut self, _: &str) {}
}

type Seen = (NodeState, Option<Reason>, Vec<(ImageState, Option<Reason>)>);

/// What was told already.
#[derive(Debug, Default)]
pub struct Changes {
    seen: BTreeMap<Arc<str>, Seen>,
    findings: Vec<Reason>,
}

impl Changes {
    /// What is new, a line each.
    pub fn lines(&mut self, verdict: &Verdict) -> Vec<String> {
        let mut lines = Vec::new();
        for finding in &verdict.findings {
            let told = [Reason::NoDaemonSet, Reason::Unanswered, Reason::PodsMissing];
            if !self.findings.contains(&finding.reason) && !told.contains(&finding.reason) {
                self.findings.push(finding.reason);
                lines.push(finding.to_string());
            }
        }
        for row in &verdict.rows {
            let cells: Vec<_> =
                row.cells.iter().map(|cell| (cell.state, cell.finding.as_ref().map(|f| f.reason))).collect();
            let seen: Seen = (row.state, row.finding.as_ref().map(|f| f.reason), cells);
            let old = self.seen.get(&row.node);
            if old == Some(&seen) {
                continue;
            }
            for (at, cell) in row.cells.iter().enumerate() {
                if old.and_then(|old| old.2.get(at)) == seen.2.get(at) {
                    continue;
                }
                let image = &verdict.images[cell.image];
                match (cell.state, &cell.finding) {
                    (ImageState::Warm, _) => {
                        let took = cell.pulled.map(took).unwrap_or_default();
                        lines.push(format!("{}: {image}: warm{took}", row.node));
                    }
                    (ImageState::Pulling, _) => lines.push(format!("{}: {image}: pulling", row.node)),
                    (_, Some(finding)) => {
                        lines.push(format!("{}: {image}: {}: {finding}", row.node, cell.state.word()));
                    }
                    _ => {}
                }
            }
            if old.map(|old| (old.0, old.1)) != Some((seen.0, seen.1)) {
                let why = row.finding.as_ref().filter(|_| row.state != NodeState::Failed);
                match (row.state, why) {
                    (NodeState::Excluded, Some(finding)) => {
                        lines.push(format!("{}: left out: {finding}", row.node));
                    }
                    (NodeState::Pulling, Some(finding)) => {
                        lines.push(format!("{}: waiting: {finding}", row.node));
                    }
                    (NodeState::Pulling, None) => {}
                    (state, _) => lines.push(format!("{}: {}", row.node, state.word())),
                }
            }
            self.seen.insert(Arc::clone(&row.node), seen);
        }
        lines
    }
}

fn took(pulled: super::Pulled) -> String {
    let bytes = pulled.size_bytes.map(|bytes| format!("{:.1} MB", bytes as f64 / 1e6));
    let seconds = pulled.seconds.map(|seconds| format!("{seconds:.1} s"));
    match (bytes, seconds) {
        (Some(bytes), Some(seconds)) => format!(", {bytes} in {seconds}"),
        (None, Some(seconds)) => format!(", in {seconds}"),
        _ => String::new(),
    }
}
