//! Python literals → values: texts, numbers, lists, tuples, dictionaries, names that stand for such, and
//! `get_config("key.path")` of the chart's own module.

use std::collections::BTreeMap;

use super::tokens::Token;
use crate::imageset::node::{At, Node, Value};

/// Levels of nesting that are read.
const DEPTH: usize = 64;

/// What names stand for, and where a value that is read comes from.
pub struct Reading<'r> {
    /// Names that were given a plain value.
    pub names: &'r dyn Fn(&str) -> Option<Node>,
    /// The values of the chart, by key path.
    pub config: &'r dyn Fn(&str) -> Option<Node>,
    /// Where the code stands.
    pub at: At,
    /// Its key path.
    pub path: u32,
}

impl Reading<'_> {
    /// The value that all of `tokens` are; none where it is no plain one.
    pub fn whole(&self, tokens: &[Token]) -> Option<Node> {
        let (node, end) = self.value(tokens, 0, 0)?;
        (end == tokens.len()).then_some(node)
    }

    fn node(&self, value: Value) -> Node {
        Node { value, at: self.at, path: self.path }
    }

    /// The value that begins at `at`, and where it ends.
    fn value(&self, tokens: &[Token], at: usize, depth: usize) -> Option<(Node, usize)> {
        if depth > DEPTH {
            return None;
        }
        let (mut node, mut end) = self.primary(tokens, at, depth)?;
        // Texts behind each other, with or without a plus, are one.
        loop {
            let plus = tokens.get(end).is_some_and(|token| token.is("+"));
            let text = matches!(tokens.get(end), Some(Token::Text { .. }));
            if !(plus || text) {
                return Some((node, end));
            }
            let (more, after) = self.primary(tokens, end + usize::from(plus), depth)?;
            match (&mut node.value, more.value) {
                (Value::Text(text), Value::Text(more)) => text.push_str(&more),
                (Value::List(items), Value::List(more)) if plus => items.extend(more),
                _ => return None,
            }
            end = after;
        }
    }

    fn primary(&self, tokens: &[Token], at: usize, depth: usize) -> Option<(Node, usize)> {
        match tokens.get(at)? {
            Token::Text { value, formatted: false } => Some((self.node(Value::Text(value.clone())), at + 1)),
            Token::Text { value, formatted: true } => {
                Some((self.node(Value::Text(self.formatted(value)?)), at + 1))
            }
            Token::Number(number) => Some((self.node(Value::Number(number.clone())), at + 1)),
            Token::Op("-") => match tokens.get(at + 1)? {
                Token::Number(number) => Some((self.node(Value::Number(format!("-{number}"))), at + 2)),
                _ => None,
            },
            Token::Op(open @ ("[" | "(")) => {
                let close = if *open == "[" { "]" } else { ")" };
                let (items, end, commas) = self.items(tokens, at + 1, close, depth)?;
                match (items.len(), commas) {
                    (1, 0) if *open == "(" => items.into_iter().next().map(|item| (item, end)),
                    _ => Some((self.node(Value::List(items)), end)),
                }
            }
            Token::Op("{") => self.dictionary(tokens, at + 1, depth),
            Token::Name(name) => self.named(name, tokens, at, depth),
            Token::Op(_) => None,
        }
    }

    fn items(
        &self,
        tokens: &[Token],
        mut at: usize,
        close: &str,
        depth: usize,
    ) -> Option<(Vec<Node>, usize, usize)> {
        let (mut items, mut commas) = (Vec::new(), 0);
        loop {
            if tokens.get(at)?.is(close) {
                return Some((items, at + 1, commas));
            }
            let (item, end) = self.value(tokens, at, depth + 1)?;
            items.push(item);
            at = end;
            if tokens.get(at)?.is(",") {
                commas += 1;
                at += 1;
            } else if !tokens.get(at)?.is(close) {
                return None;
            }
        }
    }

    fn dictionary(&self, tokens: &[Token], mut at: usize, depth: usize) -> Option<(Node, usize)> {
        let mut map = BTreeMap::new();
        loop {
            if tokens.get(at)?.is("}") {
                return Some((self.node(Value::Map(map)), at + 1));
            }
            if tokens.get(at)?.is("**") {
                let (more, end) = self.value(tokens, at + 1, depth + 1)?;
                let Value::Map(more) = more.value else { return None };
                map.extend(more);
                at = if tokens.get(end)?.is(",") { end + 1 } else { end };
                continue;
            }
            let (key, end) = self.value(tokens, at, depth + 1)?;
            let (Value::Text(key) | Value::Number(key)) = key.value else { return None };
            if !tokens.get(end)?.is(":") {
                return None;
            }
            let (value, end) = self.value(tokens, end + 1, depth + 1)?;
            map.insert(key, value);
            at = end;
            if tokens.get(at)?.is(",") {
                at += 1;
            } else if !tokens.get(at)?.is("}") {
                return None;
            }
        }
    }

    fn named(&self, name: &str, tokens: &[Token], at: usize, depth: usize) -> Option<(Node, usize)> {
        match name {
            "None" => return Some((self.node(Value::Null), at + 1)),
            "True" => return Some((self.node(Value::Bool(true)), at + 1)),
            "False" => return Some((self.node(Value::Bool(false)), at + 1)),
            _ => {}
        }
        // `get_config("a.b")`, `z2jh.get_config("a.b", default)`, `dict(a=1)`
        let (name, at) = match (name, tokens.get(at + 1), tokens.get(at + 2)) {
            ("z2jh", Some(Token::Op(".")), Some(Token::Name(method))) => (method.as_str(), at + 2),
            _ => (name, at),
        };
        if !tokens.get(at + 1).is_some_and(|token| token.is("(")) {
            return (self.names)(name).map(|node| (node, at + 1));
        }
        match name {
            "get_config" => {
                let (arguments, end, _) = self.items(tokens, at + 2, ")", depth)?;
                let mut arguments = arguments.into_iter();
                let key = arguments.next()?;
                let node = (self.config)(key.text()?).or_else(|| arguments.next())?;
                Some((node, end))
            }
            "dict" => self.keywords(tokens, at + 2, depth),
            _ => None,
        }
    }

    fn keywords(&self, tokens: &[Token], mut at: usize, depth: usize) -> Option<(Node, usize)> {
        let mut map = BTreeMap::new();
        loop {
            match (tokens.get(at)?, tokens.get(at + 1)) {
                (Token::Op(")"), _) => return Some((self.node(Value::Map(map)), at + 1)),
                (Token::Name(key), Some(Token::Op("="))) => {
                    let (value, end) = self.value(tokens, at + 2, depth + 1)?;
                    map.insert(key.clone(), value);
                    at = if tokens.get(end)?.is(",") { end + 1 } else { end };
                }
                _ => return None,
            }
        }
    }

    /// An f-string whose braces hold known names alone.
    fn formatted(&self, text: &str) -> Option<String> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            out.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                out.push_str(brace);
                rest = after;
            } else if brace == "{" {
                let (name, after) = rest.split_once('}')?;
                out.push_str((self.names)(name)?.text()?);
                rest = after;
            } else {
                return None;
            }
        }
        out.push_str(rest);
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imageset::python::tokens::statements;

    #[test]
    fn plain_values_are_read_and_others_are_not() {
        let text = |text: &str| Node { value: Value::Text(text.to_owned()), at: At::DEFAULT, path: 0 };
        let names = |name: &str| (name == "tag").then(|| text("7"));
        let config = |path: &str| (path == "custom.image").then(|| text("quay.io/a/b:1"));
        let reading = Reading { names: &names, config: &config, at: At::DEFAULT, path: 0 };
        for (code, expected) in [
            ("'a' 'b'", Some("\"ab\"")),
            ("('a'\n 'b')", Some("\"ab\"")),
            ("'a' + tag", Some("\"a7\"")),
            ("f'a:{tag}{{}}'", Some("\"a:7{}\"")),
            ("[1, -2, True, None,]", Some("[1,-2,true,null]")),
            ("('a',)", Some("[\"a\"]")),
            ("{'a': {'b': []}, 1: dict(c='d')}", Some("{\"1\":{\"c\":\"d\"},\"a\":{\"b\":[]}}")),
            ("get_config('custom.image')", Some("\"quay.io/a/b:1\"")),
            ("z2jh.get_config('no', 'x')", Some("\"x\"")),
            ("[1] + [2]", Some("[1,2]")),
            ("f'{tag.x}'", None),
            ("other", None),
            ("f(1)", None),
            ("['a' for x in y]", None),
            ("'a'.format(1)", None),
            ("'a' % b", None),
            ("{**{'a': 1}, 'b': 2}", Some("{\"a\":1,\"b\":2}")),
            ("{**a}", None),
            ("get_config('no')", None),
            ("lambda s: 1", None),
        ] {
            let tokens = &statements(&format!("x = {code}"))[0].tokens;
            let read = reading.whole(&tokens[2..]).map(|node| node.json().to_string());
            assert_eq!(read.as_deref(), expected, "{code}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let names = |_: &str| None;
        let reading = Reading { names: &names, config: &names, at: At::DEFAULT, path: 0 };
        let tokens = &statements(&format!("x = {}", "[".repeat(100_000)))[0].tokens;
        assert!(reading.whole(&tokens[2..]).is_none());
    }
}
