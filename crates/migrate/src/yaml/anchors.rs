//! Where anchors are used: what is written at an anchor happens at every place that has it.

use std::collections::{BTreeMap, BTreeSet};

use super::place::{self, Path};
use super::tree::Node;

/// A place that uses an anchor.
#[derive(Clone, Debug)]
pub struct Site<'a> {
    /// Where; of a merge (`<<: *x`) the place of the mapping that it goes into.
    pub path: Path<'a>,
    /// The mapping that a merge goes into.
    pub merged: Option<&'a Node>,
}

/// The anchors of a file.
#[derive(Debug, Default)]
pub struct Anchors<'a> {
    nodes: BTreeMap<usize, &'a Node>,
    sites: BTreeMap<usize, Vec<Site<'a>>>,
    images: BTreeSet<usize>,
}

impl<'a> Anchors<'a> {
    /// Of all documents.
    pub fn of(documents: &'a [Node]) -> Self {
        let mut all = Anchors::default();
        documents.iter().for_each(|document| all.node(document, &Path::root()));
        all
    }

    fn node(&mut self, node: &'a Node, path: &Path<'a>) {
        if node.anchor() != 0 {
            self.nodes.insert(node.anchor(), node);
        }
        match node {
            Node::Alias(anchor) => {
                if place::says_image(path.last()) {
                    self.images.insert(*anchor);
                }
                self.sites.entry(*anchor).or_default().push(Site { path: path.clone(), merged: None });
            }
            Node::Map(entries, _) => {
                for (key, value) in entries {
                    let name = key.text().unwrap_or("");
                    if name == "<<" {
                        self.merge(value, node, path);
                    } else {
                        self.node(value, &path.key(name, node));
                    }
                }
            }
            Node::List(items, _) => items.iter().for_each(|item| self.node(item, path)),
            Node::Scalar(_) => {}
        }
    }

    fn merge(&mut self, value: &'a Node, map: &'a Node, path: &Path<'a>) {
        match value {
            Node::Alias(anchor) => {
                let site = Site { path: path.clone(), merged: Some(map) };
                self.sites.entry(*anchor).or_default().push(site);
            }
            Node::List(items, _) => items.iter().for_each(|item| self.merge(item, map, path)),
            other => self.node(other, path),
        }
    }

    /// Whether an anchor stands behind a key that says image.
    pub fn is_image(&self, anchor: usize) -> bool {
        self.images.contains(&anchor)
    }

    /// Whether any place uses an anchor.
    pub fn is_used(&self, anchor: usize) -> bool {
        self.sites.contains_key(&anchor)
    }

    /// The places that use an anchor.
    pub fn sites(&self, anchor: usize) -> &[Site<'a>] {
        self.sites.get(&anchor).map_or(&[], Vec::as_slice)
    }

    /// What an alias stands for.
    pub fn resolve(&self, node: &'a Node) -> &'a Node {
        match node {
            Node::Alias(anchor) => self.nodes.get(anchor).copied().unwrap_or(node),
            _ => node,
        }
    }
}
