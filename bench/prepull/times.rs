//! How long a hook takes to say what is known, what it asks meanwhile, and how much memory it takes.

use std::path::Path;
use std::time::{Duration, Instant};

use perijove_testkit::cluster::control::Flow;
use perijove_testkit::cluster::{Cluster, Options, PodSecurity, TestImage};

use super::hook::{self, Ended, Hook, Kind, Site, Struck};
use super::table::{Row, time};
use super::truth::{Outcome, percentile};
use super::watch::Watch;

/// Of a whole run without faults.
const MOST_REQUESTS: usize = 10;
const BOTH: [Kind; 2] = [Kind::Today, Kind::Ours];

/// A hook of each kind with two images, at the same time; `more` is an image for both.
fn together<T>(
    site: &Site<'_>,
    run: &str,
    more: Option<&str>,
    look: impl Fn(&Hook<'_>, Ended) -> T,
) -> Vec<T> {
    let namespace = site.cluster.namespace(&format!("bench-{run}"), PodSecurity::Restricted);
    let images = |kind| {
        let mut images = hook::images(site.cluster, kind, run, 2);
        images.extend(more.map(str::to_owned));
        (kind, images)
    };
    let hooks = hook::prepare(site, &namespace, BOTH.map(images).into(), None);
    hook::create(&hooks);
    let (begun, struck) = (Instant::now(), Struck::default());
    let ended: Vec<Ended> = std::thread::scope(|scope| {
        let struck = &struck;
        let running: Vec<_> =
            hooks.iter().map(|hook| scope.spawn(move || hook.run(begun, hook::POD, struck))).collect();
        running.into_iter().map(|one| one.join().unwrap()).collect()
    });
    hooks.iter().zip(ended).map(|(hook, ended)| look(hook, ended)).collect()
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Median, by which goals are met, and worst, in milliseconds.
fn spread(values: &[f64]) -> String {
    let at = |percent| percentile(values, percent).unwrap_or(f64::NAN);
    format!("{:.0} ms (worst of {}: {:.0})", at(50), values.len(), at(100))
}

/// From the last pod's Ready, as a watch sees it, to the end of the process.
pub fn last_pull(site: &Site<'_>, runs: u32) -> Vec<Row> {
    let mut found: [Vec<f64>; 2] = Default::default();
    for run in 0..runs {
        let took = together(site, &format!("last-{run}"), None, |hook, ended| {
            assert_eq!(ended.outcome, Outcome::Success, "{}", ended.said);
            let ready = site.watch.last_ready(&format!("bench-last-{run}"), &hook.name());
            ready.map(|ready| millis(ended.at.saturating_duration_since(ready)))
        });
        for (all, one) in found.iter_mut().zip(took) {
            all.extend(one);
        }
    }
    vec![Row {
        what: "last pull finished → hook finished".to_owned(),
        today: spread(&found[0]),
        ours: spread(&found[1]),
        goal: "≤ 150 ms",
        met: percentile(&found[1], 50).is_some_and(|median| median <= 150.0),
    }]
}

/// From the first word of the kubelet that reached the API server to the end of the process.
pub fn missing_tag(site: &Site<'_>, runs: u32) -> Vec<Row> {
    let mut found = Vec::new();
    let mut today = String::new();
    let mut all_named = true;
    for run in 0..runs {
        let missing = format!("{}/bench/missing:{run}", site.cluster.registry());
        for (kind, outcome, took, named) in
            together(site, &format!("missing-{run}"), Some(&missing), |hook, ended| {
                let word = site.watch.first_word(&format!("bench-missing-{run}"), &hook.name());
                let took = word.map(|word| ended.at.saturating_duration_since(word)).unwrap_or_default();
                let named = ended.said.contains("ImageMissing") && ended.said.contains(&missing);
                (hook.kind, ended.outcome, took, named)
            })
        {
            if kind == Kind::Ours {
                all_named &= named && outcome == Outcome::Failed;
                found.push(millis(took));
            } else {
                today = format!("{} after {}, no reason", outcome.word(), time(took));
            }
        }
    }
    vec![Row {
        what: "missing tag: kubelet's first word → failed hook, reason shown".to_owned(),
        today,
        ours: spread(&found),
        goal: "≤ 2 s",
        met: all_named && percentile(&found, 50).is_some_and(|median| median <= 2000.0),
    }]
}

/// Requests of a wait in which nothing comes: the registries are shut.
pub fn requests(site: &Site<'_>, wait: Duration) -> Vec<Row> {
    let site = Site { deadline: wait, ..*site };
    let namespace = site.cluster.namespace("bench-wait", PodSecurity::Restricted);
    let images = BOTH.map(|kind| (kind, hook::images(site.cluster, kind, "wait", 2)));
    let hooks = hook::prepare(&site, &namespace, images.into(), None);
    site.cluster.registries(Flow { closed: true, bytes_per_second: None });
    hook::create(&hooks);
    let (begun, struck) = (Instant::now(), Struck::default());
    std::thread::scope(|scope| {
        for hook in &hooks {
            scope.spawn(|| hook.run(begun, hook::POD, &struck));
        }
    });
    site.cluster.registries(Flow::default());
    let [today, ours] = [0, 1].map(|number| hooks[number].requests().len());
    let seconds = wait.as_secs().max(1);
    let all =
        if seconds == 600 { String::new() } else { format!(", {} in 600 s", today as u64 * 600 / seconds) };
    vec![Row {
        what: format!("API requests of a wait of {seconds} s"),
        today: format!("{today}{all}"),
        ours: ours.to_string(),
        goal: "≤ 10",
        met: ours <= MOST_REQUESTS,
    }]
}

/// Peak memory on three real nodes.
pub fn memory(site: &Site<'_>) -> Vec<Row> {
    let peak = together(site, "memory", None, |hook, ended| (hook.kind, ended.peak))
        .into_iter()
        .find_map(|(kind, peak)| (kind == Kind::Ours).then_some(peak));
    let peak = peak.unwrap_or_default();
    vec![Row {
        what: format!("peak memory on {} nodes, {}", site.cluster.nodes().count(), program(site.awaiter)),
        today: String::new(),
        ours: megabytes(peak),
        goal: "≤ 15 MB",
        met: peak <= 15_000_000,
    }]
}

/// Thousands of made-up nodes: a cluster of its own.
pub fn fake_nodes(awaiter: &Path, count: u32, folder: &Path) -> Vec<Row> {
    eprintln!("{count} nodes of kwok: some minutes, and 3 GB of memory");
    let cluster = Cluster::start(&Options { fake_nodes: count, ..Options::default() });
    eprintln!("{count} nodes ready after {:.0} s", cluster.facts().seconds);
    let watch = Watch::new(&cluster.kubeconfig(), false);
    let deadline = Duration::from_secs(900);
    let site = Site { cluster: &cluster, watch: &watch, awaiter, deadline, nodes: true, folder };
    own_image(&cluster);
    let namespace = cluster.namespace("bench-fake", PodSecurity::Restricted);
    let images = vec![(Kind::Ours, vec!["bench/fake:1".to_owned(), "bench/fake:2".to_owned()])];
    let hooks = hook::prepare(&site, &namespace, images, None);
    hook::create(&hooks);
    let hook = &hooks[0];
    let ended = hook.run(Instant::now(), hook::POD, &Struck::default());
    assert_eq!(ended.outcome, Outcome::Success, "{}", ended.said.chars().take(4000).collect::<String>());
    let ready = watch.last_ready(namespace.name(), &hook.name());
    let after = ready.map_or(f64::NAN, |ready| millis(ended.at.saturating_duration_since(ready)));
    let asked = hook.requests();
    let requests = asked.len();
    if requests > MOST_REQUESTS {
        eprintln!(
            "{}\n{}",
            asked.join("\n"),
            ended.said.lines().filter(|line| line.contains("API")).collect::<Vec<_>>().join("\n")
        );
    }
    let on = format!("on {count} nodes");
    let row = |what: String, ours: String, goal, met| Row { what, today: String::new(), ours, goal, met };
    vec![
        row(format!("{on}: pullers made → hook finished"), time(ended.took), "", true),
        row(
            format!("{on}: last pull finished → hook finished"),
            format!("{after:.0} ms"),
            "≤ 150 ms",
            after <= 150.0,
        ),
        row(format!("{on}: API requests"), requests.to_string(), "≤ 10", requests <= MOST_REQUESTS),
        row(
            format!("{on}: peak memory, {}", program(site.awaiter)),
            megabytes(ended.peak),
            "≤ 64 MB",
            ended.peak <= 64_000_000,
        ),
    ]
}

/// The image of both pullers' own containers.
pub fn own_image(cluster: &Cluster) {
    cluster.push(&TestImage::pause(), "bench/own", "1");
}

fn program(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
