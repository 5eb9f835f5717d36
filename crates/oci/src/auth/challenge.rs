//! `WWW-Authenticate` (RFC 9110, section 11.6.1): which scheme the registry wants, and with which parameters.

use std::collections::BTreeMap;

/// One challenge: `Bearer realm="…",service="…",scope="…"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// Lower case: `basic`, `bearer`.
    pub scheme: String,
    /// Parameters; names in lower case, values without quotes.
    pub parameters: BTreeMap<String, String>,
}

/// The challenges of one header. What cannot be read is left out.
pub fn parse(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    for item in items(header) {
        // `Scheme name=value` opens a challenge, `name=value` goes on with the last one.
        let (first, rest) = item.split_once(char::is_whitespace).unwrap_or((item, ""));
        let opens = !first.contains('=') && !rest.trim_start().starts_with('=');
        let parameter = if opens {
            if !first.bytes().all(is_token) {
                continue;
            }
            challenges.push(Challenge { scheme: first.to_ascii_lowercase(), parameters: BTreeMap::new() });
            rest
        } else {
            item
        };
        if let (Some((name, value)), Some(last)) = (parameter.split_once('='), challenges.last_mut()) {
            let name = name.trim();
            if !name.is_empty() && name.bytes().all(is_token) {
                last.parameters.insert(name.to_ascii_lowercase(), unquote(value.trim()));
            }
        }
    }
    challenges
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The parts between commas that are not inside quotes.
fn items(header: &str) -> Vec<&str> {
    let (mut quoted, mut escaped, mut start, mut items) = (false, false, 0, Vec::new());
    for (at, c) in header.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                items.push(&header[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items.push(&header[start..]);
    items.into_iter().map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"') else { return value.to_owned() };
    let mut text = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => text.extend(chars.next()),
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one(scheme: &str, parameters: &[(&str, &str)]) -> Challenge {
        let parameters = parameters.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        Challenge { scheme: scheme.to_owned(), parameters }
    }

    #[test]
    fn reads_what_registries_send() {
        for (header, challenges) in [
            (
                r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:a/b:pull,push""#,
                vec![one(
                    "bearer",
                    &[
                        ("realm", "https://a.example/token"),
                        ("service", "r.example"),
                        ("scope", "repository:a/b:pull,push"),
                    ],
                )],
            ),
            (r#"Basic realm="basic-realm""#, vec![one("basic", &[("realm", "basic-realm")])]),
            (
                r#"Negotiate, Basic realm="a \"b\", c", BEARER Realm = x"#,
                vec![
                    one("negotiate", &[]),
                    one("basic", &[("realm", "a \"b\", c")]),
                    one("bearer", &[("realm", "x")]),
                ],
            ),
            ("Negotiate TlRMTVNTUAAB==", vec![one("negotiate", &[("tlrmtvntuaab", "=")])]),
            ("", vec![]),
            ("realm=x", vec![]),
        ] {
            assert_eq!(parse(header), challenges, "{header}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-z=,\" \\\\é]{0,80}") {
            let _ = parse(&text);
        }

        #[test]
        fn reads_what_is_written(values in proptest::collection::btree_map("[a-z]{1,8}", "[ -~é]{0,20}", 1..5)) {
            let quoted = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"");
            let text: Vec<String> = values.iter().map(|(n, v)| format!("{n}=\"{}\"", quoted(v))).collect();
            let read = parse(&format!("Basic realm=\"x\", Bearer {}", text.join(",")));
            prop_assert_eq!(read.len(), 2);
            prop_assert_eq!(&read[1].parameters, &values);
        }
    }
}
