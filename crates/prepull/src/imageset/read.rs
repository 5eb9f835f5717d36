//! YAML text → tree, as Helm reads values: YAML 1.1 scalars, anchors and `<<` in the order of the file, several
//! documents merged, the last of two equal keys. Bounded in nesting and in what aliases write out.

use std::collections::{BTreeMap, HashMap};

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::merge::merge;
use super::node::{At, Node, Value};
use super::scalar;
use crate::Error;

/// Levels of nesting that are read.
const DEPTH: usize = 256;
/// Values in a file, aliases written out.
const VALUES: usize = 2_000_000;

/// A file that was read.
pub struct Read {
    /// The documents, merged; a mapping.
    pub root: Node,
    /// Keys that stand twice in one mapping, with the line of the second.
    pub repeated: Vec<(u32, String)>,
    /// How many documents there were.
    pub documents: usize,
}

/// Reads `text`, which `name` calls and which is the `file`th.
pub fn read(text: &str, name: &str, file: u16) -> Result<Read, Error> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        Reader { name, file, open: Vec::new(), anchors: HashMap::new(), size: 0, repeated: Vec::new() };
    let mut root = Node { value: Value::Map(BTreeMap::new()), at: At { file, line: 1 }, path: 0 };
    let mut documents = 0;
    for event in Parser::new_from_str(body) {
        let (event, span) = event.map_err(|error| Error::Yaml {
            file: name.to_owned(),
            line: line(error.marker().line()),
            reason: error.info().to_owned(),
        })?;
        let Some(document) = reader.event(event, span)? else { continue };
        documents += 1;
        match document.value {
            Value::Null => {}
            Value::Map(_) => root = merge(root, document),
            _ => {
                return Err(Error::NotMapping {
                    file: name.to_owned(),
                    line: document.at.line,
                    found: document.kind(),
                });
            }
        }
    }
    Ok(Read { root, repeated: reader.repeated, documents })
}

fn line(line: usize) -> u32 {
    u32::try_from(line).unwrap_or(u32::MAX)
}

/// Where a block scalar's text begins: the parser's place is its first line that is not blank.
fn above(at: At, text: &str) -> At {
    let blank = text.bytes().take_while(|byte| *byte == b'\n').count();
    let blank = if blank == text.len() { 0 } else { line(blank) };
    At { line: at.line.saturating_sub(blank), ..at }
}

struct Open {
    at: At,
    anchor: usize,
    /// Values below, aliases written out.
    size: usize,
    body: Body,
}

enum Body {
    List(Vec<Node>),
    Map(BTreeMap<String, Node>, Option<Key>),
}

enum Key {
    Named(String, u32),
    Merge,
}

struct Reader<'t> {
    name: &'t str,
    file: u16,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    size: usize,
    repeated: Vec<(u32, String)>,
}

/// A finished value, whether it is plain text (a key may then be `<<`), and how many values it holds.
struct Done {
    node: Node,
    plain: Option<String>,
    size: usize,
}

impl Reader<'_> {
    /// Takes an event; gives a document when one is complete.
    fn event(&mut self, event: Event, span: Span) -> Result<Option<Node>, Error> {
        let at = At { file: self.file, line: line(span.start.line()) };
        let done = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let at = match style {
                    ScalarStyle::Literal | ScalarStyle::Folded => above(at, &text),
                    _ => at,
                };
                let forced = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let plain = style == ScalarStyle::Plain && !forced;
                let value = if plain { scalar::resolve(&text) } else { Value::Text(text.to_string()) };
                let done = Done {
                    node: Node { value, at, path: 0 },
                    plain: plain.then(|| text.to_string()),
                    size: 1,
                };
                self.remember(anchor, &done);
                done
            }
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor) else {
                    return Err(self.wrong(at, "an alias of what is not finished"));
                };
                self.size += size;
                self.bounded(at)?;
                Done { node: node.clone(), plain: None, size: *size }
            }
            Event::SequenceStart(anchor, _) => return self.push(at, anchor, Body::List(Vec::new())),
            Event::MappingStart(anchor, _) => return self.push(at, anchor, Body::Map(BTreeMap::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(None) };
                let value = match open.body {
                    Body::List(items) => Value::List(items),
                    Body::Map(map, _) => Value::Map(map),
                };
                let node = Node { value, at: open.at, path: 0 };
                let done = Done { node, plain: None, size: open.size + 1 };
                self.remember(open.anchor, &done);
                done
            }
            _ => return Ok(None),
        };
        self.size += 1;
        self.bounded(at)?;
        self.place(done, at)
    }

    fn remember(&mut self, anchor: usize, done: &Done) {
        if anchor > 0 {
            self.anchors.insert(anchor, (done.node.clone(), done.size));
        }
    }

    fn push(&mut self, at: At, anchor: usize, body: Body) -> Result<Option<Node>, Error> {
        if self.open.len() >= DEPTH {
            return Err(Error::Deep { file: self.name.to_owned(), line: at.line, limit: DEPTH });
        }
        self.open.push(Open { at, anchor, size: 0, body });
        Ok(None)
    }

    fn place(&mut self, done: Done, at: At) -> Result<Option<Node>, Error> {
        let Done { node, plain, size } = done;
        let Some(open) = self.open.last_mut() else { return Ok(Some(node)) };
        open.size += size;
        let (map, pending) = match &mut open.body {
            Body::List(items) => {
                items.push(node);
                return Ok(None);
            }
            Body::Map(map, pending) => (map, pending),
        };
        match pending.take() {
            None => {
                let key = match (&node.value, plain.as_deref()) {
                    (_, Some("<<")) => Key::Merge,
                    (Value::Text(text), _) | (Value::Number(text), _) => Key::Named(text.clone(), at.line),
                    (Value::Bool(yes), _) => Key::Named(yes.to_string(), at.line),
                    (Value::Null, _) => Key::Named("null".to_owned(), at.line),
                    _ => return Err(self.wrong(at, "a list or a mapping as a key")),
                };
                *pending = Some(key);
            }
            Some(Key::Named(key, line)) => {
                if map.contains_key(&key) {
                    self.repeated.push((line, key.clone()));
                }
                map.insert(key, node);
            }
            // In the order of the file, as Helm's library does: what stands behind `<<` wins over it.
            Some(Key::Merge) => {
                let sources = match node.value {
                    Value::Map(_) => vec![node],
                    Value::List(items) => items.into_iter().rev().collect(),
                    _ => return Err(self.wrong(at, "`<<` takes a mapping or a list of mappings")),
                };
                for source in sources {
                    let Value::Map(entries) = source.value else {
                        return Err(self.wrong(at, "`<<` takes a mapping or a list of mappings"));
                    };
                    map.extend(entries);
                }
            }
        }
        Ok(None)
    }

    fn bounded(&self, at: At) -> Result<(), Error> {
        match self.size > VALUES {
            true => Err(Error::Aliases { file: self.name.to_owned(), line: at.line, limit: VALUES }),
            false => Ok(()),
        }
    }

    fn wrong(&self, at: At, reason: &str) -> Error {
        Error::Yaml { file: self.name.to_owned(), line: at.line, reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        match read(text, "v.yaml", 0) {
            Ok(read) => read.root.json().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn reads_as_helm_does() {
        for (text, expected) in [
            ("", "{}"),
            ("# nothing\n", "{}"),
            ("\u{feff}a: é\r\n", r#"{"a":"é"}"#),
            ("a: off\nb: 'off'\ny: 1\n", r#"{"a":false,"b":"off","true":1}"#),
            ("a: !!str 5\nb: 3.10\nc: \"3.10\"\n", r#"{"a":"5","b":3.1,"c":"3.10"}"#),
            ("a: 1\na: 2\n", r#"{"a":2}"#),
            ("a: {x: 1}\n---\na: {xw: 2}\n---\n", r#"{"a":{"x":1,"xw":2}}"#),
            ("b: &b {x: 1, xw: 1}\na: {<<: *b, x: 2}\n", r#"{"a":{"x":2,"xw":1},"b":{"x":1,"xw":1}}"#),
            // go-yaml v2 keeps the order of the file: here `<<` comes last and wins.
            ("b: &b {x: 1}\na: {x: 2, <<: *b}\n", r#"{"a":{"x":1},"b":{"x":1}}"#),
            (
                "p: &p {x: 1}\nq: &q {x: 2, z: 3}\na: {<<: [*p, *q]}\n",
                r#"{"a":{"x":1,"z":3},"p":{"x":1},"q":{"x":2,"z":3}}"#,
            ),
            ("a: {'<<': 1}\n", r#"{"a":{"<<":1}}"#),
            ("a: |\n  x: 1\nb: >-\n  y\n  z\n", r#"{"a":"x: 1\n","b":"y z"}"#),
        ] {
            assert_eq!(json(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        for (text, expected) in [
            ("a: 1\nb: [1\n", "v.yaml:3: not YAML"),
            ("a:\n\tb: 1\n", "v.yaml:2: not YAML"),
            ("a: 1\n- b\n", "v.yaml:2: not YAML"),
            ("- a\n", "v.yaml:1: a list where the values"),
            ("just text\n", "v.yaml:1: text where the values"),
            ("a: 1\n---\n5\n", "v.yaml:3: a number where the values"),
            ("a: {<<: 1}\n", "v.yaml:1: not YAML: `<<` takes"),
            ("a: *b\n", "v.yaml:1: not YAML"),
            ("{{ toYaml . }}: 1\n", "v.yaml:1: not YAML"),
            ("? {a: 1}\n: 2\n", "v.yaml:1: not YAML: a list or a mapping as a key"),
        ] {
            let message = json(text);
            assert!(message.starts_with(expected), "{text:?}: {message}");
        }
    }

    #[test]
    fn nesting_and_aliases_are_bounded() {
        let deep = format!("a: {}{}", "[".repeat(5_000), "]".repeat(5_000));
        assert!(matches!(read(&deep, "v", 0), Err(Error::Deep { .. } | Error::Yaml { .. })));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let row = vec![format!("*a{}", level - 1); 10].join(", ");
            bomb.push_str(&format!("a{level}: &a{level} [{row}]\n"));
        }
        assert!(matches!(read(&bomb, "v", 0), Err(Error::Aliases { line: 6..=8, .. })));
    }

    #[test]
    fn lines_and_repeated_keys_are_kept() {
        let read = read("a: 1\nb:\n  c: 2\n  c: 3\n", "v", 3).unwrap();
        assert_eq!(read.repeated, [(4, "c".to_owned())]);
        let node = read.root.at_path("b.c").unwrap();
        assert_eq!(node.at, At { file: 3, line: 4 });
    }
}
