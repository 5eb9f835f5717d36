//! Where in a YAML file a text stands, and whether that is where images stand.

use super::tree::{Node, Scalar};

/// The keys from the root down.
#[derive(Clone, Debug, Default)]
pub struct Path<'a> {
    keys: Vec<String>,
    /// The mapping or list around.
    parent: Option<&'a Node>,
}

impl<'a> Path<'a> {
    /// The root of a document.
    pub fn root() -> Self {
        Path::default()
    }

    /// Below a key of `parent`.
    pub fn key(&self, key: &str, parent: &'a Node) -> Path<'a> {
        let mut keys = self.keys.clone();
        keys.push(key.to_owned());
        Path { keys, parent: Some(parent) }
    }

    /// Below a list.
    pub fn item(&self, parent: &'a Node) -> Path<'a> {
        Path { keys: self.keys.clone(), parent: Some(parent) }
    }

    /// The nearest key.
    pub fn last(&self) -> &str {
        self.keys.last().map_or("", String::as_str)
    }

    /// Whether a key is among those above.
    pub fn has(&self, key: &str) -> bool {
        self.keys.iter().any(|k| k == key)
    }

    /// Whether the nearest key says image.
    pub fn is_image(&self) -> bool {
        says_image(self.last()) || (self.last() == "uses" && self.has("steps"))
    }

    /// Whether what is here is a container: it stands in a list or map of them.
    pub fn is_container(&self) -> bool {
        let above = self.keys.len().checked_sub(2).and_then(|at| self.keys.get(at));
        self.last() == "image"
            && above.is_some_and(|key| ["services", "hub", "containers"].contains(&key.as_str()))
    }

    /// Whether the values around hold a key.
    pub fn sibling(&self, key: &str) -> bool {
        self.parent.is_some_and(|parent| parent.get(key).is_some())
    }
}

/// Whether a key's name says that its value is an image.
pub fn says_image(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    ["image", "container"].iter().any(|word| key.contains(word))
        || key.ends_with("base")
        || key.ends_with("from")
}

/// `- name: HUB_IMAGE, value: …`: whether the name says image.
pub fn is_image_variable(around: &Node) -> bool {
    let name = around.get("name").and_then(Node::text);
    around.get("value").is_some() && name.is_some_and(says_image)
}

/// All texts below a node.
pub fn texts(node: &Node) -> Vec<&Scalar> {
    match node {
        Node::Scalar(scalar) => vec![scalar],
        Node::List(items) => items.iter().flat_map(texts).collect(),
        Node::Map(entries) => entries.iter().flat_map(|(_, value)| texts(value)).collect(),
        Node::Alias(_) => Vec::new(),
    }
}
