//! Today's pre-pulling hook of Zero to JupyterHub and ours, on the same cluster: every fault, random faults, how long
//! each takes to say what is known, what it asks of the API server, and its memory.
//!
//!     cargo bench -p perijove --bench prepull -- [--only SECTION,…] [--runs N] [--deadline SECONDS] [--seed N] [--json]
//!
//! Needs root and `make tools-kube`. Both hooks are there at the same time, each with images and an account of its
//! own; their awaiters run beside the cluster, with the rights that their charts give. Truth is read from the nodes'
//! own containerd and from what the API server says of the nodes at the moment an awaiter ends.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark ends where something is not as it should be, and prints"
)]

mod faults;
mod hook;
mod random;
mod rights;
mod schedule;
mod table;
mod times;
mod today;
mod truth;
mod values;
mod watch;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use clap::{Parser, ValueEnum};
use perijove_testkit::cluster::{Cluster, Options, lacking};

use hook::Site;
use watch::Watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Every fault by name.
    Faults,
    /// Random faults at random moments.
    Random,
    /// Last pull finished → hook finished.
    LastPull,
    /// The kubelet's first word on a missing tag → failed hook.
    MissingTag,
    /// API requests of a long wait.
    Requests,
    /// Peak memory on three nodes.
    Memory,
    /// The same on thousands of made-up nodes, with requests and time.
    FakeNodes,
    /// Images known of real values, and pools reached.
    Values,
}

/// Today's pre-pulling hook and ours, side by side
#[derive(Parser)]
struct Flags {
    /// Sections to run
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Section>,
    /// Faults to run of the section `faults`, by name
    #[arg(long, value_delimiter = ',')]
    fault: Vec<String>,
    /// Random faults
    #[arg(long, default_value = "200")]
    runs: u64,
    /// Of them so many have today's hook beside ours, which takes longer
    #[arg(long, default_value = "20")]
    today_runs: u64,
    /// The number of the first random run
    #[arg(long, default_value = "0")]
    first: u64,
    /// Of the random faults [default: by the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Seconds after which Helm gives up today's hook, and ours itself
    #[arg(long, default_value = "60")]
    deadline: u64,
    /// Seconds of the wait in which requests are counted
    #[arg(long, default_value = "60")]
    wait: u64,
    /// Runs of `last-pull`; `missing-tag` has three
    #[arg(long, default_value = "10")]
    repeat: u32,
    /// Made-up nodes
    #[arg(long, default_value = "5000")]
    fake_nodes: u32,
    /// Ours without the right to read nodes, as the chart has it unless it is told to
    #[arg(long)]
    without_nodes: bool,
    /// Our awaiter [default: perijove; the rows of memory: PERIJOVE_AWAITER, the program of its image]
    #[arg(long)]
    awaiter: Option<PathBuf>,
    /// One JSON object a table
    #[arg(long)]
    json: bool,
    /// What cargo says to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == today::WORD) {
        return today::awaiter(&words[1..]);
    }
    let flags = Flags::parse();
    let wants = |section: Section| flags.only.is_empty() || flags.only.contains(&section);
    let mut rows = Vec::new();
    if wants(Section::Values) {
        let folder = values::folder();
        if folder.is_dir() {
            rows.extend(values::rows(&folder));
        } else {
            eprintln!("skipped: values: no {}; set PERIJOVE_SHARED", folder.display());
        }
    }
    let on_cluster = Section::value_variants().iter().any(|s| *s != Section::Values && wants(*s));
    if on_cluster {
        if let Some(why) = lacking(&Options { fake_nodes: flags.fake_nodes, ..Options::default() }) {
            eprintln!("skipped: all on a cluster: {why}");
        } else if let Err(error) = on_a_cluster(&flags, wants, &mut rows) {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    if !rows.is_empty() {
        table::rows(&rows, flags.json);
    }
    ExitCode::SUCCESS
}

fn on_a_cluster(
    flags: &Flags,
    wants: impl Fn(Section) -> bool,
    rows: &mut Vec<table::Row>,
) -> std::io::Result<()> {
    let folder = tempfile::tempdir()?;
    let perijove = flags.awaiter.clone().unwrap_or_else(|| env!("CARGO_BIN_EXE_perijove").into());
    let small = std::env::var_os("PERIJOVE_AWAITER").map(PathBuf::from);
    let small = flags.awaiter.clone().or(small).unwrap_or_else(|| perijove.clone());
    let seconds = Duration::from_secs(flags.deadline);
    let of_fakes = |section: &&Section| !matches!(section, Section::Values | Section::FakeNodes);
    if Section::value_variants().iter().filter(of_fakes).any(|section| wants(*section)) {
        let cluster = Cluster::start(&Options::default());
        let watch = Watch::new(&cluster.kubeconfig(), true);
        times::own_image(&cluster);
        let site = Site {
            cluster: &cluster,
            watch: &watch,
            awaiter: &perijove,
            deadline: seconds,
            nodes: !flags.without_nodes,
            folder: folder.path(),
        };
        if wants(Section::Faults) {
            faults::print(&faults::all(&site, &flags.fault), flags.json);
            random::forget_images(&site);
        }
        if wants(Section::LastPull) {
            rows.extend(times::last_pull(&site, flags.repeat));
        }
        if wants(Section::MissingTag) {
            rows.extend(times::missing_tag(&site, flags.repeat.min(3)));
        }
        if wants(Section::Requests) {
            rows.extend(times::requests(&site, Duration::from_secs(flags.wait)));
        }
        if wants(Section::Memory) {
            rows.extend(times::memory(&Site { awaiter: &small, ..site }));
        }
        if wants(Section::Random) {
            let clock =
                || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
            let seed = flags.seed.unwrap_or_else(clock);
            let runs = random::Runs { ours: flags.runs, today: flags.today_runs, seed, first: flags.first };
            rows.extend(random::rows(&site, &runs));
        }
    }
    if wants(Section::FakeNodes) {
        rows.extend(times::fake_nodes(&small, flags.fake_nodes, folder.path()));
    }
    Ok(())
}
