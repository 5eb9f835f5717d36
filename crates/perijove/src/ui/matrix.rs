//! What `perijove warm` shows while it goes on: a line for each change, and on a terminal a bar for each node that is
//! pulling.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use perijove_oci::report::TaskId;
use perijove_oci::{Event, Reporter};
use perijove_prepull::awaiter::{Changes, ImageState, NodeState, Progress, Verdict};
use perijove_prepull::warm::NodePlan;

use super::Ui;

/// Bars at a time: more than a screen has are of no use.
const BARS: usize = 16;

/// The nodes, and how far each is.
pub struct Matrix {
    reporter: Arc<dyn Reporter>,
    quiet: bool,
    changes: Changes,
    /// Bytes of each image of each node.
    sizes: BTreeMap<String, BTreeMap<String, u64>>,
    open: BTreeMap<Arc<str>, (TaskId, u64)>,
}

impl Matrix {
    /// No bar yet; `plans` tell what each node has to pull.
    pub fn new(ui: &Ui, plans: &[NodePlan]) -> Self {
        let of_plan = |plan: &NodePlan| {
            let images =
                plan.images.iter().map(|image| (image.image.clone(), image.missing_bytes.unwrap_or(0)));
            (plan.name.clone(), images.collect())
        };
        Matrix {
            reporter: ui.reporter(),
            quiet: ui.quiet,
            changes: Changes::default(),
            sizes: plans.iter().map(of_plan).collect(),
            open: BTreeMap::new(),
        }
    }

    fn say(&self, line: &str) {
        if !self.quiet {
            self.reporter.report(Event::Note(line.to_owned()));
        }
    }
}

impl Progress for Matrix {
    fn verdict(&mut self, verdict: &Verdict) {
        for line in self.changes.lines(verdict) {
            self.say(&line);
        }
        for row in &verdict.rows {
            let Some(sizes) = self.sizes.get(&*row.node) else { continue };
            let there = |state| matches!(state, ImageState::Starting | ImageState::Warm);
            let there = row.cells.iter().filter(|cell| there(cell.state));
            let done = there.filter_map(|cell| sizes.get(&*verdict.images[cell.image])).sum::<u64>();
            let room = self.open.len() < BARS;
            match (row.state, self.open.get_mut(&row.node)) {
                (NodeState::Pulling, None) if room => {
                    let task = perijove_oci::report::task();
                    let total_bytes = Some(sizes.values().sum());
                    self.reporter.report(Event::Started { task, what: row.node.to_string(), total_bytes });
                    self.reporter.report(Event::Advanced { task, bytes: done });
                    self.open.insert(Arc::clone(&row.node), (task, done));
                }
                (NodeState::Pulling, Some((task, shown))) if done > *shown => {
                    self.reporter.report(Event::Advanced { task: *task, bytes: done - *shown });
                    *shown = done;
                }
                (NodeState::Pulling, _) | (_, None) => {}
                (_, Some((task, _))) => {
                    self.reporter.report(Event::Finished { task: *task });
                    self.open.remove(&row.node);
                }
            }
        }
    }

    fn summary(&mut self, verdict: &Verdict, left: Duration) {
        self.say(&format!("{}; {} s left", verdict.summary(), left.as_secs()));
    }

    fn note(&mut self, line: &str) {
        self.say(line);
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        for (task, _) in self.open.values() {
            self.reporter.report(Event::Finished { task: *task });
        }
    }
}
