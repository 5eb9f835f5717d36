//! The shape of a statement: what is assigned to what, what stands between brackets.

use super::tokens::Token;

/// `a.b.c` from `at`, and where it ends.
pub fn dotted(tokens: &[Token], at: usize) -> Option<(Vec<&str>, usize)> {
    let mut path = vec![tokens.get(at)?.name()?];
    let mut end = at + 1;
    while let (Some(Token::Op(".")), Some(Token::Name(name))) = (tokens.get(end), tokens.get(end + 1)) {
        path.push(name);
        end += 2;
    }
    Some((path, end))
}

/// An assignment.
pub struct Assignment<'t> {
    /// What is assigned to; several in `a = b = 1`.
    pub targets: Vec<&'t [Token]>,
    /// `=`, or an operator with it.
    pub op: &'static str,
    /// The value.
    pub value: &'t [Token],
}

/// The assignment that a statement is.
pub fn assignment(tokens: &[Token]) -> Option<Assignment<'_>> {
    let (mut depth, mut cuts) = (0usize, Vec::new());
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Op("(" | "[" | "{") => depth += 1,
            Token::Op(")" | "]" | "}") => depth = depth.saturating_sub(1),
            Token::Op(op @ ("=" | "+=" | "-=" | "*=" | "|=" | "&=" | "^=" | "%=" | "/=" | "@="))
                if depth == 0 =>
            {
                cuts.push((at, *op));
            }
            Token::Name(name) if depth == 0 && name == "lambda" => break,
            _ => {}
        }
    }
    let (last, op) = *cuts.last()?;
    let (mut targets, mut from) = (Vec::new(), 0);
    for (cut, _) in &cuts {
        let target = &tokens[from..*cut];
        // `x: int = 1`
        let end = top_level(target, ":").unwrap_or(target.len());
        targets.push(&target[..end]);
        from = cut + 1;
    }
    Some(Assignment { targets, op, value: &tokens[last + 1..] })
}

fn top_level(tokens: &[Token], op: &str) -> Option<usize> {
    let mut depth = 0usize;
    tokens.iter().position(|token| {
        match token {
            Token::Op("(" | "[" | "{") => depth += 1,
            Token::Op(")" | "]" | "}") => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.is(op)
    })
}

/// What stands between the bracket that `tokens` begin with and the one that closes it.
pub fn inside(tokens: &[Token]) -> &[Token] {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Op("(" | "[" | "{") => depth += 1,
            Token::Op(")" | "]" | "}") => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return &tokens[1..at];
                }
            }
            _ => {}
        }
    }
    &[]
}

/// How many tokens the item of a list, a call or a dictionary has that `tokens` begin with.
pub fn end_of_item(tokens: &[Token]) -> usize {
    let mut depth = 0usize;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Op("(" | "[" | "{") => depth += 1,
            Token::Op(")" | "]" | "}") if depth == 0 => return at,
            Token::Op(")" | "]" | "}") => depth -= 1,
            Token::Op(",") if depth == 0 => return at,
            _ => {}
        }
    }
    tokens.len()
}

/// The last of several subscripts: `["b"]` of `["a"]["b"]`.
pub fn last_subscript(tokens: &[Token]) -> &[Token] {
    let mut last = tokens;
    loop {
        let rest = last.get(inside(last).len() + 2..).unwrap_or_default();
        if !rest.first().is_some_and(|token| token.is("[")) {
            return last;
        }
        last = rest;
    }
}

/// Names and values of what gives several: `{"a": 1, "b": 2}` or `a=1, b=2`. None where a name is no plain one.
pub fn entries(tokens: &[Token]) -> Option<Vec<(&str, &[Token])>> {
    let dictionary = tokens.first().is_some_and(|token| token.is("{"));
    let mut rest = match dictionary {
        true if inside(tokens).len() + 2 == tokens.len() => inside(tokens),
        true => return None,
        false => tokens,
    };
    let mut found = Vec::new();
    while !rest.is_empty() {
        let item = &rest[..end_of_item(rest)];
        let name = match (item.first()?, item.get(1)?) {
            (Token::Text { value, formatted: false }, Token::Op(":")) if dictionary => value,
            (Token::Name(name), Token::Op("=")) if !dictionary => name,
            _ => return None,
        };
        found.push((name.as_str(), &item[2..]));
        rest = rest.get(item.len() + 1..).unwrap_or_default();
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imageset::python::tokens::statements;

    #[test]
    fn assignments_are_told_from_other_statements() {
        for (code, targets, op, value) in [
            ("a = 1", 1, "=", 1),
            ("a.b = c = f(x=1)", 2, "=", 6),
            ("a['b'] += [1]", 1, "+=", 3),
            ("a: Dict[str, int] = {}", 1, "=", 2),
        ] {
            let tokens = &statements(code)[0].tokens;
            let found = assignment(tokens).unwrap();
            assert_eq!((found.targets.len(), found.op, found.value.len()), (targets, op, value), "{code}");
        }
        for code in ["f(a=1)", "a == 1", "lambda x=1: x", "return {'a': 1}", "a"] {
            assert!(assignment(&statements(code)[0].tokens).is_none(), "{code}");
        }
    }

    #[test]
    fn brackets_close_where_they_were_opened() {
        let tokens = &statements("[a, (b, c), d] + e")[0].tokens;
        assert_eq!(inside(tokens).len(), 9);
        assert_eq!(end_of_item(&tokens[1..]), 1);
        assert_eq!(end_of_item(&tokens[3..]), 5);
        assert!(inside(&statements("(a")[0].tokens).is_empty());
        let dots = &statements("a.b.c(d)")[0].tokens;
        assert_eq!(dotted(dots, 0), Some((vec!["a", "b", "c"], 5)));
        assert_eq!(dotted(dots, 1), None);
    }

    #[test]
    fn names_and_values_are_told_apart() {
        for (code, expected) in [
            ("{'a': 1, 'b': {'c': 2}}", Some(&[("a", 1), ("b", 5)][..])),
            ("{'a': f(x, y),}", Some(&[("a", 6)])),
            ("a=1, b=[2]", Some(&[("a", 1), ("b", 3)])),
            ("{}", Some(&[])),
            ("{**a}", None),
            ("{a: 1}", None),
            ("{'a': 1}, b=2", None),
            ("a", None),
            ("{", None),
        ] {
            let tokens = statements(code).into_iter().next().map(|s| s.tokens).unwrap_or_default();
            let found = entries(&tokens)
                .map(|all| all.into_iter().map(|(name, value)| (name, value.len())).collect::<Vec<_>>());
            assert_eq!(found.as_deref(), expected, "{code}");
        }
        let all = &statements("['a'][f(x)]['b']")[0].tokens;
        assert_eq!(last_subscript(all).len(), 3);
        assert_eq!(last_subscript(&all[..3]).len(), 3);
        assert!(last_subscript(&[]).is_empty());
    }
}
