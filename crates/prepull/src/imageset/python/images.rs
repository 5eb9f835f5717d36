//! Which plain values name images.

use perijove_oci::Reference;

use crate::imageset::node::{Node, Value};

/// Whether a text names an image beyond doubt: a reference with a registry, a namespace, a tag or a digest.
pub fn is_image(node: &Node) -> bool {
    node.text().is_some_and(|text| text.contains(['/', ':', '@']) && text.parse::<Reference>().is_ok())
}

/// The images that a plain value names.
pub fn images_in(node: &Node, found: &mut Vec<Node>) {
    match &node.value {
        Value::List(items) => items.iter().for_each(|item| images_in(item, found)),
        Value::Map(map) => {
            for (key, item) in map {
                if key == "image" && is_image(item) {
                    found.push(item.clone());
                } else {
                    images_in(item, found);
                }
            }
        }
        _ => {}
    }
}
