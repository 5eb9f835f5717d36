//! `profile_list`: each profile's override, then one choice of each of its options in the order of their keys
//! (`KubeSpawner._load_profile`). What matters is which settings a pod can end up with: equal ones are followed
//! once, so that twenty images by ten sizes are as many places and images, not as many pods.

use std::collections::HashSet;

use super::overrides::{self, Override};
use crate::Error;
use crate::imageset::group::Gathered;
use crate::imageset::node::{Node, Places, Value};
use crate::imageset::order::sorted;
use crate::imageset::spawner::{Settings, Store};

/// Combinations of one profile that are followed.
const COMBINATIONS: usize = 20_000;
/// Combinations of all profiles that are followed.
const ALL: usize = 500_000;

/// Every pod that the profiles of `list` can make of `base`. An empty list gives no pod: then `base` is the one.
pub fn pods(
    list: &Node,
    base: &Settings,
    store: &mut Store,
    places: &Places,
    gathered: &mut Gathered,
) -> Result<bool, Error> {
    let profiles = match &list.value {
        Value::List(_) | Value::Map(_) => list.items(),
        Value::Null => Vec::new(),
        _ => return Err(places.expected(list, "a list of profiles")),
    };
    let mut left = ALL;
    for profile in &profiles {
        places.mapping(profile)?;
        let over = overrides::listed(profile, store, places)?;
        let start = overrides::apply(store, base, &over);
        let options = options(profile, store, places, gathered)?;
        let bound = COMBINATIONS.min(left);
        let states = match all(start, &options, store, bound) {
            Some(states) => states,
            None => {
                gathered.unknown(
                    profile,
                    &format!(
                        "more than {bound} combinations of options: each choice is read by itself, so that some \
                         node selectors that several choices make together are missing"
                    ),
                );
                each(start, &options, store)
            }
        };
        left = left.saturating_sub(states.len());
        for settings in &states {
            gathered.pod(store, settings)?;
        }
    }
    Ok(!profiles.is_empty())
}

/// The choices of each option, in the order in which options apply.
fn options(
    profile: &Node,
    store: &mut Store,
    places: &Places,
    gathered: &mut Gathered,
) -> Result<Vec<Vec<Override>>, Error> {
    let Some(options) = profile.get("profile_options") else { return Ok(Vec::new()) };
    let sorted = sorted(places.mapping(options)?.iter().filter(|(_, option)| !option.is_null()));
    let mut all = Vec::with_capacity(sorted.len());
    for (name, option) in sorted {
        places.mapping(option)?;
        let mut choices = Vec::new();
        if let Some(listed) = option.get("choices") {
            for choice in places.mapping(listed)?.values().filter(|choice| !choice.is_null()) {
                places.mapping(choice)?;
                choices.push(overrides::listed(choice, store, places)?);
            }
        }
        let built = option.get("dynamic_image_building").filter(|node| enabled(node));
        let free = option.get("unlisted_choice").filter(|node| enabled(node));
        if let Some(free) = free {
            let (over, template) = overrides::unlisted(free, store, places)?;
            choices.push(over);
            if let Some(template) = template {
                gathered.unknown(free, &unlisted_reason(profile, name, free, &template, built.is_some()));
            }
        }
        if let Some(built) = built
            && free.is_none()
        {
            gathered.unknown(built, "images are built on demand");
        }
        all.push(choices);
    }
    Ok(all)
}

fn enabled(node: &Node) -> bool {
    node.get("enabled").is_some_and(Node::is_truthy)
}

fn unlisted_reason(profile: &Node, option: &str, choice: &Node, template: &str, built: bool) -> String {
    let text = |key: &str| profile.get(key).and_then(Node::text).filter(|text| !text.is_empty());
    let name = text("slug").or_else(|| text("display_name")).unwrap_or("");
    let mut reason =
        format!("unlisted_choice: profile '{name}' option '{option}' image template '{template}'");
    if let Some(regex) = choice.get("validation_regex").and_then(Node::text) {
        reason.push_str(&format!(", validation_regex '{regex}'"));
    }
    if built {
        reason.push_str(", images are built on demand");
    }
    reason
}

/// The settings of every combination; none when there are more than `bound`.
fn all(start: Settings, options: &[Vec<Override>], store: &mut Store, bound: usize) -> Option<Vec<Settings>> {
    let mut states = vec![start];
    // An option without a choice cannot be chosen, and leaves things as they are.
    for choices in options.iter().filter(|choices| !choices.is_empty()) {
        let distinct = distinct(choices);
        let mut seen = HashSet::new();
        let mut next = Vec::new();
        for state in &states {
            for choice in &distinct {
                let settings = overrides::apply(store, state, choice);
                if seen.insert(settings) {
                    next.push(settings);
                }
            }
            if next.len() > bound {
                return None;
            }
        }
        states = next;
    }
    Some(states)
}

/// Each choice by itself.
fn each(start: Settings, options: &[Vec<Override>], store: &mut Store) -> Vec<Settings> {
    let mut states = vec![start];
    for choice in options.iter().flat_map(|choices| distinct(choices)) {
        states.push(overrides::apply(store, &start, choice));
    }
    states
}

fn distinct(choices: &[Override]) -> Vec<&Override> {
    let mut seen = HashSet::new();
    choices.iter().filter(|choice| seen.insert(*choice)).collect()
}
