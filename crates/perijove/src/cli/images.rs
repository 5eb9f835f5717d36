//! `perijove images`: the images that a hub's users can start, read from its Helm values.

use std::fmt::Write;
use std::path::PathBuf;

use perijove_prepull::{Group, ImageSet, Options, ValuesFile, image_set};

use super::Outcome;
use super::error::CliError;
use crate::ui::Ui;

/// Flags of `images`.
#[derive(clap::Args)]
pub struct Arguments {
    /// Files with Helm values, as for `helm upgrade`; later ones override, `-` is stdin
    #[arg(
        short = 'f',
        long = "values",
        required = true,
        num_args = 1..,
        value_delimiter = ',',
        value_name = "FILE"
    )]
    values: Vec<PathBuf>,
    /// The release of Zero to JupyterHub whose defaults hold, as 4.3.3 or 4.3; else the newest that is known
    #[arg(long, value_name = "VERSION", env = "PERIJOVE_Z2JH_VERSION")]
    z2jh_version: Option<String>,
    /// Print the images by the nodes they can land on, and the key path of each
    #[arg(long)]
    groups: bool,
}

pub fn run(arguments: &Arguments, ui: &Ui) -> Result<Outcome, CliError> {
    let files = arguments.values.iter().map(|path| ValuesFile::open(path)).collect::<Result<Vec<_>, _>>()?;
    let set = image_set(&files, &Options { z2jh_version: arguments.z2jh_version.clone() })?;
    for note in &set.notes {
        ui.status(&format!("note: {}{}: {}", at(&note.file, note.line), key(&note.source), note.text));
    }
    for unknown in &set.unknown {
        let place = at(&unknown.file, unknown.line);
        ui.status(&format!("unknown: {place}{}: {}", key(&unknown.source), unknown.reason));
    }
    ui.status(&format!(
        "{} images, {} groups of nodes, {} sources that no reader can know; defaults of Zero to JupyterHub {}",
        set.images.len(),
        set.groups.len(),
        set.unknown.len(),
        set.z2jh_version
    ));
    let text = if arguments.groups { by_group(&set) } else { list(&set) };
    let json = serde_json::to_value(&set).map_err(|e| CliError::io("the image set")(e.into()))?;
    ui.result(&text, &json)?;
    Ok(Outcome::Done)
}

/// `values.yaml:12`.
fn at(file: &str, line: u32) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}:{line}") }
}

fn key(source: &str) -> String {
    if source.is_empty() { String::new() } else { format!(": {source}") }
}

/// A line each: the reference alone, for scripts.
fn list(set: &ImageSet) -> String {
    let images: Vec<&str> = set.images.iter().map(|image| image.image.as_str()).collect();
    images.join("\n")
}

fn by_group(set: &ImageSet) -> String {
    let mut text = String::new();
    for (number, group) in set.groups.iter().enumerate() {
        let _ = writeln!(text, "{}", place(group));
        for image in set.images.iter().filter(|image| image.groups.contains(&number)) {
            let _ = writeln!(text, "  {}  {}", image.image, image.sources.join(" "));
        }
    }
    let beside: Vec<_> = set.images.iter().filter(|image| image.groups.is_empty()).collect();
    if !beside.is_empty() {
        text.push_str("no part of a user's pod\n");
        for image in beside {
            let _ = writeln!(text, "  {}  {}", image.image, image.sources.join(" "));
        }
    }
    text.trim_end().to_owned()
}

/// `nodes pool=gpu, tolerating nvidia.com/gpu:NoSchedule, with nvidia.com/gpu`.
fn place(group: &Group) -> String {
    let place = &group.placement;
    let labels: Vec<String> =
        place.node_selector.iter().map(|(label, value)| format!("{label}={value}")).collect();
    let mut text =
        if labels.is_empty() { "any node".to_owned() } else { format!("nodes {}", labels.join(",")) };
    let word = |toleration: &serde_json::Value, field: &str| {
        toleration.get(field).and_then(serde_json::Value::as_str).unwrap_or("").to_owned()
    };
    let tolerations: Vec<String> = place
        .tolerations
        .iter()
        .map(|toleration| {
            let (key, value, effect) =
                (word(toleration, "key"), word(toleration, "value"), word(toleration, "effect"));
            let value = if value.is_empty() { value } else { format!("={value}") };
            let effect = if effect.is_empty() { effect } else { format!(":{effect}") };
            format!("{}{value}{effect}", if key.is_empty() { "*" } else { &key })
        })
        .collect();
    if !tolerations.is_empty() {
        let _ = write!(text, "; tolerates {}", tolerations.join(" "));
    }
    if !place.affinity.is_empty() {
        let terms: Vec<String> = place.affinity.iter().map(ToString::to_string).collect();
        let _ = write!(text, "; affinity {}", terms.join(" or "));
    }
    if !place.extended_resources.is_empty() {
        let _ = write!(text, "; with {}", place.extended_resources.join(" "));
    }
    text
}
