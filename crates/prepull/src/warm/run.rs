//! The run: pullers for each wave, the awaiter on them, and their end.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use kube::Client;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::cluster::Cluster;
use super::survey::{Survey, only};
use crate::awaiter::{self, Error, Outcome, Policy, Progress, Quorum, Report};
use crate::manifests::{Group, Puller};

/// The label `app.kubernetes.io/component` of these pullers.
const COMPONENT: &str = "warm-image-puller";
/// When a puller that somebody left behind may be deleted by anybody: seconds since 1970.
const EXPIRES: &str = "perijove.jupyter.org/expires";
/// A run that was killed is over by then for sure.
const GRACE: Duration = Duration::from_secs(600);
/// The deletions at the end take no longer.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Options {
    /// For the whole run.
    pub deadline: Duration,
    /// Which nodes go first.
    pub waves: super::Waves,
    /// Whether nodes were selected: then only those of the survey get pullers.
    pub selected: bool,
    /// Nodes of each wave that must be warm.
    pub quorum: Quorum,
    /// The pullers' own image.
    pub own_image: String,
}

/// How it went.
#[derive(Debug)]
pub struct Warmed {
    /// A report for each wave that was begun.
    pub waves: Vec<Report>,
    /// Waves that there would have been.
    pub planned: usize,
    /// What was not deleted at the end, and why.
    pub left: Vec<String>,
    /// Whether it was told to stop before a wave was judged.
    pub interrupted: bool,
}

impl Warmed {
    /// Of the last wave: the first that does not go well ends the run. A run that has made nothing has warmed nothing.
    pub fn outcome(&self) -> Outcome {
        let last = self.waves.last().map_or(Outcome::Failed, |report| report.outcome);
        if self.interrupted { Outcome::Failed } else { last }
    }
}

/// Brings the images of `groups` to the nodes. Whatever it makes is deleted before it returns: when it went well or
/// not, when it fails, and when `stop` is ready. Pullers that a killed run has left behind are deleted, too.
///
/// # Errors
/// Where the cluster refuses the pullers, or does not answer.
pub async fn run(
    client: &Client,
    cluster: &Cluster,
    survey: &Survey,
    groups: &[Group],
    options: &Options,
    progress: &mut dyn Progress,
    stop: impl Future<Output = ()>,
) -> Result<Warmed, Error> {
    let mut stop = pin!(stop);
    let run = Run { id: id(), cluster, survey, groups, options, start: Instant::now() };
    let swept = tokio::select! {
        swept = run.sweep() => swept?,
        () = &mut stop => return Ok(Warmed { waves: Vec::new(), planned: 0, left: Vec::new(), interrupted: true }),
    };
    for line in swept {
        progress.note(&line);
    }
    let mut made = Vec::new();
    let result = run.waves(client, &mut made, progress, &mut stop).await;
    // A second Ctrl-C must not leave the deletions half done, and a dead server must not hold on for ever.
    let left = match tokio::time::timeout(CLEAN_UP, run.delete(&made)).await {
        Ok(left) => left,
        Err(_) => made
            .iter()
            .map(|name| (name.clone(), "the API server did not answer in time".to_owned()))
            .collect(),
    };
    let left: Vec<String> = left.into_iter().map(|(name, why)| format!("{name}: {why}")).collect();
    for line in &left {
        progress.note(&format!("not deleted: DaemonSet {line}"));
    }
    Ok(Warmed { left, ..result? })
}

struct Run<'a> {
    id: String,
    cluster: &'a Cluster,
    survey: &'a Survey,
    groups: &'a [Group],
    options: &'a Options,
    start: Instant,
}

impl Run<'_> {
    /// Deletes what killed runs have left; tells of runs that are under way.
    async fn sweep(&self) -> Result<Vec<String>, Error> {
        let now = jiff::Timestamp::now().as_second();
        let mut lines = Vec::new();
        for found in self.cluster.pullers(COMPONENT).await? {
            let name = &found.metadata.name;
            let expires = found
                .metadata
                .annotations
                .as_ref()
                .and_then(|all| all.get(EXPIRES))
                .and_then(|t| t.parse::<i64>().ok());
            match expires {
                Some(expires) if expires > now => {
                    lines.push(format!("another run is under way: it has made the DaemonSet {name}"));
                }
                _ => {
                    self.cluster.delete(name).await?;
                    lines.push(format!(
                        "deleted the DaemonSet {name}, which a run that was killed has left behind"
                    ));
                }
            }
        }
        Ok(lines)
    }

    /// Wave after wave, with nothing deleted yet of the last one.
    async fn waves(
        &self,
        client: &Client,
        made: &mut Vec<String>,
        progress: &mut dyn Progress,
        stop: &mut std::pin::Pin<&mut impl Future<Output = ()>>,
    ) -> Result<Warmed, Error> {
        let waves = self.split();
        let mut warmed =
            Warmed { waves: Vec::new(), planned: waves.len(), left: Vec::new(), interrupted: false };
        for (number, wave) in waves.iter().enumerate() {
            if waves.len() > 1 {
                let nodes = wave.as_ref().map_or(0, Vec::len);
                progress.note(&format!("wave {} of {}: {nodes} nodes", number + 1, waves.len()));
            }
            let left = self.options.deadline.saturating_sub(self.start.elapsed());
            let before = made.len();
            let labels = self.labels(number);
            let expected = tokio::select! {
                made = self.make(number, wave.as_deref(), &labels, made) => made?,
                () = &mut *stop => return Ok(Warmed { interrupted: true, ..warmed }),
            };
            if expected == 0 {
                continue;
            }
            let options = awaiter::Options {
                namespace: self.cluster.namespace().to_owned(),
                selector: selector(&labels),
                policy: Policy {
                    quorum: self.quorum(wave.as_deref()),
                    expect: expected,
                    nodes: self.survey.nodes.is_some(),
                    ..Policy::default()
                },
                deadline: left,
                since_creation: false,
                clean_up: false,
                adopt: Vec::new(),
                event_on: None,
            };
            let report = awaiter::run(client.clone(), &options, progress, &mut *stop).await?;
            let is_warm = report.outcome == Outcome::Warm;
            warmed.waves.push(report);
            if !is_warm {
                break;
            }
            // A node has few places for pods: those of a wave that is warm make room.
            let done = made.split_off(before);
            made.extend(self.delete(&done).await.into_iter().map(|(name, _)| name));
        }
        Ok(warmed)
    }

    /// Of a wave that has fewer nodes than are asked for, all.
    fn quorum(&self, wave: Option<&[String]>) -> Quorum {
        match (self.options.quorum, wave) {
            (Quorum::Nodes(nodes), Some(wave)) => Quorum::Nodes(nodes.min(wave.len())),
            (quorum, _) => quorum,
        }
    }

    /// The hostnames of each wave; no list for one wave of all nodes there are.
    fn split(&self) -> Vec<Option<Vec<String>>> {
        let Some(nodes) = &self.survey.nodes else { return vec![None] };
        if self.options.waves == super::Waves::default() && !self.options.selected {
            return vec![None];
        }
        // Nodes that are likely to be left out are no proof of anything: they come last.
        let (well, ill): (Vec<_>, Vec<_>) = nodes.iter().partition(|node| node.trouble.is_none());
        let hostnames: BTreeMap<&str, &str> =
            nodes.iter().map(|node| (node.name.as_str(), node.hostname.as_str())).collect();
        let named: Vec<(&str, &str)> =
            well.iter().map(|node| (node.name.as_str(), node.zone.as_str())).collect();
        let mut waves: Vec<Vec<&str>> = self.options.waves.split(&named);
        match waves.last_mut() {
            Some(last) => last.extend(ill.iter().map(|node| node.name.as_str())),
            None => waves.push(ill.iter().map(|node| node.name.as_str()).collect()),
        }
        let hostname = |name: &&str| hostnames.get(name).map(|hostname| (*hostname).to_owned());
        waves.iter().map(|names| Some(names.iter().filter_map(hostname).collect())).collect()
    }

    /// Makes a puller for each group that has nodes in the wave, and says how many.
    async fn make(
        &self,
        wave_number: usize,
        wave: Option<&[String]>,
        labels: &BTreeMap<String, String>,
        made: &mut Vec<String>,
    ) -> Result<usize, Error> {
        let expires = jiff::Timestamp::now().as_second() + (self.options.deadline + GRACE).as_secs() as i64;
        let annotations = BTreeMap::from([(EXPIRES.to_owned(), expires.to_string())]);
        let only: Vec<Value> = wave.map(|names| only(names.iter().map(String::as_str))).into_iter().collect();
        let mut count = 0;
        for (number, group) in self.groups.iter().enumerate() {
            let is_in_wave =
                |node: &&super::SurveyedNode| wave.is_none_or(|names| names.contains(&node.hostname));
            let nodes = self.survey.nodes.as_ref();
            if nodes.is_some_and(|nodes| {
                !nodes.iter().filter(is_in_wave).any(|node| node.groups.contains(&number))
            }) {
                continue;
            }
            let name = format!("perijove-warm-{}-{wave_number}-{number}", self.id);
            let mut labels = labels.clone();
            labels.insert("perijove.jupyter.org/image-set".to_owned(), hash(&format!("{name} {group:?}")));
            let puller = Puller {
                name: &name,
                labels: &labels,
                annotations: &annotations,
                group,
                only: &only,
                mode: self.survey.mode,
                own_image: &self.options.own_image,
            };
            // Before it is made: an answer may be lost on the way.
            made.push(name.clone());
            self.cluster.create(&puller.daemon_set()).await?;
            count += 1;
        }
        Ok(count)
    }

    fn labels(&self, wave: usize) -> BTreeMap<String, String> {
        let pairs = [
            ("app.kubernetes.io/name", "perijove".to_owned()),
            ("app.kubernetes.io/instance", "perijove-warm".to_owned()),
            ("app.kubernetes.io/component", COMPONENT.to_owned()),
            ("app.kubernetes.io/managed-by", "perijove".to_owned()),
            ("perijove.jupyter.org/run", self.id.clone()),
            ("perijove.jupyter.org/wave", wave.to_string()),
        ];
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// Gives those that are there still, and why.
    async fn delete(&self, names: &[String]) -> Vec<(String, String)> {
        let mut left = Vec::new();
        for name in names {
            if let Err(error) = self.cluster.delete(name).await {
                left.push((name.clone(), error.to_string()));
            }
        }
        left
    }
}

fn selector(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

/// Twelve lower-case hexadecimal digits.
fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Unlike that of every other run.
fn id() -> String {
    let now = jiff::Timestamp::now().as_nanosecond();
    hash(&format!("{now} {}", std::process::id()))
}
