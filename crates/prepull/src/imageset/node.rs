//! Values as a tree whose nodes know where they were written and what their key path is.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::{Error, Place};

/// Where a node was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At {
    /// Number of the file, in the order given; [`At::DEFAULT`] for the chart's own values.
    pub file: u16,
    /// The line, from 1.
    pub line: u32,
}

impl At {
    /// The chart's own values.
    pub const DEFAULT: At = At { file: u16::MAX, line: 0 };
}

/// A value with its origin.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// Where it was written.
    pub at: At,
    /// Its key path, once [`Places::name`] has given it one; 0 before.
    pub path: u32,
}

/// What a node is. Numbers keep their text: nothing here counts with them.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number, as Helm hands it on.
    Number(String),
    /// Text.
    Text(String),
    /// In order.
    List(Vec<Node>),
    /// By key; Helm forgets the order of the file.
    Map(BTreeMap<String, Node>),
}

impl Node {
    /// A node that no file holds by itself, at another one's place.
    pub fn like(value: Value, other: &Node) -> Node {
        Node { value, at: other.at, path: other.path }
    }

    /// The value of a key that is not null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(map) => map.get(key).filter(|node| !node.is_null()),
            _ => None,
        }
    }

    /// The value at `a.b.c` that is not null.
    pub fn at_path(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, key| node.get(key))
    }

    /// Whether there is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Python's truth: not null, false, zero or empty.
    pub fn is_truthy(&self) -> bool {
        match &self.value {
            Value::Null => false,
            Value::Bool(yes) => *yes,
            Value::Number(text) => text.parse::<f64>() != Ok(0.0),
            Value::Text(text) => !text.is_empty(),
            Value::List(items) => !items.is_empty(),
            Value::Map(map) => !map.is_empty(),
        }
    }

    /// The text of a text.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A list's items, or a dictionary's values sorted by their keys, as KubeSpawner takes either; nulls left out.
    pub fn items(&self) -> Vec<&Node> {
        let nodes: Vec<&Node> = match &self.value {
            Value::List(items) => items.iter().collect(),
            Value::Map(map) => map.values().collect(),
            _ => Vec::new(),
        };
        nodes.into_iter().filter(|node| !node.is_null()).collect()
    }

    /// What it is, for a message.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// As JSON; numbers that are none to JSON become text.
    pub fn json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(yes) => (*yes).into(),
            Value::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| text.clone().into()),
            Value::Text(text) => text.clone().into(),
            Value::List(items) => items.iter().map(Node::json).collect(),
            Value::Map(map) => map.iter().map(|(key, node)| (key.clone(), node.json())).collect(),
        }
    }

    /// A text that is equal for equal values; with `origin`, for equal values from one place.
    pub fn canonical(&self, origin: bool, out: &mut String) {
        match &self.value {
            Value::Null => out.push('~'),
            Value::Bool(yes) => out.push(if *yes { '+' } else { '-' }),
            Value::Number(text) => {
                out.push('#');
                out.push_str(text);
            }
            Value::Text(text) => {
                let _ = write!(out, "'{}:{text}", text.len());
            }
            Value::List(items) => {
                out.push('[');
                for item in items {
                    item.canonical(origin, out);
                    out.push(',');
                }
                out.push(']');
            }
            Value::Map(map) => {
                out.push('{');
                for (key, node) in map {
                    let _ = write!(out, "{}:{key}=", key.len());
                    node.canonical(origin, out);
                }
                out.push('}');
            }
        }
        if origin {
            let _ = write!(out, "@{}", self.path);
        }
    }
}

enum Step {
    Root,
    Key(String),
    Index(usize),
}

/// The names of files and of key paths.
pub struct Places {
    files: Vec<String>,
    default: String,
    steps: Vec<(u32, Step)>,
}

impl Places {
    /// With the files' names in order; `default` says what the chart's own values are called.
    pub fn new(files: Vec<String>, default: String) -> Places {
        Places { files, default, steps: vec![(0, Step::Root)] }
    }

    /// Gives `node` the key path `parent`, and all below it theirs.
    pub fn name(&mut self, node: &mut Node, parent: u32) {
        node.path = parent;
        match &mut node.value {
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let path = self.push(parent, Step::Index(index));
                    self.name(item, path);
                }
            }
            Value::Map(map) => {
                for (key, item) in map {
                    let path = self.push(parent, Step::Key(key.clone()));
                    self.name(item, path);
                }
            }
            _ => {}
        }
    }

    /// The key path `parent.key`.
    pub fn child(&mut self, parent: u32, key: &str) -> u32 {
        self.push(parent, Step::Key(key.to_owned()))
    }

    fn push(&mut self, parent: u32, step: Step) -> u32 {
        self.steps.push((parent, step));
        u32::try_from(self.steps.len() - 1).unwrap_or(0)
    }

    /// A key path in words.
    pub fn key_path(&self, path: u32) -> String {
        let mut steps = Vec::new();
        let mut at = path;
        while let Some((parent, step)) = self.steps.get(at as usize) {
            if matches!(step, Step::Root) {
                break;
            }
            steps.push(step);
            at = *parent;
        }
        let mut text = String::new();
        for step in steps.iter().rev() {
            match step {
                Step::Index(index) => {
                    let _ = write!(text, "[{index}]");
                }
                Step::Key(key) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(key);
                }
                Step::Root => {}
            }
        }
        text
    }

    /// Where a node stands.
    pub fn of(&self, node: &Node) -> Place {
        let file = self.files.get(usize::from(node.at.file)).unwrap_or(&self.default);
        Place { file: file.clone(), line: node.at.line, key_path: self.key_path(node.path) }
    }

    /// The error that `node` is of another type.
    pub fn expected(&self, node: &Node, expected: &'static str) -> Error {
        Error::Type { place: self.of(node), expected, found: node.kind() }
    }

    /// `node`, if it is a mapping.
    pub fn mapping<'n>(&self, node: &'n Node) -> Result<&'n BTreeMap<String, Node>, Error> {
        match &node.value {
            Value::Map(map) => Ok(map),
            _ => Err(self.expected(node, "a mapping")),
        }
    }

    /// The text of `node`.
    pub fn text<'n>(&self, node: &'n Node) -> Result<&'n str, Error> {
        node.text().ok_or_else(|| self.expected(node, "text"))
    }
}
