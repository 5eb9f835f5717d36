//! The libraries' events as bars on a terminal, or as plain lines elsewhere.

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use perijove_oci::report::TaskId;
use perijove_oci::{Event, Reporter};

/// A bar for each piece of work.
pub struct Bars {
    all: MultiProgress,
    open: Mutex<HashMap<TaskId, ProgressBar>>,
}

impl Bars {
    /// No bar yet.
    pub fn new() -> Self {
        Bars { all: MultiProgress::new(), open: Mutex::default() }
    }

    fn style(known: bool) -> ProgressStyle {
        let template = if known {
            "  {msg:48!} {bar:24.cyan} {decimal_bytes:>10}/{decimal_total_bytes:10} {decimal_bytes_per_sec}"
        } else {
            "  {msg:48!} {spinner} {decimal_bytes:>10}"
        };
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    }
}

impl Reporter for Bars {
    fn report(&self, event: Event) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { task, what, total_bytes } => {
                let bar = match total_bytes {
                    Some(total) => ProgressBar::new(total),
                    None => ProgressBar::new_spinner(),
                };
                bar.set_style(Self::style(total_bytes.is_some()));
                bar.set_message(what);
                open.insert(task, self.all.add(bar));
            }
            Event::Advanced { task, bytes } => {
                if let Some(bar) = open.get(&task) {
                    bar.inc(bytes);
                }
            }
            Event::Finished { task } => {
                if let Some(bar) = open.remove(&task) {
                    bar.finish_and_clear();
                    self.all.remove(&bar);
                }
            }
            Event::Note(line) => drop(self.all.println(line)),
            Event::Warning(line) => drop(self.all.println(format!("warning: {line}"))),
        }
    }
}

/// Notes and warnings as lines; with `all`, also each piece of work when it begins.
pub struct Lines {
    all: bool,
}

impl Lines {
    /// `all`: say every step.
    pub fn new(all: bool) -> Self {
        Lines { all }
    }
}

impl Reporter for Lines {
    fn report(&self, event: Event) {
        let line = match event {
            Event::Started { what, .. } if self.all => what,
            Event::Note(line) => line,
            Event::Warning(line) => format!("warning: {line}"),
            _ => return,
        };
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}
