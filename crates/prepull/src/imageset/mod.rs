//! From a hub's Helm values to the images its users can start and the nodes they can land on: pure, but for
//! [`ValuesFile::open`].
//!
//! `read` (YAML as Helm reads it) → `merge` (as Helm merges) → `chart` (where the values of Zero to JupyterHub are)
//! → `sources` (a file for each place where an image hides; what cannot be known is named) → `spawner`, `pod`
//! (KubeSpawner's own rules) → `group` (by where a pod lands) → [`ImageSet`].

mod chart;
pub mod defaults;
mod group;
mod merge;
mod node;
mod open;
mod order;
mod pod;
mod policy;
mod python;
mod read;
mod scalar;
mod set;
mod sources;
mod spawner;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::Error;
use group::Gathered;
use node::{At, Node, Places, Value};
use pod::Used;
use sources::{beside, code, extra, profiles, singleuser};
use spawner::Store;

pub use open::{LIMIT, ValuesFile};
pub use set::{FileLine, Group, Image, ImageSet, Note, Placement, Role, Unknown};

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The release of Zero to JupyterHub whose defaults hold: `4.3.3`, or the newest of `4.3` or `4`; the newest
    /// that is known without one.
    pub z2jh_version: Option<String>,
}

/// The image set of values files, the later over the earlier as with `helm -f`.
///
/// # Errors
/// What is no YAML, no mapping, of another type than the chart takes, or no image reference; each with its place.
pub fn image_set(files: &[ValuesFile], options: &Options) -> Result<ImageSet, Error> {
    let release = defaults::release(options.z2jh_version.as_deref())?;
    let default = format!("defaults of Zero to JupyterHub {}", release.version);
    let (merged, mut notes) = merged(files)?;
    let chart_values = defaults::values(release)?;
    let mut places = Places::new(files.iter().map(|file| file.name.clone()).collect(), default);
    let paths = chart::deployments(&merged);
    if let [path] = paths.as_slice()
        && path.is_empty()
        && !chart::is_known(&merged)
    {
        notes.push(Note {
            source: String::new(),
            text: "none of the keys belongs to Zero to JupyterHub: these are its defaults".to_owned(),
            file: files.first().map(|file| file.name.clone()).unwrap_or_default(),
            line: 1,
        });
    }
    let mut wrapper = merged;
    if paths.iter().any(|path| !path.is_empty()) {
        places.name(&mut wrapper, 0);
    }
    let deployments: Vec<Node> = paths
        .iter()
        .map(|path| {
            let own = chart::at(&wrapper, path).cloned().unwrap_or_else(|| wrapper.clone());
            let start = path.iter().fold(0, |parent, key| places.child(parent, key));
            let mut values = merge::coalesce(own, chart_values, !path.is_empty());
            places.name(&mut values, start);
            values
        })
        .collect();
    let mut gathered = Gathered::new(&places);
    let mut tolerations = Vec::new();
    for (values, path) in deployments.iter().zip(&paths) {
        gathered.next_deployment();
        for toleration in deployment(values, &places, &mut gathered)? {
            if !tolerations.contains(&toleration) {
                tolerations.push(toleration);
            }
        }
        for level in 0..path.len() {
            if let Some(around) = chart::at(&wrapper, &path[..level]) {
                beside::around(around, &mut gathered);
            }
        }
    }
    Ok(gathered.finish(notes, tolerations, release.version))
}

fn merged(files: &[ValuesFile]) -> Result<(Node, Vec<Note>), Error> {
    let mut root = Node { value: Value::Map(BTreeMap::new()), at: At::DEFAULT, path: 0 };
    let mut notes = Vec::new();
    for (number, file) in files.iter().enumerate() {
        let read = read::read(&file.text, &file.name, u16::try_from(number).unwrap_or(u16::MAX - 1))?;
        let note = |line, source: &str, text: &str| Note {
            source: source.to_owned(),
            text: text.to_owned(),
            file: file.name.clone(),
            line,
        };
        notes.extend(read.repeated.iter().map(|(line, key)| {
            note(*line, key, "the key stands twice in one mapping: Helm takes the last, without a word")
        }));
        if read.documents > 1 {
            notes.push(note(
                1,
                "",
                "several documents: Helm before 3.18 takes the first alone, later ones merge them",
            ));
        }
        root = merge::merge(root, read.root);
    }
    Ok((root, notes))
}

/// Finds the images of one deployment; gives what its pullers tolerate.
fn deployment(
    values: &Node,
    places: &Places,
    gathered: &mut Gathered,
) -> Result<Vec<serde_json::Value>, Error> {
    let mut store = Store::default();
    let mut base = singleuser::base(values, &mut store, places, gathered)?;
    let named = code::run(values, &mut base, &mut store, places, gathered)?;
    let list = base.profile_list.take();
    let offered = match &list {
        Some(list) => profiles::pods(list, &base.settings, &mut store, places, gathered)?,
        None => false,
    };
    if !offered {
        gathered.pod(&store, &base.settings)?;
    }
    let secrets = pod::pull_secrets(&store, &base.settings).names;
    for node in &named {
        let used = Used { image: node, role: Role::Code, policy: None, template: true };
        if let Some(image) = gathered.image(&used)? {
            for group in gathered.landed() {
                gathered.land(image, group, &secrets);
            }
        }
    }
    extra::images(values, &base.settings, &store, places, gathered)?;
    beside::inside(values, gathered);
    extra::tolerations(values, places)
}
