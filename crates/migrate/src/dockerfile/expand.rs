//! Build arguments put into a text, with each byte's place in the file where it has one.
//!
//! Dockerfile reference, "Environment replacement": `$name`, `${name}`, `${name:-word}`. What has no default stays as
//! it is written.

use std::collections::BTreeMap;
use std::ops::Range;

/// A text, and for each of its bytes the place it was written at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expanded {
    /// What it says.
    pub value: String,
    places: Vec<Option<usize>>,
}

/// Arguments and variables that are set, by name.
pub type Arguments = BTreeMap<String, Expanded>;

impl Expanded {
    /// A text that stands at `offset`; or nowhere.
    pub fn literal(text: &str, offset: Option<usize>) -> Self {
        let places = (0..text.len()).map(|at| offset.map(|offset| offset + at)).collect();
        Expanded { value: text.to_owned(), places }
    }

    fn push(&mut self, other: &Expanded) {
        // Bounded: arguments that hold each other twice double with every line.
        if self.value.len() + other.value.len() <= 64 << 10 {
            self.value.push_str(&other.value);
            self.places.extend(&other.places);
        }
    }

    /// Whether any of it was written within `range` of the file.
    pub fn touches(&self, range: &Range<usize>) -> bool {
        self.places.iter().flatten().any(|place| range.contains(place))
    }

    /// The bytes in the file that a part of the text was written with, if they lie in one piece.
    pub fn place(&self, part: Range<usize>) -> Option<Range<usize>> {
        let places = self.places.get(part)?;
        let first = (*places.first()?)?;
        let whole = places.iter().enumerate().all(|(at, place)| *place == Some(first + at));
        whole.then(|| first..first + places.len())
    }
}

/// `text`, which stands at `offset` unless it was unescaped, with its variables put in.
pub fn expand(text: &str, offset: Option<usize>, arguments: &Arguments) -> Expanded {
    expand_at(text, offset, arguments, 0)
}

/// Defaults inside each other that are read.
const DEPTH: usize = 64;

fn expand_at(text: &str, offset: Option<usize>, arguments: &Arguments, depth: usize) -> Expanded {
    if depth > DEPTH {
        return Expanded::literal(text, offset);
    }
    let mut out = Expanded::default();
    let mut at = 0;
    let literal =
        |range: Range<usize>| Expanded::literal(&text[range.clone()], offset.map(|o| o + range.start));
    while let Some(dollar) = text[at..].find('$').map(|found| found + at) {
        out.push(&literal(at..dollar));
        let (end, value) = variable(text, dollar, offset, arguments, depth);
        out.push(&value.unwrap_or_else(|| literal(dollar..end)));
        at = end;
    }
    out.push(&literal(at..text.len()));
    out
}

/// The end of the variable at `dollar` and what it says.
fn variable(
    text: &str,
    dollar: usize,
    offset: Option<usize>,
    arguments: &Arguments,
    depth: usize,
) -> (usize, Option<Expanded>) {
    let rest = &text[dollar + 1..];
    let name_end =
        |text: &str| text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    let Some(inner) = rest.strip_prefix('{') else {
        let length = name_end(rest);
        return (dollar + 1 + length, arguments.get(&rest[..length]).cloned());
    };
    let Some(close) = closing(inner) else { return (text.len(), None) };
    let end = dollar + 2 + close + 1;
    let inside = &inner[..close];
    let (name, rest) = inside.split_at(name_end(inside));
    let set = arguments.get(name).cloned();
    // A default may hold variables itself: `${A:-${B:-word}}`.
    let default =
        |word: &str| expand_at(word, offset.map(|o| o + end - 1 - word.len()), arguments, depth + 1);
    let value = match (rest, rest.strip_prefix(":-").or_else(|| rest.strip_prefix('-'))) {
        ("", _) => set,
        (_, Some(word)) => Some(set.filter(|set| !set.value.is_empty()).unwrap_or_else(|| default(word))),
        _ => None,
    };
    (end, value)
}

/// Where the brace that was opened before `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' if text[..at].ends_with('$') => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

/// `NAME=word NAME2="two words"` as ARG and ENV have them; ENV also has `NAME the rest`.
pub fn assignments(
    text: &str,
    offset: Option<usize>,
    arguments: &Arguments,
    env: bool,
) -> Vec<(String, Option<Expanded>)> {
    let mut all = Vec::new();
    if env
        && let Some((name, rest)) = text.split_once([' ', '\t'])
        && !name.contains('=')
    {
        let start = text.len() - rest.trim_start().len();
        let value = expand(rest.trim(), offset.map(|o| o + start), arguments);
        return vec![(name.to_owned(), Some(value))];
    }
    let mut known = arguments.clone();
    for word in words(text) {
        let raw = &text[word.clone()];
        let Some((name, value)) = raw.split_once('=') else {
            all.push((raw.to_owned(), None));
            continue;
        };
        let mut start = word.start + name.len() + 1;
        let mut value = value;
        for quote in ['"', '\''] {
            if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
                value = inner;
                start += 1;
                break;
            }
        }
        let value = expand(value, offset.map(|o| o + start), &known);
        // Only ARG's words see those before them (ENV's see the state before the line).
        if !env {
            known.insert(name.to_owned(), value.clone());
        }
        all.push((name.to_owned(), Some(value)));
    }
    all
}

/// Words, with blanks in quotes kept together.
fn words(text: &str) -> Vec<Range<usize>> {
    let (mut all, mut start, mut quote) = (Vec::new(), None, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                start.get_or_insert(at);
            }
            (None, _) if c.is_whitespace() => {
                all.extend(start.take().map(|start| start..at));
            }
            _ => {
                start.get_or_insert(at);
            }
        }
    }
    all.extend(start.map(|start| start..text.len()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_with_their_places() {
        let text = "ARG A=jupyterhub B=\"x y\" C=${A}/hub";
        let arguments: Arguments = assignments(&text[4..], Some(4), &Arguments::new(), false)
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        assert_eq!(arguments["C"].value, "jupyterhub/hub");
        assert_eq!(arguments["B"].place(0..3).map(|at| &text[at]), Some("x y"));
        assert_eq!(arguments["C"].place(0..10), Some(6..16));
        assert_eq!(arguments["C"].place(0..14), None);
        for (text, says) in [
            ("$A:5", "jupyterhub:5"),
            ("${A}x", "jupyterhubx"),
            ("${N:-d/e}:1", "d/e:1"),
            ("${A:-d}", "jupyterhub"),
            ("${N}:$M", "${N}:$M"),
            ("${A:+x}", "${A:+x}"),
            ("${N:-${M:-d/e:1}}:2", "d/e:1:2"),
            ("${N:-${A}/e}", "jupyterhub/e"),
            ("${N-${A}}", "jupyterhub"),
            ("${N:-${M}", "${N:-${M}"),
            ("${A", "${A"),
            ("$", "$"),
        ] {
            assert_eq!(expand(text, Some(0), &arguments).value, says);
        }
        let env = assignments("PATH /a b:$A", None, &arguments, true);
        assert_eq!(env[0].1.as_ref().unwrap().value, "/a b:jupyterhub");
    }

    #[test]
    fn defaults_inside_each_other_keep_their_places() {
        let text = "${N:-${M:-d/e:1}}";
        let expanded = expand(text, Some(0), &Arguments::new());
        assert_eq!(expanded.place(0..5).map(|at| &text[at]), Some("d/e:1"));
        // Deeper than anybody writes, and it still ends.
        let endless = format!("{}x{}", "${N:-".repeat(4_000), "}".repeat(4_000));
        assert!(expand(&endless, Some(0), &Arguments::new()).value.len() > 4_000);
        let deep = format!("{}x{}", "${N:-".repeat(40), "}".repeat(40));
        assert_eq!(expand(&deep, Some(0), &Arguments::new()).value, "x");
    }

    #[test]
    fn arguments_that_double_end() {
        let mut arguments = Arguments::new();
        arguments.insert("A".into(), Expanded::literal("xxxxxxxxxxxxxxxx", None));
        for _ in 0..64 {
            let twice = expand("$A$A", None, &arguments);
            arguments.insert("A".into(), twice);
        }
        assert!(arguments["A"].value.len() <= 64 << 10);
    }
}
