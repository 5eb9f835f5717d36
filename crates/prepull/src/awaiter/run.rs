//! The run: streams into the index, the index before the judge, until it has decided.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::Client;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::adopt::Belonging;
use super::api::Api;
use super::end::{self, End, Target};
use super::index::{Kind, Observed};
use super::judge::judge;
use super::matrix::{Decision, Finding, Verdict};
use super::policy::Policy;
use super::progress::Progress;
use super::watch::{Message, Source, Streaming, follow};
use super::{Error, Outcome, Reason, Report};

/// Words that may wait for the judge.
const QUEUE: usize = 1024;
/// Between summaries.
const SUMMARY: Duration = Duration::from_secs(5);
/// An awaiter that comes so late after its pullers is not the first: an image was pulled before it, at most.
const LATE: Duration = Duration::from_secs(60);
/// To read all there is.
const LEAST: Duration = Duration::from_secs(10);
/// The judge looks again at once on a small cluster. On a large one, where a look takes longer, it leaves so many
/// times as much to reading.
const READ: u32 = 4;
/// But never longer than this.
const LATEST: Duration = Duration::from_millis(100);

/// What to wait for.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the pullers are.
    pub namespace: String,
    /// Labels of the DaemonSets and their pods, as kubectl's `-l`.
    pub selector: String,
    /// What counts as done.
    pub policy: Policy,
    /// How long, at most.
    pub deadline: Duration,
    /// Whether the deadline counts from when the oldest DaemonSet was made.
    pub since_creation: bool,
    /// Delete the DaemonSets at the end, however it ends.
    pub clean_up: bool,
    /// Make the object of `event_on` the owner of these at the end; it has to have its uid.
    pub adopt: Vec<Belonging>,
    /// Say on this object how it went.
    pub event_on: Option<Target>,
}

/// Waits until the pullers' images are on the nodes, or will not be, or `deadline` has passed, or `stop` is ready.
/// Then cleans up and tells, as asked for.
///
/// # Errors
/// [`Error::Denied`] where the cluster refuses to say, [`Error::Usage`] for a selector that is none.
pub async fn run(
    client: Client,
    options: &Options,
    progress: &mut dyn Progress,
    stop: impl Future<Output = ()>,
) -> Result<Report, Error> {
    let api = Arc::new(Api::new(client));
    let start = Instant::now();
    let mut observed = Observed::default();
    let mut stop = pin!(stop);
    let ended = wait(&api, options, &mut observed, progress, stop.as_mut(), start).await;
    // A run that may not read on still knows what it has to leave behind in order.
    let sets: Vec<(String, String)> = if options.clean_up {
        let known = observed.daemonsets.values().map(|entry| &entry.set.metadata);
        known.map(|meta| (meta.name.clone(), meta.uid.to_string())).collect()
    } else {
        Vec::new()
    };
    let end = End {
        api: &api,
        namespace: &options.namespace,
        sets: &sets,
        event_on: options.event_on.as_ref(),
        adopt: &options.adopt,
        shaken: observed.trouble().is_some(),
    };
    let asked = (options.selector.clone(), options.namespace.clone());
    let (outcome, verdict) = match ended {
        Ok(ended) => ended,
        Err(error) => {
            let done = end.run(None, patience(stop, false)).await;
            done.warnings.iter().for_each(|warning| progress.note(warning));
            return Err(error);
        }
    };
    let says = |reason| verdict.findings.iter().any(|finding| finding.reason == reason);
    let (interrupted, told) = (says(Reason::Interrupted), says(Reason::EndedBefore));
    let took = start.elapsed();
    let mut report =
        Report { outcome, verdict, asked, took, requests: 0, deleted: Vec::new(), warnings: Vec::new() };
    let done = {
        let mut work = pin!(end.run((!told).then_some(&report), patience(stop, interrupted)));
        match tokio::time::timeout(SUMMARY, work.as_mut()).await {
            Ok(done) => done,
            Err(_) => {
                progress.note("waiting for the API server, to leave nothing behind");
                work.await
            }
        }
    };
    report.deleted = done.deleted;
    report.warnings = done.warnings;
    report.requests = api.requests();
    Ok(report)
}

/// How long the end may take: less, once somebody wants it. `told`: somebody does already, and `stop` is over.
async fn patience(stop: impl Future<Output = ()>, told: bool) -> Duration {
    let start = Instant::now();
    if !told && tokio::time::timeout(end::END - end::TOLD, stop).await.is_err() {
        tokio::time::sleep(end::TOLD).await;
        return end::END;
    }
    tokio::time::sleep(end::TOLD).await;
    start.elapsed()
}

async fn wait(
    api: &Arc<Api>,
    options: &Options,
    observed: &mut Observed,
    progress: &mut dyn Progress,
    mut stop: Pin<&mut impl Future<Output = ()>>,
    start: Instant,
) -> Result<(Outcome, Verdict), Error> {
    let (to, mut from) = mpsc::channel(QUEUE);
    let streaming = Arc::new(Streaming::default());
    let mut streams = JoinSet::new();
    let mut begin = |kind| {
        let source = Source {
            kind,
            namespace: options.namespace.clone(),
            selector: options.selector.clone(),
            until: start + options.deadline + SUMMARY,
        };
        streams.spawn(follow(Arc::clone(api), Arc::clone(&streaming), source, to.clone()));
    };
    // The first answer tells whether lists are streamed, and which events are of interest.
    begin(Kind::DaemonSets);
    let (mut began, mut deadline) = (false, options.deadline);
    let mut summary = start + SUMMARY;
    loop {
        if !began && observed.is_listed(Kind::DaemonSets) {
            began = true;
            if let Some(age) = age(api, observed).filter(|_| options.since_creation) {
                deadline = left(deadline, age);
                if age > LATE {
                    progress.note(&format!(
                        "the pullers were made {} s ago, and {} s are left",
                        age.as_secs(),
                        deadline.as_secs()
                    ));
                }
            }
            begin(Kind::Pods);
            begin(Kind::Events);
            if options.policy.nodes {
                begin(Kind::Nodes);
            }
        }
        let now = start.elapsed();
        let mut verdict = judge(observed, &options.policy, now, deadline);
        progress.verdict(&verdict);
        if let Some((outcome, said)) = end_before(options, observed) {
            verdict.findings.insert(0, Finding::new(Reason::EndedBefore, said));
            return Ok((outcome, verdict));
        }
        let wake = match verdict.decision {
            Decision::Warm => return Ok((Outcome::Warm, verdict)),
            Decision::Failed => return Ok((Outcome::Failed, verdict)),
            Decision::Deadline => return Ok((Outcome::Deadline, verdict)),
            Decision::Wait(wake) => start + wake,
        };
        let pause = (start.elapsed() - now).saturating_mul(READ).min(LATEST);
        tokio::select! {
            biased;
            () = &mut stop => {
                verdict.findings.insert(0, Finding::new(Reason::Interrupted, ""));
                return Ok((Outcome::Failed, verdict));
            }
            message = from.recv() => {
                // The streams end only with the run.
                let Some(message) = message else { continue };
                take(message, observed, progress, start)?;
                let until = tokio::time::Instant::now() + pause;
                while let Ok(Some(message)) = tokio::time::timeout_at(until, from.recv()).await {
                    take(message, observed, progress, start)?;
                }
                while let Ok(message) = from.try_recv() {
                    take(message, observed, progress, start)?;
                }
            }
            () = tokio::time::sleep_until(wake.into()) => {}
            () = tokio::time::sleep_until(summary.into()) => {
                summary += SUMMARY;
                progress.summary(&verdict, deadline.saturating_sub(start.elapsed()));
            }
        }
    }
}

/// What an awaiter of the same Job has said at its end, that was killed before it ended. It may have deleted already
/// what this one waits for.
fn end_before<'a>(options: &Options, observed: &'a Observed) -> Option<(Outcome, &'a str)> {
    let said = observed.ends.get(options.event_on.as_ref()?.uid()?)?;
    Some((Outcome::of_headline(said).unwrap_or(Outcome::Failed), said))
}

/// Since when the oldest DaemonSet is there, by the API server's clock alone.
fn age(api: &Api, observed: &Observed) -> Option<Duration> {
    let made = observed.daemonsets.values().map(|entry| &entry.set.metadata.creation_timestamp);
    let made = made.filter_map(|text| text.parse::<jiff::Timestamp>().ok()).min()?.as_second();
    u64::try_from(api.date()? - made).ok().map(Duration::from_secs)
}

/// What is left of a deadline; enough, in any case, to see how everything stands.
fn left(deadline: Duration, age: Duration) -> Duration {
    deadline.saturating_sub(age).max(LEAST.min(deadline))
}

fn take(
    message: Message,
    observed: &mut Observed,
    progress: &mut dyn Progress,
    start: Instant,
) -> Result<(), Error> {
    match message {
        Message::Update(update) => observed.update(update, start.elapsed()),
        Message::Trouble(kind, trouble) => {
            let before = observed.trouble().map(str::to_owned);
            observed.troubled(kind, trouble);
            match observed.trouble() {
                None if before.is_some() => progress.note("the API server answers again"),
                Some(text) if before.as_deref() != Some(text) => progress
                    .note(&format!("the API server does not answer as it should, trying again: {text}")),
                _ => {}
            }
        }
        Message::Denied(error) => return Err(error),
    }
    Ok(())
}
