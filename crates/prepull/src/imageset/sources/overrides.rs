//! `kubespawner_override`: the settings that a profile, a choice or a user's own words change.

use crate::Error;
use crate::imageset::node::{Node, Places, Value};
use crate::imageset::spawner::{Attr, Settings, Store};

/// Stands for what a user types where a profile offers an unlisted choice. No text of a values file holds it: the
/// code point is for private use.
pub const ANY: char = '\u{f8ff}';

/// An override: settings and the numbers of their values, in the order in which they apply.
pub type Override = Vec<(Attr, u32)>;

/// Reads the override of a profile or a choice.
pub fn listed(owner: &Node, store: &mut Store, places: &Places) -> Result<Override, Error> {
    match owner.get("kubespawner_override") {
        None => Ok(Vec::new()),
        Some(node) => keep(node, store, places),
    }
}

/// Reads the override of an unlisted choice, `{value}` being any text. Also gives the texts that hold it and name
/// an image.
pub fn unlisted(
    choice: &Node,
    store: &mut Store,
    places: &Places,
) -> Result<(Override, Option<String>), Error> {
    let Some(node) = choice.get("kubespawner_override") else { return Ok((Vec::new(), None)) };
    let mut node = node.clone();
    let mut template = None;
    fill(&mut node, false, &mut template);
    if let Value::Map(settings) = &mut node.value {
        settings.values_mut().for_each(fill_keys);
    }
    Ok((keep(&node, store, places)?, template))
}

/// Whether a key's value names an image in some override.
fn names_image(key: &str) -> bool {
    matches!(key, "image" | "image_spec" | "singleuser_image_spec" | "reference")
}

fn fill(node: &mut Node, image: bool, template: &mut Option<String>) {
    match &mut node.value {
        Value::Text(text) if text.contains("{value}") => {
            if image && template.is_none() {
                *template = Some(text.clone());
            }
            *text = text.replace("{value}", &ANY.to_string());
        }
        Value::List(items) => items.iter_mut().for_each(|item| fill(item, false, template)),
        Value::Map(map) => {
            for (key, item) in map.iter_mut() {
                fill(item, names_image(key), template);
            }
        }
        _ => {}
    }
}

/// KubeSpawner fills in the keys within a setting, too (`recursive_format`).
fn fill_keys(node: &mut Node) {
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(fill_keys),
        Value::Map(map) => {
            map.values_mut().for_each(fill_keys);
            if map.keys().any(|key| key.contains("{value}")) {
                let filled = std::mem::take(map).into_iter();
                *map = filled.map(|(key, item)| (key.replace("{value}", &ANY.to_string()), item)).collect();
            }
        }
        _ => {}
    }
}

fn keep(node: &Node, store: &mut Store, places: &Places) -> Result<Override, Error> {
    let mut kept = Vec::new();
    for (name, value) in places.mapping(node)? {
        if let Some(attr) = Attr::of(name) {
            check(attr, value, places)?;
            kept.push((attr, store.keep(attr, value)));
        }
    }
    Ok(kept)
}

/// Applies an override.
pub fn apply(store: &mut Store, settings: &Settings, over: &Override) -> Settings {
    let mut settings = *settings;
    for (attr, number) in over {
        store.apply(&mut settings, *attr, *number);
    }
    settings
}

/// Whether KubeSpawner takes a value of this type for a setting.
pub fn check(attr: Attr, node: &Node, places: &Places) -> Result<(), Error> {
    let fits = match attr {
        Attr::Image | Attr::ImagePullPolicy => node.text().is_some(),
        Attr::ImagePullSecrets => matches!(node.value, Value::List(_) | Value::Text(_)),
        Attr::InitContainers
        | Attr::ExtraContainers
        | Attr::Volumes
        | Attr::Tolerations
        | Attr::NodeAffinityRequired => matches!(node.value, Value::List(_) | Value::Map(_)),
        _ => matches!(node.value, Value::Map(_)),
    };
    let expected = match attr {
        Attr::Image | Attr::ImagePullPolicy => "text",
        Attr::ImagePullSecrets => "a list of names",
        Attr::InitContainers | Attr::ExtraContainers => "a list of containers",
        Attr::Volumes => "a list of volumes",
        Attr::Tolerations => "a list of tolerations",
        Attr::NodeAffinityRequired => "a list of terms",
        _ => "a mapping",
    };
    match fits || node.is_null() {
        true => Ok(()),
        false => Err(places.expected(node, expected)),
    }
}
