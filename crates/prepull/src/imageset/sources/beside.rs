//! What stands beside the chart's values, or only points elsewhere, and cannot be read for images.

use crate::imageset::group::Gathered;
use crate::imageset::node::{Node, Value};

/// Names what the values of one deployment point to. `custom` is read by code alone.
pub fn inside(values: &Node, gathered: &mut Gathered) {
    if let Some(secret) = values.at_path("hub.existingSecret").filter(|node| node.is_truthy()) {
        gathered.unknown(secret, "the secret may hold more values");
    }
    if let Some(custom) = values.get("custom") {
        images_in(custom, gathered);
    }
    encrypted(values, gathered);
}

/// Names what stands beside the deployment in the values of a wrapping chart.
pub fn around(wrapper: &Node, gathered: &mut Gathered) {
    let Value::Map(map) = &wrapper.value else { return };
    let on = |node: &Node| {
        matches!(node.value, Value::Map(_))
            && node.get("enabled").is_none_or(Node::is_truthy)
            && node.is_truthy()
    };
    for (key, node) in map {
        match key.as_str() {
            "dask-gateway" | "daskgateway" if on(node) => gathered.unknown(
                node,
                "dask-gateway: schedulers and workers run the user's image (free text option) on their own node pools",
            ),
            "binderhub-service" if on(node) => gathered.unknown(node, "images are built on demand"),
            _ => {}
        }
    }
    if let Some(config) = wrapper.at_path("config.BinderHub") {
        gathered.unknown(config, "BinderHub: images are built on demand");
    }
    encrypted(wrapper, gathered);
}

fn encrypted(values: &Node, gathered: &mut Gathered) {
    if let Some(sops) = values.get("sops").filter(|node| node.get("mac").is_some()) {
        gathered.unknown(sops, "encrypted values are not read");
    }
}

/// Texts under `custom` that name images.
fn images_in(node: &Node, gathered: &mut Gathered) {
    match &node.value {
        Value::Map(map) => {
            for (key, child) in map {
                match child.text() {
                    Some(text) if key == "image" && text.contains(['/', ':']) => {
                        gathered.unknown(child, &format!("`{text}` is there for code alone"));
                    }
                    _ => images_in(child, gathered),
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| images_in(item, gathered)),
        _ => {}
    }
}
