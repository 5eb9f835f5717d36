//! The `Link` header (RFC 8288, section 3), of which registries use `rel="next"` for pages.

/// The target of the first link in `header` whose relation is `next`, as written.
pub fn next(header: &str) -> Option<&str> {
    let mut rest = header;
    while let Some(open) = rest.find('<') {
        let close = open + rest[open..].find('>')?;
        let (target, after) = (&rest[open + 1..close], &rest[close + 1..]);
        let end = end_of_link(after);
        if parameters(&after[..end]).any(|(name, value)| name.eq_ignore_ascii_case("rel") && is_next(value)) {
            return Some(target);
        }
        rest = &after[end..];
    }
    None
}

/// A relation may be several words (RFC 8288, section 3.3).
fn is_next(value: &str) -> bool {
    value.split_ascii_whitespace().any(|word| word.eq_ignore_ascii_case("next"))
}

/// Where the link's parameters end: at a comma outside quotes.
fn end_of_link(text: &str) -> usize {
    unquoted(text, ',').unwrap_or(text.len())
}

fn parameters(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = &rest[unquoted(rest, ';')? + 1..];
        let one = &rest[..unquoted(rest, ';').unwrap_or(rest.len())];
        let (name, value) = one.split_once('=').unwrap_or((one, ""));
        Some((name.trim(), value.trim().trim_matches('"')))
    })
}

/// The first `wanted` that is not inside a quoted string.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    text.char_indices().find_map(|(at, c)| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == wanted && !quoted => return Some(at),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::next;

    #[test]
    fn finds_the_next_page() {
        for (header, target) in [
            (r#"</v2/a/tags/list?last=b&n=2>; rel="next""#, Some("/v2/a/tags/list?last=b&n=2")),
            ("<http://h/x>;rel=next", Some("http://h/x")),
            (r#"<a>; rel="prev", <b>; REL="Next""#, Some("b")),
            (r#"<a>; title="x, <c>; rel=next"; rel=prev, <b>; rel="last next""#, Some("b")),
            (r#"<a>; title="a \" ; rel=next"; rel=up"#, None),
            (r#"<a>; rel="nextish""#, None),
            ("<a>", None),
            ("<a; rel=next", None),
            ("", None),
        ] {
            assert_eq!(next(header), target, "{header}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[<>;,= \"\\\\a-zé]{0,60}") {
            let _ = next(&text);
        }

        #[test]
        fn reads_what_is_written(target in "[a-z/?=&,;%0-9]{1,30}", other in "[a-z/,;]{0,10}") {
            let header = format!("<{other}>; title=\"{other}\"; rel=prev, <{target}>; rel=\"next\"");
            prop_assert_eq!(next(&header), Some(target.as_str()));
        }
    }
}
