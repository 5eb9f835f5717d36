//! Random faults at random moments: how often a hook's answer is wrong. The same seed gives the same faults.

use std::collections::BTreeSet;

use perijove_testkit::cluster::Fault;

use super::faults::{Course, under};
use super::hook::{Kind, Site};
use super::schedule::{plan, scenario};
use super::table::{Row, time};
use super::truth::{Answer, percentile};

/// How many runs, and from where.
pub struct Runs {
    /// Of ours.
    pub ours: u64,
    /// The first of them have today's hook beside it.
    pub today: u64,
    /// Of the random numbers.
    pub seed: u64,
    /// The number of the first.
    pub first: u64,
}

#[derive(Default)]
struct Count {
    runs: u64,
    wrong: Vec<Answer>,
    seconds: Vec<f64>,
}

impl Count {
    fn of(&self, answer: Answer) -> usize {
        self.wrong.iter().filter(|one| **one == answer).count()
    }

    fn text(&self) -> String {
        let [success, hang, failure] =
            [Answer::FalseSuccess, Answer::FalseHang, Answer::FalseFailure].map(|answer| self.of(answer));
        let median = percentile(&self.seconds, 50).unwrap_or_default();
        format!("{success} / {hang} / {failure} in {} runs, median {median:.1} s", self.runs)
    }
}

/// Runs them.
pub fn rows(site: &Site<'_>, runs: &Runs) -> Vec<Row> {
    let [mut today, mut ours] = [Count::default(), Count::default()];
    eprintln!("random faults, seed {}", runs.seed);
    for run in runs.first..runs.first + runs.ours {
        let plan = plan(runs.seed, run);
        let what = scenario(plan.fault);
        let strikes = if what.first { None } else { Some(plan.strikes) };
        let course = Course { strikes, heals: plan.heals, node: plan.node, starts: plan.starts };
        let both = [Kind::Ours, Kind::Today];
        let kinds = if run - runs.first < runs.today { &both[..] } else { &both[..1] };
        let told = under(site, &format!("random-{run}"), plan.fault, course, kinds, |hook, ended| {
            (hook.kind, ended)
        });
        for (kind, ended) in told {
            let count = if kind == Kind::Ours { &mut ours } else { &mut today };
            let answer = ended.answer(what.images);
            count.runs += 1;
            count.seconds.push(ended.took.as_secs_f64());
            let (outcome, took) = (ended.outcome.word(), time(ended.took));
            let text = format!(
                "run {run}: {} on n{}, starts {:?}, strikes {strikes:?}, heals {:?}: {}: {outcome} after {took}: {} {}",
                plan.fault.name(),
                plan.node,
                plan.starts,
                plan.heals,
                kind.word(),
                answer.word(),
                ended.lacking.join(", ")
            );
            eprintln!("{}", text.trim_end());
            if answer != Answer::Right {
                count.wrong.push(answer);
                if kind == Kind::Ours {
                    eprintln!("{}", ended.said);
                }
            }
        }
        if run % 10 == 9 || plan.fault == Fault::ImageCollected {
            forget_images(site);
        }
    }
    let met = ours.of(Answer::FalseSuccess) + ours.of(Answer::FalseHang) + ours.of(Answer::FalseFailure) == 0;
    vec![Row {
        what: format!("random faults (seed {}): false success / hang / false failure", runs.seed),
        today: if today.runs == 0 { String::new() } else { today.text() },
        ours: ours.text(),
        goal: "0 / 0",
        met,
    }]
}

/// Removes the benchmark's images from the nodes, whose disks are small; by every name that they have.
pub fn forget_images(site: &Site<'_>) {
    let ctr = perijove_testkit::cluster::programs::folder("containerd").join("ctr").display().to_string();
    let ctr = [ctr.as_str(), "--namespace", "k8s.io", "images"];
    for node in site.cluster.nodes() {
        let listed = node.run(&[&ctr[..], &["list"]].concat()).text();
        // Name, type, digest…
        let lines = listed.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let all: Vec<(&str, &str)> =
            lines.filter(|words| words.len() > 2).map(|words| (words[0], words[2])).collect();
        let is_ours =
            |name: &str| !name.contains("/own:") && (name.contains("/bench/") || name.contains("/fault-"));
        let ours: BTreeSet<&str> =
            all.iter().filter(|(name, _)| is_ours(name)).map(|(_, digest)| *digest).collect();
        let names: Vec<&str> =
            all.iter().filter(|(_, digest)| ours.contains(digest)).map(|(name, _)| *name).collect();
        if !names.is_empty() {
            node.run(&[&ctr[..], &["remove"], &names].concat());
        }
    }
}
