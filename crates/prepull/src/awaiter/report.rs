//! What a run tells: the matrix for people, JSON for scripts, and the few lines that fit into a termination message.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::matrix::{Cell, Finding, ImageState, NodeState, Row, Verdict};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The images are on the nodes.
    Warm,
    /// They will not be.
    Failed,
    /// They are not yet.
    Deadline,
}

impl Outcome {
    /// Of a report's headline, or of what begins with one.
    pub(super) fn of_headline(text: &str) -> Option<Self> {
        let word = text.split(':').next()?;
        [Outcome::Warm, Outcome::Failed, Outcome::Deadline].into_iter().find(|one| one.word() == word)
    }

    /// As JSON has it.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Warm => "warm",
            Outcome::Failed => "failed",
            Outcome::Deadline => "deadline",
        }
    }
}

/// What a run found.
#[derive(Clone, Debug)]
pub struct Report {
    /// How it ended.
    pub outcome: Outcome,
    /// What was known then.
    pub verdict: Verdict,
    /// What was waited for: `--selector` and `--namespace`.
    pub asked: (String, String),
    /// How long it took.
    pub took: Duration,
    /// Requests to the API server, all in all.
    pub requests: u32,
    /// DaemonSets that were deleted at the end.
    pub deleted: Vec<String>,
    /// What could not be done at the end.
    pub warnings: Vec<String>,
}

/// Rows of nodes that are well are not listed one by one beyond so many nodes.
const LONG: usize = 40;

/// Something that happens to an image on several nodes.
struct Trouble<'a> {
    image: &'a str,
    finding: &'a Finding,
    nodes: Vec<&'a str>,
}

impl Report {
    /// One JSON object, as INTERFACE has it and with more besides.
    pub fn json(&self) -> Value {
        let verdict = &self.verdict;
        let nodes: Vec<Value> = verdict.rows.iter().map(|row| node(row, verdict)).collect();
        let findings: Vec<Value> = verdict
            .findings
            .iter()
            .map(|f| json!({"reason": f.reason.word(), "message": f.to_string()}))
            .collect();
        json!({
            "result": self.outcome.word(),
            "summary": self.headline(),
            "findings": findings,
            "nodes": nodes,
            "images": verdict.images.iter().map(|image| &**image).collect::<Vec<_>>(),
            "required": verdict.required,
            "without_pod": verdict.missing,
            "deleted": self.deleted,
            "warnings": self.warnings,
            "api_requests": self.requests,
            "seconds": (self.took.as_secs_f64() * 1000.0).round() / 1000.0,
        })
    }

    /// `warm: 3 of 3 nodes warm, 1 left out`, with the reasons of the run behind it.
    pub fn headline(&self) -> String {
        let mut text = format!("{}: {}", self.outcome.word(), self.verdict.summary());
        if self.outcome != Outcome::Warm {
            let _ = write!(text, ", {} needed", self.verdict.required);
        }
        text
    }

    /// The matrix for people.
    pub fn text(&self) -> String {
        let verdict = &self.verdict;
        let mut text = String::new();
        if verdict.images.len() > 1 || verdict.rows.is_empty() {
            for (number, image) in verdict.images.iter().enumerate() {
                let _ = writeln!(text, "[{}] {image}", number + 1);
            }
        } else if let Some(image) = verdict.images.first() {
            let _ = writeln!(text, "{image}");
        }
        if !verdict.images.is_empty() {
            text.push('\n');
        }
        let short = verdict.rows.len() > LONG;
        let shown: Vec<&Row> = verdict
            .rows
            .iter()
            .filter(|row| !short || row.state != NodeState::Warm)
            .take(10 * LONG)
            .collect();
        if !shown.is_empty() {
            table(&mut text, &shown, verdict.images.len());
        }
        let hidden = verdict.rows.len() - shown.len();
        if hidden > 0 {
            let _ = writeln!(text, "… and {hidden} more nodes");
        }
        let lines = self.reasons();
        if !lines.is_empty() {
            text.push('\n');
            lines.iter().for_each(|line| {
                let _ = writeln!(text, "{line}");
            });
        }
        let _ = write!(text, "\n{}, after {:.1} s", self.headline(), self.took.as_secs_f64());
        text
    }

    /// Why, a line each, the most important first; nodes with the same trouble share a line.
    pub fn reasons(&self) -> Vec<String> {
        let verdict = &self.verdict;
        let mut lines: Vec<String> = Vec::new();
        let with = |state: ImageState| {
            let mut found: BTreeMap<(usize, &Finding), Vec<&str>> = BTreeMap::new();
            for row in verdict.rows.iter().filter(|row| row.state != NodeState::Excluded) {
                for cell in row.cells.iter().filter(|cell| cell.state == state) {
                    if let Some(finding) = &cell.finding {
                        found.entry((cell.image, finding)).or_default().push(&row.node);
                    }
                }
            }
            let mut found: Vec<Trouble> = found
                .into_iter()
                .map(|((image, finding), nodes)| Trouble { image: &verdict.images[image], finding, nodes })
                .collect();
            found.sort_by_key(|one| (one.finding.reason, std::cmp::Reverse(one.nodes.len())));
            found
        };
        let told = |one: Trouble| format!("{} on {}: {}", one.image, names(&one.nodes), one.finding);
        lines.extend(with(ImageState::Failed).into_iter().map(told));
        lines.extend(verdict.findings.iter().map(|finding| self.finding(finding)));
        lines.extend(with(ImageState::Retrying).into_iter().map(told));
        for (state, word) in [(NodeState::Pulling, "pulling"), (NodeState::Excluded, "left out")] {
            let mut found: BTreeMap<Option<&Finding>, Vec<&str>> = BTreeMap::new();
            for row in verdict.rows.iter().filter(|row| row.state == state) {
                let told = row.cells.iter().any(|cell| cell.state == ImageState::Retrying);
                if state == NodeState::Excluded || !told {
                    found.entry(row.finding.as_ref()).or_default().push(&row.node);
                }
            }
            for (finding, nodes) in found {
                lines.push(match finding {
                    Some(finding) => format!("{word}: {}: {finding}", names(&nodes)),
                    None => format!("{word}: {}", names(&nodes)),
                });
            }
        }
        lines
    }

    fn finding(&self, finding: &Finding) -> String {
        let (selector, namespace) = &self.asked;
        match finding.reason {
            super::Reason::NoDaemonSet => format!("{finding}: {selector} in the namespace {namespace}"),
            _ => finding.to_string(),
        }
    }

    /// The same within `limit` bytes, cut at a line: what Kubernetes keeps of a pod's end, and shows.
    pub fn brief(&self, limit: usize) -> String {
        within(&self.headline(), &self.reasons(), limit)
    }
}

/// As many lines as fit into `limit` bytes, and how many did not.
pub fn within(headline: &str, lines: &[String], limit: usize) -> String {
    let mut text = super::reasons::brief(headline, limit.saturating_sub(24));
    for (at, line) in lines.iter().enumerate() {
        let left = lines.len() - at;
        let more = format!("\n… and {left} more");
        let room = if left == 1 { 0 } else { more.len() };
        if text.len() + 1 + line.len() + room > limit {
            if text.len() + more.len() <= limit {
                text.push_str(&more);
            }
            break;
        }
        text.push('\n');
        text.push_str(line);
    }
    text
}

/// `n1, n2, n3 and 7 more`.
fn names(nodes: &[&str]) -> String {
    let shown = nodes.iter().take(5).copied().collect::<Vec<_>>().join(", ");
    match nodes.len().saturating_sub(5) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn node(row: &Row, verdict: &Verdict) -> Value {
    let images: Vec<Value> = row
        .cells
        .iter()
        .map(|cell| {
            let mut value = Map::new();
            value.insert("image".to_owned(), json!(&*verdict.images[cell.image]));
            value.insert("state".to_owned(), json!(cell.state.word()));
            value.insert("message".to_owned(), json!(cell.finding.as_ref().map(ToString::to_string)));
            if let Some(finding) = &cell.finding {
                value.insert("reason".to_owned(), json!(finding.reason.word()));
            }
            if let Some(bytes) = cell.pulled.and_then(|pulled| pulled.size_bytes) {
                value.insert("size_bytes".to_owned(), json!(bytes));
            }
            if let Some(seconds) = cell.pulled.and_then(|pulled| pulled.seconds) {
                value.insert("pull_seconds".to_owned(), json!((seconds * 1000.0).round() / 1000.0));
            }
            Value::Object(value)
        })
        .collect();
    json!({
        "name": &*row.node,
        "state": row.state.word(),
        "reason": row.finding.as_ref().map(ToString::to_string),
        "images": images,
    })
}

fn table(text: &mut String, rows: &[&Row], images: usize) {
    let width = rows.iter().map(|row| row.node.len()).max().unwrap_or(0).max("node".len());
    let numbers = images > 1;
    let cell_width = 8;
    let _ = write!(text, "{:width$}  ", "node");
    for number in 1..=images {
        let head = if numbers { format!("[{number}]") } else { "image".to_owned() };
        let _ = write!(text, "{head:cell_width$}  ");
    }
    let _ = writeln!(text, "state");
    for row in rows {
        let _ = write!(text, "{:width$}  ", row.node);
        for image in 0..images {
            let word = row.cells.iter().find(|cell| cell.image == image).map_or("-", word);
            let _ = write!(text, "{word:cell_width$}  ");
        }
        let _ = writeln!(text, "{}", row.state.word());
    }
}

fn word(cell: &Cell) -> &'static str {
    match cell.state {
        ImageState::Failed => "FAILED",
        other => other.word(),
    }
}
