//! Every fault by name, today's hook and ours under it at the same time.

use std::time::{Duration, Instant};

use perijove_testkit::cluster::control::Flow;
use perijove_testkit::cluster::fault::{Broken, LATE_NODE, Place};
use perijove_testkit::cluster::{Fault, PodSecurity};
use serde_json::{Value, json};

use super::hook::{self, Ended, Hook, Kind, Site, Struck};
use super::schedule::{Scenario, scenario};
use super::table::time;
use super::truth::Answer;

/// When a fault that strikes in the middle does.
const MIDDLE: Duration = Duration::from_millis(2500);
/// A pull of the two images takes some seconds then, so that there is a middle.
const UNHURRIED: Flow = Flow { closed: false, bytes_per_second: Some(1_500_000) };

/// One fault, and what came of the hooks under it.
pub struct Line {
    fault: Fault,
    hooks: Vec<Told>,
}

struct Told {
    kind: Kind,
    ended: Ended,
    answer: Answer,
    /// The word that names the fault; today's never has one.
    named: Option<&'static str>,
    requests: usize,
    left: Vec<String>,
}

/// What happens to a run of hooks, and when.
#[derive(Clone, Copy, Debug)]
pub struct Course {
    /// Before the pullers are made, and seen by Kubernetes; or so much later.
    pub strikes: Option<Duration>,
    /// So long after it struck; never: when the hooks have ended.
    pub heals: Option<Duration>,
    /// Which node, from 1.
    pub node: u8,
    /// So long after the pullers our awaiter begins.
    pub starts: Duration,
}

/// Runs both hooks under a fault and gives how they ended; `look` looks at them before all is deleted.
pub fn under<T>(
    site: &Site<'_>,
    run: &str,
    fault: Fault,
    course: Course,
    kinds: &[Kind],
    look: impl Fn(&Hook<'_>, Ended) -> T,
) -> Vec<T> {
    let (cluster, what) = (site.cluster, scenario(fault));
    let namespace = cluster.namespace(&format!("bench-{run}"), PodSecurity::Restricted);
    let place = Place { node: course.node, namespace: namespace.name(), awaiter: "bench=awaiter" };
    let mut own: Vec<_> = kinds.iter().map(|kind| (*kind, hook::images(cluster, *kind, run, 2))).collect();
    let struck = Struck::default();
    let node = if fault == Fault::LateNode { LATE_NODE } else { course.node };
    let strike = || {
        if what.dark {
            struck.dark.lock().unwrap().insert(format!("n{node}"));
        }
        if fault == Fault::AwaiterKilled {
            struck.kill();
        }
        fault.apply(cluster, &place)
    };
    let mut broken = (what.first || course.strikes.is_none()).then(|| {
        let broken = strike();
        broken.wait_until_seen();
        broken
    });
    let secret = broken.as_ref().and_then(|broken| broken.pull_secret);
    if let Some(image) = broken.as_ref().and_then(|broken| broken.image.clone()) {
        own.iter_mut().for_each(|(_, images)| images.insert(1, image.clone()));
    }
    if !what.first {
        cluster.registries(UNHURRIED);
    }
    let hooks = hook::prepare(site, &namespace, own, secret);
    hook::create(&hooks);
    let begun = Instant::now();
    let ended: Vec<Ended> = std::thread::scope(|scope| {
        let struck = &struck;
        let running: Vec<_> =
            hooks.iter().map(|hook| scope.spawn(move || hook.run(begun, course.starts, struck))).collect();
        let all_ended = || running.iter().all(std::thread::ScopedJoinHandle::is_finished);
        let until = |moment: Instant| {
            while Instant::now() < moment && !all_ended() {
                std::thread::sleep(Duration::from_millis(20));
            }
        };
        let at = begun + course.strikes.unwrap_or_default();
        until(at);
        if broken.is_none() && !all_ended() {
            broken = Some(strike());
        }
        if let Some(heals) = course.heals {
            until(Instant::now() + heals);
            if !all_ended() {
                heal(fault, broken.take());
                struck.dark.lock().unwrap().clear();
            }
        }
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    heal(fault, broken);
    cluster.registries(Flow::default());
    hooks.iter().zip(ended).map(|(hook, ended)| look(hook, ended)).collect()
}

fn heal(fault: Fault, broken: Option<Broken<'_>>) {
    // Of a node that comes late, nothing can be taken away before it is there.
    if let Some(broken) = broken.as_ref().filter(|_| fault == Fault::LateNode) {
        broken.wait_until_seen();
    }
    drop(broken);
}

/// All of them, or those that are named.
pub fn all(site: &Site<'_>, wanted: &[String]) -> Vec<Line> {
    let chosen =
        Fault::ALL.into_iter().filter(|(name, _)| wanted.is_empty() || wanted.iter().any(|w| w == name));
    let mut lines = Vec::new();
    for (number, (name, fault)) in chosen.enumerate() {
        let what = scenario(fault);
        let middle = matches!(fault, Fault::ApiServerRestarted | Fault::AwaiterKilled | Fault::LateNode);
        let course =
            Course { strikes: middle.then_some(MIDDLE), heals: what.heals, node: 2, starts: hook::POD };
        let kinds = [Kind::Today, Kind::Ours];
        let hooks = under(site, &format!("fault-{number}"), fault, course, &kinds, |hook, ended| {
            told(hook, ended, what)
        });
        let line = Line { fault, hooks };
        eprintln!("{name}: {}", line.cells().join(" | "));
        lines.push(line);
    }
    lines
}

fn told(hook: &Hook<'_>, ended: Ended, what: Scenario) -> Told {
    let answer = ended.answer(what.images);
    let named = what.names.iter().copied().find(|word| ended.said.contains(word));
    let named = named.filter(|_| hook.kind == Kind::Ours);
    if hook.kind == Kind::Ours && (answer != Answer::Right || named.is_none() && !what.names.is_empty()) {
        eprintln!("{}", ended.said);
    }
    Told {
        kind: hook.kind,
        answer,
        named,
        requests: hook.requests().len(),
        left: hook.left(ended.outcome),
        ended,
    }
}

impl Line {
    fn cells(&self) -> Vec<String> {
        self.hooks.iter().map(|told| told.cell(scenario(self.fault))).collect()
    }

    /// Whether ours was right, named it, and left nothing.
    pub fn is_met(&self) -> bool {
        let what = scenario(self.fault);
        let ours = self.hooks.iter().filter(|told| told.kind == Kind::Ours);
        ours.into_iter().all(|told| {
            told.answer == Answer::Right
                && told.left.is_empty()
                && (what.names.is_empty() || told.named.is_some())
        })
    }
}

impl Told {
    fn cell(&self, what: Scenario) -> String {
        let Ended { outcome, took, lacking, .. } = &self.ended;
        let mut answer = self.answer.word().to_owned();
        if self.answer == Answer::FalseSuccess {
            answer = format!("{answer} ({})", lacking.join(", "));
        }
        let named = match self.named {
            Some(word) => format!(", says {word}"),
            None if what.names.is_empty() => String::new(),
            None => ", not named".to_owned(),
        };
        let left =
            if self.left.is_empty() { String::new() } else { format!("; left: {}", self.left.join(", ")) };
        format!("{} after {}, {} requests: {answer}{named}{left}", outcome.word(), time(*took), self.requests)
    }
}

/// Prints the table.
pub fn print(lines: &[Line], as_json: bool) {
    if as_json {
        let all: Vec<Value> = lines
            .iter()
            .map(|line| {
                let hooks = line.hooks.iter().map(|told| {
                    (
                        told.kind.word(),
                        json!({
                            "outcome": told.ended.outcome.word(),
                            "answer": told.answer.word(),
                            "named": told.named,
                            "seconds": told.ended.took.as_secs_f64(),
                            "api_requests": told.requests,
                            "left": told.left,
                            "lacking": told.ended.lacking,
                        }),
                    )
                });
                let hooks: serde_json::Map<String, Value> = hooks.map(|(k, v)| (k.to_owned(), v)).collect();
                json!({"fault": line.fault.name(), "hooks": hooks, "met": line.is_met()})
            })
            .collect();
        println!("{}", json!({ "faults": all }));
        return;
    }
    println!("\n| fault | today's | ours | goal: right, named, nothing left |\n|---|---|---|---|");
    for line in lines {
        let met = if line.is_met() { "met" } else { "MISSED" };
        println!("| {} | {} | {met} |", line.fault.name(), line.cells().join(" | "));
    }
}
