//! Names that code has given plain values so far, and the images in those values.

use std::cell::Cell;
use std::collections::HashMap;

use super::images::images_in;
use crate::imageset::node::{Node, Value};

/// What names may write out in all, in values and bytes of text: `x = x + x` doubles with each line.
const LIMIT: usize = 10_000_000;
/// Levels of nesting of what a name stands for: `x = [x]` adds one with each line.
const DEPTH: usize = 64;

/// The names; the hub runs all pieces of code in one scope.
#[derive(Default)]
pub struct Names {
    values: HashMap<String, Node>,
    /// Images of values, which are told only where the name is not seen to be used as a whole.
    held: Vec<(String, Vec<Node>)>,
    written: Cell<usize>,
}

impl Names {
    /// What a name stands for, written out.
    pub fn get(&self, name: &str) -> Option<Node> {
        self.write(self.values.get(name)?)
    }

    /// A value written out; none once that would be more than any code means.
    pub fn write(&self, node: &Node) -> Option<Node> {
        let written = self.written.get().saturating_add(size(node));
        self.written.set(written.min(LIMIT + 1));
        (written <= LIMIT).then(|| node.clone())
    }

    /// What a name stood for, until now.
    pub fn remove(&mut self, name: &str) -> Option<Node> {
        self.values.remove(name)
    }

    /// A name stands for a plain value, in which the names `used` stand.
    pub fn set(&mut self, name: &str, node: Node, used: &[String]) {
        let mut images = Vec::new();
        images_in(&node, &mut images);
        self.keep(name, node, images, used);
    }

    /// A name stands for `list` with more items; whether it is a list.
    pub fn extend(&mut self, name: &str, mut list: Node, more: Vec<Node>, used: &[String]) -> bool {
        let Value::List(items) = &mut list.value else { return false };
        let mut images = Vec::new();
        more.iter().for_each(|item| images_in(item, &mut images));
        items.extend(more);
        self.keep(name, list, images, used);
        true
    }

    fn keep(&mut self, name: &str, node: Node, images: Vec<Node>, used: &[String]) {
        self.release(used);
        self.held.push((name.to_owned(), images));
        if depth(&node) <= DEPTH {
            self.values.insert(name.to_owned(), node);
        }
    }

    /// What these names stand for has been taken as a whole, so its images are accounted for.
    pub fn release(&mut self, names: &[String]) {
        self.held.retain(|(name, _)| !names.contains(name));
    }

    /// The images that nothing accounted for.
    pub fn rest(self) -> Vec<Node> {
        self.held.into_iter().flat_map(|(_, images)| images).collect()
    }
}

/// Values and bytes of text.
fn size(node: &Node) -> usize {
    match &node.value {
        Value::Text(text) | Value::Number(text) => 1 + text.len(),
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(map) => 1 + map.iter().map(|(key, item)| key.len() + size(item)).sum::<usize>(),
        Value::Null | Value::Bool(_) => 1,
    }
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Map(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 1,
    }
}
