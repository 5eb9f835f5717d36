//! The command `await`, for the small program of its own image and for `perijove await` alike: flags in, one library
//! call, and what the pod leaves behind. Whoever calls prints.

pub mod duration;
pub mod noop;

use std::future::Future;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use perijove_prepull::awaiter::{
    self, Belonging, Changes, Error, Options, Outcome, Policy, Progress, Quorum, Report, Target, Verdict,
    Waits, within,
};

/// Where Kubernetes reads why a container ended, unless its specification says another place.
const TERMINATION_LOG: &str = "/dev/termination-log";
/// Bytes that Kubernetes keeps of it.
const TERMINATION_BYTES: usize = 4096;

/// What a passed deadline means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OnDeadline {
    /// Exit code 3
    Fail,
    /// A warning, and exit code 0
    Warn,
}

/// Flags of `await`.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Where the pullers are
    #[arg(short, long, value_name = "NS")]
    pub namespace: String,
    /// Labels of the pullers' DaemonSets and pods, as for kubectl -l
    #[arg(short = 'l', long, value_name = "LABELS")]
    pub selector: String,
    /// How long at most, as 90s, 10m or 1h30m
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    pub deadline: Duration,
    /// The deadline counts from when the DaemonSets were made: what is left of it, for an awaiter that follows another
    #[arg(long)]
    pub since_creation: bool,
    /// Nodes that must be warm: a percentage of those that are not left out, or a number
    #[arg(long, value_name = "N%|N", default_value = "100%")]
    pub quorum: Quorum,
    /// What a passed deadline means
    #[arg(long, value_enum, default_value = "fail")]
    pub on_deadline: OnDeadline,
    /// DaemonSets that there must be at least
    #[arg(long, value_name = "N", default_value = "1")]
    pub expect: usize,
    /// How long a node may have no room for a puller's pod before it is left out
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration::parse)]
    pub scheduling_wait: Duration,
    /// Delete the DaemonSets at the end, however it ends
    #[arg(long)]
    pub clean_up: bool,
    /// Make the object of --event-on the owner of this, so that it goes with it: serviceaccount/NAME, role/NAME or
    /// rolebinding/NAME
    #[arg(long, value_name = "KIND/NAME", requires = "event_on")]
    pub adopt: Vec<Belonging>,
    /// Say on this object by an event how it went
    #[arg(long, value_name = "KIND/NAME[/UID]")]
    pub event_on: Option<Target>,
    /// Look at the nodes too: needs the right to list and watch nodes
    #[arg(long)]
    pub nodes: bool,
    /// Where to leave the reason of a failure [default: /dev/termination-log, where it is there]
    #[arg(long, value_name = "PATH")]
    pub termination_log: Option<PathBuf>,
}

/// How `await` ended.
#[derive(Debug)]
pub struct Ended {
    /// What was found.
    pub report: Report,
    /// 0 warm, 1 failed, 3 the deadline passed and `--on-deadline` says so.
    pub code: u8,
    /// What people should look at although it went well enough, and what could not be done at the end.
    pub warnings: Vec<String>,
}

impl Arguments {
    fn options(&self) -> Options {
        let waits = Waits { scheduling: self.scheduling_wait, ..Waits::default() };
        Options {
            namespace: self.namespace.clone(),
            selector: self.selector.clone(),
            policy: Policy { quorum: self.quorum, expect: self.expect, waits, nodes: self.nodes },
            deadline: self.deadline,
            since_creation: self.since_creation,
            clean_up: self.clean_up,
            adopt: self.adopt.clone(),
            event_on: self.event_on.clone(),
        }
    }

    fn check(&self) -> Result<(), Error> {
        let label = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.namespace.is_empty() || self.namespace.len() > 63 || !self.namespace.chars().all(label) {
            return Err(Error::Usage {
                text: format!("`{}` is no namespace", self.namespace),
                hint: "a namespace has lower-case letters, digits and - only",
            });
        }
        if !self.adopt.is_empty() && self.event_on.as_ref().and_then(Target::uid).is_none() {
            return Err(Error::Usage {
                text: "--adopt needs the uid of the owner".to_owned(),
                hint: "give --event-on as KIND/NAME/UID",
            });
        }
        if self.selector.trim().is_empty() {
            return Err(Error::Usage {
                text: "an empty --selector is every DaemonSet of the namespace".to_owned(),
                hint: "name the pullers' labels, as app.kubernetes.io/component=hook-image-puller",
            });
        }
        Ok(())
    }
}

/// Waits as `arguments` say, tells each step to `say`, and leaves the reason where Kubernetes looks for it.
///
/// # Errors
/// Where no cluster can be talked to, or it refuses to say.
pub async fn run(
    arguments: &Arguments,
    say: impl FnMut(&str),
    stop: impl Future<Output = ()>,
) -> Result<Ended, Error> {
    let log = arguments
        .termination_log
        .clone()
        .or_else(|| Some(PathBuf::from(TERMINATION_LOG)).filter(|p| p.exists()));
    let result = attempt(arguments, say, stop).await;
    let mut result = result.map(|report| ended(report, arguments.on_deadline));
    let text = match &result {
        Ok(ended) if ended.report.outcome == Outcome::Warm => String::new(),
        Ok(ended) => ended.report.brief(TERMINATION_BYTES),
        Err(error) => within(&format!("failed: {error}"), &[error.hint()], TERMINATION_BYTES),
    };
    if let Some(log) = log.filter(|_| !text.is_empty())
        && let Err(error) = leave(&log, &text)
        && let Ok(ended) = &mut result
    {
        ended.warnings.push(format!("{}: {error}", log.display()));
    }
    result
}

/// The file is Kubernetes' own and mounted: it is written to, not replaced.
fn leave(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(text.as_bytes())
}

async fn attempt(
    arguments: &Arguments,
    say: impl FnMut(&str),
    stop: impl Future<Output = ()>,
) -> Result<Report, Error> {
    arguments.check()?;
    let client = awaiter::connect().await?;
    let mut lines = Lines { say, changes: Changes::default() };
    awaiter::run(client, &arguments.options(), &mut lines, stop).await
}

fn ended(report: Report, on_deadline: OnDeadline) -> Ended {
    let mut warnings = report.warnings.clone();
    let code = match (report.outcome, on_deadline) {
        (Outcome::Warm, _) => 0,
        (Outcome::Failed, _) => 1,
        (Outcome::Deadline, OnDeadline::Fail) => 3,
        (Outcome::Deadline, OnDeadline::Warn) => {
            warnings.insert(
                0,
                "the deadline has passed; going on without the rest, as --on-deadline says".to_owned(),
            );
            0
        }
    };
    Ended { report, code, warnings }
}

/// One line a change, and a summary from time to time.
struct Lines<F> {
    say: F,
    changes: Changes,
}

impl<F: FnMut(&str)> Progress for Lines<F> {
    fn verdict(&mut self, verdict: &Verdict) {
        for line in self.changes.lines(verdict) {
            (self.say)(&line);
        }
    }

    fn summary(&mut self, verdict: &Verdict, left: Duration) {
        let why: Vec<String> = verdict.findings.iter().map(ToString::to_string).collect();
        let why = if why.is_empty() { String::new() } else { format!("; {}", why.join("; ")) };
        (self.say)(&format!("{}; {} left{why}", verdict.summary(), duration::text(left)));
    }

    fn note(&mut self, line: &str) {
        (self.say)(line);
    }
}

/// Ready when the process is told to end: SIGTERM or SIGINT. Never, where the system lets no process ask for signals.
pub async fn ended_by_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let signals = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    let (Ok(mut terminate), Ok(mut interrupt)) = signals else { return std::future::pending().await };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
