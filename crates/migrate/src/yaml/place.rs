//! Where in a YAML file a text stands, and whether that is where images stand.

use super::tree::{Node, Scalar};

/// The keys from the root down, and the mappings that hold them.
#[derive(Clone, Debug, Default)]
pub struct Path<'a> {
    keys: Vec<String>,
    /// The mapping of each key.
    maps: Vec<&'a Node>,
}

impl<'a> Path<'a> {
    /// The root of a document.
    pub fn root() -> Self {
        Path::default()
    }

    /// Below a key of `map`.
    pub fn key(&self, key: &str, map: &'a Node) -> Path<'a> {
        let mut below = self.clone();
        below.keys.push(key.to_owned());
        below.maps.push(map);
        below
    }

    /// The nearest key.
    pub fn last(&self) -> &str {
        self.keys.last().map_or("", String::as_str)
    }

    /// The mapping of the nearest key.
    pub fn map(&self) -> Option<&'a Node> {
        self.maps.last().copied()
    }

    /// The path of the mapping around.
    pub fn up(&self) -> Path<'a> {
        let mut above = self.clone();
        above.keys.pop();
        above.maps.pop();
        above
    }

    /// Whether a key is among those above; names of services and jobs are anybody's.
    pub fn has(&self, key: &str) -> bool {
        let named = usize::from(["services", "jobs"].contains(&self.at(0)));
        self.keys.iter().enumerate().any(|(depth, k)| k == key && (named == 0 || depth != 1))
    }

    /// How many keys stand above and here.
    pub fn depth(&self) -> usize {
        self.keys.len()
    }

    /// The key at a depth, the root's being 0.
    pub fn at(&self, depth: usize) -> &str {
        self.keys.get(depth).map_or("", String::as_str)
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

    /// Whether the image here is the name of what is built, not of what is used.
    pub fn names_what_is_built(&self) -> bool {
        let beside = |key: &str| self.map().is_some_and(|map| map.get(key).is_some());
        match self.last() {
            "cache-from" | "cache-to" | "cache_from" | "cache_to" => true,
            // Of a build in Compose, of docker/build-push-action, of a bake file.
            "tags" => true,
            "image" => beside("build") || (self.has("build") && self.has("artifacts")),
            "name" => beside("build"),
            // docker/metadata-action
            "images" => self.has("with"),
            _ => false,
        }
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

/// `- name: LAB_IMAGE_NAME, value: …`: whether the name says that a tag stands in another one.
pub fn is_name_variable(around: &Node) -> bool {
    let name = around.get("name").and_then(Node::text).map(plain).unwrap_or_default();
    is_image_variable(around) && ["name", "repository", "repo"].iter().any(|end| name.ends_with(end))
}

/// Whether a key beside `key` holds another piece of the same image: its tag, digest or registry.
pub fn has_pieces_beside(key: &str, around: &Node, pieces: &[&str]) -> bool {
    let Node::Map(entries, _) = around else { return false };
    let stem = stem(key);
    entries.iter().filter_map(|(key, _)| key.text()).any(|other| {
        let other = plain(other);
        pieces.iter().filter_map(|piece| other.strip_suffix(piece)).any(|rest| {
            let rest = rest.strip_suffix("image").unwrap_or(rest);
            rest.is_empty() || rest == stem
        })
    })
}

/// What of a key does not say that it holds an image's name.
fn stem(key: &str) -> String {
    let mut stem = plain(key);
    for end in ["name", "repository", "repo", "image"] {
        stem = stem.strip_suffix(end).map(str::to_owned).unwrap_or(stem);
    }
    stem
}

fn plain(key: &str) -> String {
    key.chars().filter(|c| c.is_alphanumeric()).collect::<String>().to_ascii_lowercase()
}

/// All texts below a node.
pub fn texts(node: &Node) -> Vec<&Scalar> {
    match node {
        Node::Scalar(scalar) => vec![scalar],
        Node::List(items, _) => items.iter().flat_map(texts).collect(),
        Node::Map(entries, _) => entries.iter().flat_map(|(_, value)| texts(value)).collect(),
        Node::Alias(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::parse;

    #[test]
    fn pieces_of_one_image_stand_beside_each_other() {
        for (key, text, beside) in [
            ("image", "tag: 1", true),
            ("image", "imageTag: 1", true),
            ("imageName", "image_tag: 1", true),
            ("image", "digest: x", true),
            ("hubImage", "hubTag: 1", true),
            ("hub_image_name", "hub_image_tag: 1", true),
            ("hubImage", "labTag: 1", false),
            ("image", "tags: [a]", false),
            ("image", "pullPolicy: Always", false),
        ] {
            let map = parse(&format!("{key}: x\n{text}\n")).unwrap().remove(0);
            assert_eq!(has_pieces_beside(key, &map, &["tag", "digest", "registry"]), beside, "{key} {text}");
        }
    }
}
