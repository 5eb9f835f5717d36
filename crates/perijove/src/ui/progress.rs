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
    steps: bool,
    color: bool,
}

impl Bars {
    /// No bar yet; `steps`: also leave a line for each piece of work. None where this terminal draws no bars
    /// (`TERM=dumb`): indicatif would swallow the lines as well.
    pub fn new(steps: bool, color: bool) -> Option<Self> {
        let all = MultiProgress::new();
        (!all.is_hidden()).then(|| Bars { all, open: Mutex::default(), steps, color })
    }

    fn style(&self, known: bool) -> ProgressStyle {
        let template = match (known, self.color) {
            (true, true) => {
                "  {msg:48!} {bar:24.cyan} {decimal_bytes:>10}/{decimal_total_bytes:10} {decimal_bytes_per_sec}"
            }
            (true, false) => {
                "  {msg:48!} {bar:24} {decimal_bytes:>10}/{decimal_total_bytes:10} {decimal_bytes_per_sec}"
            }
            (false, _) => "  {msg:48!} {spinner} {decimal_bytes:>10}",
        };
        ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
    }
}

impl Reporter for Bars {
    fn report(&self, event: Event) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { task, what, total_bytes } => {
                if self.steps {
                    drop(self.all.println(&what));
                }
                // One of all from the start: a bar alone draws itself, and what it has drawn stays.
                let bar = self.all.add(match total_bytes {
                    Some(total) => ProgressBar::new(total),
                    None => ProgressBar::new_spinner(),
                });
                bar.set_style(self.style(total_bytes.is_some()));
                bar.set_message(what);
                open.insert(task, bar);
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

/// How much [`Lines`] say; each says what those before it say, too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Say {
    /// Warnings alone.
    Warnings,
    /// Notes.
    Notes,
    /// Each piece of work when it begins.
    Steps,
}

/// Events as lines.
pub struct Lines(Say);

impl Lines {
    /// Lines on stderr.
    pub fn new(say: Say) -> Self {
        Lines(say)
    }

    fn line(&self, event: Event) -> Option<String> {
        let (least, line) = match event {
            Event::Started { what, .. } => (Say::Steps, what),
            Event::Note(line) => (Say::Notes, line),
            Event::Warning(line) => (Say::Warnings, format!("warning: {line}")),
            Event::Advanced { .. } | Event::Finished { .. } => return None,
        };
        (self.0 >= least).then_some(line)
    }
}

impl Reporter for Lines {
    fn report(&self, event: Event) {
        if let Some(line) = self.line(event) {
            let _ = writeln!(std::io::stderr().lock(), "{line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_always_said() {
        let said = |say| {
            let task = perijove_oci::report::task();
            [
                Event::Started { task, what: "step".to_owned(), total_bytes: None },
                Event::Advanced { task, bytes: 1 },
                Event::Finished { task },
                Event::Note("note".to_owned()),
                Event::Warning("careful".to_owned()),
            ]
            .into_iter()
            .filter_map(|event| Lines::new(say).line(event))
            .collect::<Vec<_>>()
        };
        assert_eq!(said(Say::Warnings), ["warning: careful"]);
        assert_eq!(said(Say::Notes), ["note", "warning: careful"]);
        assert_eq!(said(Say::Steps), ["step", "note", "warning: careful"]);
    }
}
