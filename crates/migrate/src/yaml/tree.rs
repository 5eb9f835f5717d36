//! YAML as a tree whose scalars know their bytes. Aliases stay aliases: each text is looked at once, where it stands.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::Error;

/// Levels of nesting that are read.
const DEPTH: usize = 256;

/// A node.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Text.
    Scalar(Scalar),
    /// Keys and values in order, and the anchor's number.
    Map(Vec<(Node, Node)>, usize),
    /// Values in order, and the anchor's number.
    List(Vec<Node>, usize),
    /// Another node, by the number of its anchor.
    Alias(usize),
}

/// A scalar.
#[derive(Clone, Debug, PartialEq)]
pub struct Scalar {
    /// What it says.
    pub value: String,
    /// Where the event stands, quotes and all.
    pub span: Range<usize>,
    /// Where the value stands letter for letter; none where it is escaped, folded or indented.
    pub literal: Option<Range<usize>>,
    /// Its anchor's number, 0 for none.
    pub anchor: usize,
    /// Whether it has no quotes, so that its text says what type it is.
    pub plain: bool,
}

impl Node {
    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match self {
            Node::Scalar(scalar) => Some(&scalar.value),
            _ => None,
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match self {
            Node::Map(entries, _) => {
                entries.iter().find(|(k, _)| k.text() == Some(key)).map(|(_, value)| value)
            }
            _ => None,
        }
    }

    /// The number of its anchor, 0 for none.
    pub fn anchor(&self) -> usize {
        match self {
            Node::Scalar(scalar) => scalar.anchor,
            Node::Map(_, anchor) | Node::List(_, anchor) => *anchor,
            Node::Alias(_) => 0,
        }
    }
}

enum Open {
    Map(Vec<(Node, Node)>, usize, Option<Node>),
    List(Vec<Node>, usize),
}

/// Every document of `text`.
pub fn parse(text: &str) -> Result<Vec<Node>, Error> {
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let shift = text.len() - body.len();
    let offsets = Offsets::of(body);
    let (mut documents, mut open) = (Vec::new(), Vec::<Open>::new());
    for event in Parser::new_from_str(body) {
        let (event, span) =
            event.map_err(|e| Error::Yaml { line: e.marker().line(), reason: e.info().to_owned() })?;
        let done = match event {
            Event::Scalar(value, style, anchor, _) => {
                let range = offsets.byte(span.start.index()) + shift..offsets.byte(span.end.index()) + shift;
                Some(Node::Scalar(scalar(text, value.into_owned(), range, style, anchor)))
            }
            Event::Alias(anchor) => Some(Node::Alias(anchor)),
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                if open.len() >= DEPTH {
                    return Err(Error::Deep { line: span.start.line(), limit: DEPTH });
                }
                open.push(match event {
                    Event::MappingStart(anchor, ..) => Open::Map(Vec::new(), anchor, None),
                    Event::SequenceStart(anchor, ..) => Open::List(Vec::new(), anchor),
                    _ => continue,
                });
                None
            }
            Event::MappingEnd | Event::SequenceEnd => open.pop().map(|open| match open {
                Open::Map(entries, anchor, _) => Node::Map(entries, anchor),
                Open::List(items, anchor) => Node::List(items, anchor),
            }),
            _ => None,
        };
        let Some(node) = done else { continue };
        match open.last_mut() {
            None => documents.push(node),
            Some(Open::List(items, _)) => items.push(node),
            Some(Open::Map(entries, _, key)) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
    }
    Ok(documents)
}

fn scalar(text: &str, value: String, span: Range<usize>, style: ScalarStyle, anchor: usize) -> Scalar {
    let written = text.get(span.clone()).unwrap_or("");
    // An anchor or a tag may stand before the value, and a comment behind a quoted one.
    let start = match style {
        ScalarStyle::Plain => Some(written.len() - value.len().min(written.len())),
        ScalarStyle::SingleQuoted => written.find('\'').map(|at| at + 1),
        ScalarStyle::DoubleQuoted => written.find('"').map(|at| at + 1),
        ScalarStyle::Literal | ScalarStyle::Folded => None,
    };
    let literal = start
        .filter(|at| {
            !value.is_empty() && written.get(*at..).is_some_and(|rest| rest.starts_with(value.as_str()))
        })
        .filter(|at| {
            let rest = &written[at + value.len()..];
            if style == ScalarStyle::Plain { rest.is_empty() } else { rest.starts_with(['\'', '"']) }
        })
        .map(|at| span.start + at..span.start + at + value.len());
    Scalar { value, span, literal, anchor, plain: style == ScalarStyle::Plain }
}

/// From characters, which the parser counts, to bytes.
struct Offsets(Option<Vec<usize>>, usize);

impl Offsets {
    fn of(text: &str) -> Self {
        let table = (!text.is_ascii()).then(|| text.char_indices().map(|(at, _)| at).collect());
        Offsets(table, text.len())
    }

    fn byte(&self, character: usize) -> usize {
        match &self.0 {
            None => character.min(self.1),
            Some(table) => table.get(character).copied().unwrap_or(self.1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalars(node: &Node, all: &mut Vec<Scalar>) {
        match node {
            Node::Scalar(scalar) => all.push(scalar.clone()),
            Node::Map(entries, _) => entries.iter().for_each(|(k, v)| {
                scalars(k, all);
                scalars(v, all);
            }),
            Node::List(items, _) => items.iter().for_each(|item| scalars(item, all)),
            Node::Alias(_) => {}
        }
    }

    #[test]
    fn scalars_know_their_bytes() {
        let text = "\u{feff}é: \"jü\"\r\nb: &x one # c\r\nc: {d: 'two', e: *x}\r\nf: |\r\n  bash\r\ng: \"a\\tb\"\r\nh: it's\r\n";
        let documents = parse(text).unwrap();
        let mut all = Vec::new();
        scalars(&documents[0], &mut all);
        for (value, literal) in [
            ("é", true),
            ("jü", true),
            ("one", true),
            ("two", true),
            ("bash\n", false),
            ("a\tb", false),
            ("it's", true),
        ] {
            let scalar =
                all.iter().find(|scalar| scalar.value == value).unwrap_or_else(|| panic!("{value:?}"));
            assert_eq!(scalar.literal.clone().map(|at| &text[at]), literal.then_some(value), "{value}");
        }
        assert_eq!(documents[0].get("c").unwrap().get("e"), Some(&Node::Alias(1)));
    }

    #[test]
    fn errors_name_the_line() {
        let error = parse("a: 1\nb: [1\n").unwrap_err();
        assert!(matches!(error, Error::Yaml { line: 2..=3, .. }), "{error}");
        let deep = "[".repeat(100_000);
        assert!(matches!(parse(&deep), Err(Error::Deep { line: 1, .. } | Error::Yaml { .. })));
        assert_eq!(parse("a: 1\n---\nb: 2\n").unwrap().len(), 2);
    }
}
