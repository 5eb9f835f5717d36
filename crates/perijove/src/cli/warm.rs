//! `perijove warm`: brings images to the nodes of the current cluster, from here, and leaves nothing behind.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use perijove_awaiter::{duration, ended_by_signal};
use perijove_oci::client::Client as Registries;
use perijove_oci::reference::Reference;
use perijove_prepull::awaiter::{self, Outcome as Ended, Quorum, Report};
use perijove_prepull::manifests::{Group, Mode, OWN_IMAGE, Pulled};
use perijove_prepull::warm::{
    Cluster, Fit, Have, NodePlan, Options, Survey, Warmed, Waves, run as warm, survey,
};
use perijove_prepull::{Options as SetOptions, ValuesFile, image_set};
use serde_json::{Value, json};

use super::Outcome;
use super::error::CliError;
use crate::ui::{Matrix, Ui, bytes};

/// Nodes that are listed one by one.
const LISTED: usize = 40;

/// Flags of `warm`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Files with Helm values of a hub: every image that its users can start; several merge as for `helm upgrade`
    #[arg(
        short = 'f',
        long = "values",
        num_args = 1..,
        value_delimiter = ',',
        value_name = "FILE",
        required_unless_present = "image",
        conflicts_with = "image"
    )]
    values: Vec<PathBuf>,
    /// Images for every node that takes users' pods
    #[arg(long, num_args = 1.., value_name = "REF")]
    image: Vec<String>,
    /// The release of Zero to JupyterHub whose defaults hold, as 4.3.3 or 4.3; else the newest that is known
    #[arg(long, value_name = "VERSION", env = "PERIJOVE_Z2JH_VERSION")]
    z2jh_version: Option<String>,
    /// Where the pullers are made: the hub's namespace has the pull secrets [default: the context's]
    #[arg(short, long, value_name = "NS")]
    namespace: Option<String>,
    /// Only nodes with these labels, as for kubectl -l
    #[arg(long, value_name = "LABELS")]
    nodes: Option<String>,
    /// A few nodes first, of every zone: numbers or percentages that grow to 100%, as 1,10%,100%
    #[arg(long, value_name = "N,N%,100%", default_value = "100%")]
    wave: Waves,
    /// How long at most, as 90s, 10m or 1h30m
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    deadline: Duration,
    /// Nodes of each wave that must be warm: a percentage of those that are not left out, or a number
    #[arg(long, value_name = "N%|N", default_value = "100%")]
    quorum: Quorum,
    /// How images come to be in use on a node
    #[arg(long, value_enum, default_value = "auto")]
    mode: Words,
    /// The image with the program that pullers run
    #[arg(long, value_name = "REF", default_value = OWN_IMAGE, env = "PERIJOVE_PULLER_IMAGE")]
    puller_image: String,
    /// Say what is missing, and do nothing
    #[arg(long)]
    dry_run: bool,
}

/// Ways to bring images into use.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Words {
    /// Image volumes from Kubernetes 1.35 on, else noop
    Auto,
    /// Mounted as volumes: nothing of an image is run
    ImageVolumes,
    /// By a small program that is handed in
    Noop,
}

pub async fn run(arguments: &Arguments, ui: &Ui) -> Result<Outcome, CliError> {
    let groups = groups(arguments, ui)?;
    if groups.is_empty() {
        return Err(CliError::failed(
            "there is no image to bring to any node",
            "see `perijove images --groups`",
        ));
    }
    let _: Reference = arguments.puller_image.parse().map_err(|error| {
        CliError::usage(format!("--puller-image: {error}"), "name the image as registry/name:tag")
    })?;
    let mut stop = std::pin::pin!(ended_by_signal());
    let client = awaiter::connect().await?;
    let cluster = Cluster::new(&client, arguments.namespace.as_deref());
    let registries = Registries::new(ui.reporter())?;
    let mode = match arguments.mode {
        Words::Auto => None,
        Words::ImageVolumes => Some(Mode::ImageVolumes),
        Words::Noop => Some(Mode::Noop),
    };
    let looked = survey(&cluster, &registries, &groups, arguments.nodes.as_deref(), &arguments.wave, mode);
    let survey = tokio::select! {
        survey = looked => survey?,
        () = &mut stop => return Err(super::interrupted()),
    };
    if survey.nodes.as_ref().is_some_and(|nodes| nodes.iter().all(|node| node.groups.is_empty())) {
        return Err(nobody(arguments, &groups, &survey));
    }
    for line in &survey.unknown {
        ui.warning(line);
    }
    let table = table(&survey, &groups, cluster.namespace());
    if arguments.dry_run {
        ui.result(&table, &plan_json(&survey))?;
        return Ok(Outcome::Done);
    }
    table.lines().for_each(|line| ui.status(line));
    let options = Options {
        deadline: arguments.deadline,
        waves: arguments.wave.clone(),
        selected: arguments.nodes.is_some(),
        quorum: arguments.quorum,
        own_image: arguments.puller_image.clone(),
    };
    let mut matrix = Matrix::new(ui, &survey.plans);
    let warmed = warm(&client, &cluster, &survey, &groups, &options, &mut matrix, stop).await;
    drop(matrix);
    let warmed = warmed?;
    if warmed.interrupted {
        return Err(super::interrupted());
    }
    let texts: Vec<String> = warmed.waves.iter().map(Report::text).collect();
    ui.result(&texts.join("\n\n"), &json(&warmed, &survey))?;
    match warmed.outcome() {
        Ended::Warm if warmed.left.is_empty() => Ok(Outcome::Done),
        Ended::Warm | Ended::Failed => Ok(Outcome::Found),
        Ended::Deadline => Ok(Outcome::Late),
    }
}

fn groups(arguments: &Arguments, ui: &Ui) -> Result<Vec<Group>, CliError> {
    if arguments.image.is_empty() {
        let files =
            arguments.values.iter().map(|path| ValuesFile::open(path)).collect::<Result<Vec<_>, _>>()?;
        let set = image_set(&files, &SetOptions { z2jh_version: arguments.z2jh_version.clone() })?;
        for unknown in &set.unknown {
            ui.status(&format!("unknown: {}: {}", unknown.source, unknown.reason));
        }
        return Ok(Group::of(&set));
    }
    let mut images = Vec::new();
    for image in &arguments.image {
        let _: Reference = image.parse().map_err(|error| {
            CliError::usage(format!("--image: {error}"), "name the image as registry/name:tag")
        })?;
        images.push(Pulled { image: image.clone(), pull_policy: None });
    }
    let user = |slash: &str| json!({"key": format!("hub.jupyter.org{slash}dedicated"), "operator": "Equal", "value": "user", "effect": "NoSchedule"});
    Ok(vec![Group {
        placement: Default::default(),
        images,
        pull_secrets: Vec::new(),
        tolerations: vec![user("/"), user("_")],
    }])
}

fn nobody(arguments: &Arguments, groups: &[Group], survey: &Survey) -> CliError {
    let kept_off: Vec<&str> = survey.nodes.iter().flatten().map(|node| node.name.as_str()).collect();
    if !kept_off.is_empty() {
        return CliError::failed(
            format!("taints keep pullers off all of the nodes: {}", kept_off.join(" ")),
            "users' pods would be kept off, too: add their tolerations to the values (prePuller.extraTolerations for pullers alone)",
        );
    }
    match &arguments.nodes {
        Some(selector) => CliError::failed(
            format!("no node that images go to has the labels {selector}"),
            "see `kubectl get nodes --show-labels`, and `perijove images --groups` for where images go",
        ),
        None => CliError::failed(
            format!("no node takes any of the {} groups of images", groups.len()),
            "a pool that scales to zero has no nodes to pull to; the continuous pullers of the chart warm them as they come",
        ),
    }
}

/// What each node is missing, for people.
fn table(survey: &Survey, groups: &[Group], namespace: &str) -> String {
    let mut text = String::new();
    let (major, minor) = survey.kubernetes;
    let how = match survey.mode {
        Mode::ImageVolumes => "image volumes",
        Mode::Noop => "noop",
    };
    let _ = writeln!(text, "Kubernetes {major}.{minor}, by {how}, in the namespace {namespace}");
    let Some(nodes) = &survey.nodes else { return text.trim_end().to_owned() };
    for (number, group) in groups.iter().enumerate() {
        if !nodes.iter().any(|node| node.groups.contains(&number)) {
            let images: Vec<&str> = group.images.iter().map(|image| image.image.as_str()).collect();
            let _ = writeln!(text, "no node takes {}", images.join(" "));
        }
    }
    let mut plans: Vec<&NodePlan> = survey.plans.iter().collect();
    plans.sort_by(|a, b| b.missing_bytes.cmp(&a.missing_bytes).then_with(|| a.name.cmp(&b.name)));
    let width = plans.iter().take(LISTED).map(|plan| plan.name.len()).max().unwrap_or(0).max("node".len());
    if !plans.is_empty() {
        let _ = writeln!(text, "{:width$}  {:>10}  {:>8}  disk", "node", "to pull", "images");
    }
    for plan in plans.iter().take(LISTED) {
        let missing = plan.images.iter().filter(|image| image.have != Have::Present).count();
        let size = match (plan.unknown_sizes, plan.missing_bytes) {
            (0, size) => bytes(size),
            (_, 0) => "?".to_owned(),
            (_, size) => format!("> {}", bytes(size)),
        };
        let images = format!("{missing} of {}", plan.images.len());
        let trouble = nodes.iter().find(|node| node.name == plan.name).and_then(|node| node.trouble);
        let trouble = trouble.map(|trouble| format!("; {trouble}")).unwrap_or_default();
        let _ = writeln!(text, "{:width$}  {size:>10}  {images:>8}  {}{trouble}", plan.name, disk(plan));
    }
    if plans.len() > LISTED {
        let _ = writeln!(text, "… and {} more nodes", plans.len() - LISTED);
    }
    let all: u64 = plans.iter().map(|plan| plan.missing_bytes).sum();
    let more = if plans.iter().any(|plan| plan.unknown_sizes > 0) { "at least " } else { "" };
    let seen = if survey.rate.is_seen { "as pulls went lately" } else { "assumed" };
    let _ = write!(text, "{more}{} to pull on {} nodes", bytes(all), plans.len());
    if all > 0 {
        let rate = bytes(survey.rate.bytes_per_second as u64);
        let _ = write!(text, ": {more}about {:.0} s at {rate}/s a node ({seen})", survey.seconds().ceil());
    }
    text
}

fn disk(plan: &NodePlan) -> &'static str {
    match plan.disk {
        None => "not known",
        Some(Fit::Fits) => "fits",
        Some(Fit::Tight) => "TIGHT: the kubelet would delete images",
        Some(Fit::Full) => "TOO SMALL",
    }
}

fn plan_json(survey: &Survey) -> Value {
    let (major, minor) = survey.kubernetes;
    json!({
        "kubernetes": format!("{major}.{minor}"),
        "mode": match survey.mode { Mode::ImageVolumes => "image-volumes", Mode::Noop => "noop" },
        "nodes": survey.plans,
        "missing_bytes": survey.plans.iter().map(|plan| plan.missing_bytes).sum::<u64>(),
        "rate": survey.rate,
        "expected_seconds": survey.seconds(),
        "unknown": survey.unknown,
    })
}

/// The awaiter's object for the whole run: nodes of all waves, and each wave by itself.
fn json(warmed: &Warmed, survey: &Survey) -> Value {
    let waves: Vec<Value> = warmed.waves.iter().map(Report::json).collect();
    let nodes: Vec<&Value> = waves.iter().filter_map(|wave| wave["nodes"].as_array()).flatten().collect();
    json!({
        "result": warmed.outcome().word(),
        "nodes": nodes,
        "plan": plan_json(survey),
        "waves": waves,
        "waves_planned": warmed.planned,
        "not_deleted": warmed.left,
        "seconds": warmed.waves.iter().map(|report| report.took.as_secs_f64()).sum::<f64>(),
    })
}
