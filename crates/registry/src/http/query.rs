//! Percent-encoding and query strings. Pure.

/// The decoded text; nothing when an escape is broken or the result is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let (high, low) = (rest.next().and_then(digit)?, rest.next().and_then(digit)?);
            bytes.push(high << 4 | low);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A query string's names and values, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string; nothing when an escape is broken. `+` is a blank, as forms write it.
    pub(crate) fn read(text: Option<&str>) -> Option<Self> {
        let pairs = text.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?))
        };
        pairs.map(pair).collect::<Option<Vec<_>>>().map(Query)
    }

    /// The first value of `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of `name`.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The text as a query's value.
pub(crate) fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn queries() {
        let query = Query::read(Some("tag=a&tag=b%2Bc&&n&x=1+2&digest=sha256%3Aaa")).unwrap();
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b+c"]);
        assert_eq!((query.get("n"), query.get("x"), query.get("m")), (Some(""), Some("1 2"), None));
        assert_eq!(query.get("digest"), Some("sha256:aa"));
        assert_eq!(Query::read(None), Some(Query::default()));
        for bad in ["a=%", "a=%2", "a=%zz", "a=%ff", "%=1", "a=%+1"] {
            assert_eq!(Query::read(Some(bad)), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(text in any::<String>()) {
            prop_assert_eq!(decode(&encode(&text)), Some(text.clone()));
            let query = Query::read(Some(&format!("k={}", encode(&text)))).unwrap();
            prop_assert_eq!(query.get("k"), Some(text.as_str()));
        }

        #[test]
        fn any_query_is_read_or_refused(text in any::<String>()) {
            let _no_panic = Query::read(Some(&text));
        }
    }
}
