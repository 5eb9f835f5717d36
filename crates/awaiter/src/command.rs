//! The command line of `perijove-awaiter`: results to stdout, everything else to stderr.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use perijove_awaiter::{Arguments, Ended, ended_by_signal};

/// Waits until images are on the nodes of a Kubernetes cluster, and keeps them there
#[derive(Parser)]
#[command(name = "perijove-awaiter", version, max_term_width = 110)]
struct Words {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Wait until the pullers have their images on the nodes
    Await {
        /// How the result is printed
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        arguments: Box<Arguments>,
    },
    /// Sleep until told to end; with --install PATH, put this program there
    Noop {
        /// Where to
        #[arg(long, value_name = "PATH")]
        install: Option<std::path::PathBuf>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
}

/// Runs the command line: 0 warm, 1 failed, 2 wrong usage, 3 the deadline passed.
pub fn run(words: impl Iterator<Item = OsString>) -> ExitCode {
    let words = match Words::try_parse_from(words) {
        Ok(words) => words,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let Verb::Await { format, arguments } = words.verb else {
        // `main` has looked for the word in the first place.
        say("error: noop must be the first word");
        return ExitCode::from(2);
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(perijove_awaiter::run(&arguments, say, ended_by_signal())) {
        Ok(ended) => print(format, &ended),
        Err(error) => {
            say(&format!("error: {error}\nhint: {}", error.hint()));
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

fn print(format: Format, ended: &Ended) -> ExitCode {
    for warning in &ended.warnings {
        say(&format!("warning: {warning}"));
    }
    let text = match format {
        Format::Text => ended.report.text(),
        Format::Json => ended.report.json().to_string(),
    };
    // Whoever read the results may have had enough.
    let _ = writeln!(std::io::stdout(), "{text}");
    ExitCode::from(ended.code)
}

fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}
