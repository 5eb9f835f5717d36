//! Images that the chart names outside of users' pods: `prePuller.extraImages`, the pullers' pause and the
//! placeholders. An extra image goes where today's pullers go, unless a pod with it is known to land elsewhere: then
//! it goes there.

use super::singleuser::named;
use crate::Error;
use crate::imageset::group::Gathered;
use crate::imageset::node::{Node, Places, Value};
use crate::imageset::pod::{Used, secret_names};
use crate::imageset::set::Role;
use crate::imageset::spawner::{Attr, Settings, Store};

/// Finds them. `base` are the settings before a profile is chosen.
pub fn images(
    values: &Node,
    base: &Settings,
    store: &Store,
    places: &Places,
    gathered: &mut Gathered,
) -> Result<(), Error> {
    if let Some(extra) = values.at_path("prePuller.extraImages") {
        let secrets = secret_names(store.value(base, Attr::ImagePullSecrets));
        for (_, image) in places.mapping(extra)?.iter().filter(|(_, image)| !image.is_null()) {
            let Some(node) = named(image, places)? else { continue };
            let Some(index) = found(&node, image, Role::Extra, gathered)? else { continue };
            if !gathered.is_placed(index)
                && let Some(group) = gathered.group_of(store, base)
            {
                gathered.land(index, group, &secrets);
            }
        }
    }
    // The chart's own pullers run whatever is switched off: `perijove images` tells what the chart can start.
    if let Some(image) = values.at_path("prePuller.pause.image")
        && let Some(node) = named(image, places)?
    {
        found(&node, image, Role::Pause, gathered)?;
    }
    let placeholder = values.at_path("scheduling.userPlaceholder");
    if let Some(placeholder) = placeholder
        && placeholder.get("enabled").is_some_and(Node::is_truthy)
        && placeholder.get("replicas").is_some_and(Node::is_truthy)
        && let Some(image) = placeholder.get("image")
        && let Some(node) = named(image, places)?
    {
        found(&node, image, Role::Placeholder, gathered)?;
    }
    Ok(())
}

fn found(node: &Node, image: &Node, role: Role, gathered: &mut Gathered) -> Result<Option<usize>, Error> {
    let policy = image.get("pullPolicy").and_then(Node::text).filter(|policy| !policy.is_empty());
    gathered.image(&Used { image: node, role, policy, template: false })
}

/// `prePuller.extraTolerations`.
pub fn tolerations(values: &Node, places: &Places) -> Result<Vec<serde_json::Value>, Error> {
    match values.at_path("prePuller.extraTolerations") {
        None => Ok(Vec::new()),
        Some(node) if matches!(node.value, Value::List(_)) => {
            Ok(node.items().into_iter().map(Node::json).collect())
        }
        Some(node) => Err(places.expected(node, "a list of tolerations")),
    }
}
