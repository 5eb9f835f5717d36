//! What people and scripts see: results on stdout, everything else on stderr.

mod matrix;
mod progress;

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use clap::ValueEnum;
use perijove_oci::Reporter;
pub use perijove_release::units::{bytes, seconds};

pub use matrix::Matrix;

use crate::cli::Format;
use crate::cli::error::CliError;

/// When colours are used.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// Prints; the only place that does.
pub struct Ui {
    format: Format,
    quiet: bool,
    color: bool,
    reporter: Arc<dyn Reporter>,
}

impl Ui {
    /// Settles what the flags and the terminal say.
    pub fn new(format: Format, quiet: bool, verbose: u8, color: Color) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|v| v == "dumb");
        let color = match color {
            Color::Auto => terminal && !plain && !dumb,
            Color::Always => true,
            Color::Never => false,
        };
        let bars = (terminal && !quiet).then(|| progress::Bars::new(verbose > 0, color)).flatten();
        let reporter: Arc<dyn Reporter> = match bars {
            Some(bars) => Arc::new(bars),
            None if quiet => Arc::new(progress::Lines::new(progress::Say::Warnings)),
            None if verbose > 0 => Arc::new(progress::Lines::new(progress::Say::Steps)),
            None => Arc::new(progress::Lines::new(progress::Say::Notes)),
        };
        Ui { format, quiet, color, reporter }
    }

    /// Where the libraries' events go.
    pub fn reporter(&self) -> Arc<dyn Reporter> {
        Arc::clone(&self.reporter)
    }

    /// Takes a server's warnings, a line each.
    pub fn warnings(&self) -> Arc<dyn Fn(&str) + Send + Sync> {
        let reporter = self.reporter();
        Arc::new(move |line| reporter.report(perijove_oci::Event::Warning(line.to_owned())))
    }

    /// A result, as text or as one JSON object.
    pub fn result(&self, text: &str, json: &serde_json::Value) -> Result<(), CliError> {
        self.report(text, text, json)
    }

    /// A result that people may also want to read in a pull request.
    pub fn report(&self, text: &str, markdown: &str, json: &serde_json::Value) -> Result<(), CliError> {
        let text = if self.format == Format::Markdown { markdown.trim_end() } else { text };
        let line = match self.format {
            Format::Json => json.to_string(),
            Format::Text | Format::Markdown if text.is_empty() => return Ok(()),
            Format::Text | Format::Markdown => text.to_owned(),
        };
        let mut out = std::io::stdout().lock();
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            // Whoever read the results has had enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(CliError::io("standard output")),
        }
    }

    /// A line on stderr that `--quiet` silences.
    pub fn status(&self, line: &str) {
        if !self.quiet {
            self.reporter.report(perijove_oci::Event::Note(line.to_owned()));
        }
    }

    /// A line on stderr that people should look at.
    pub fn warning(&self, line: &str) {
        self.reporter.report(perijove_oci::Event::Warning(line.to_owned()));
    }

    /// An error with its hint.
    pub fn error(&self, error: &CliError) {
        let paint = |code: &str, word: &str| {
            if self.color { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
        };
        let mut err = std::io::stderr().lock();
        let _ = writeln!(err, "{} {}", paint("1;31", "error:"), error.message);
        if let Some(hint) = &error.hint {
            let _ = writeln!(err, "{} {hint}", paint("1;36", "hint:"));
        }
    }
}
