//! Pages of a sorted list: `n`, `last` and `Link` (distribution-spec 1.1, "Listing Tags"). Pure.

use super::query::{Query, encode};

/// What a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    /// At most so many entries.
    pub(crate) count: Option<usize>,
    /// Only what comes after this one.
    pub(crate) after: Option<String>,
}

impl Page {
    /// Reads `n` and `last`.
    ///
    /// # Errors
    /// A sentence for the client when `n` is not a number.
    pub(crate) fn read(query: &Query) -> Result<Self, String> {
        let count = query.get("n").map(|text| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            // More than can be counted is everything.
            if digits {
                Ok(text.parse().unwrap_or(usize::MAX))
            } else {
                Err(format!("n=`{text}` is not a number"))
            }
        });
        Ok(Page { count: count.transpose()?, after: query.get("last").map(str::to_owned) })
    }

    /// The page of `entries`, which are sorted by `name`, and whether more follow.
    pub(crate) fn of<T>(&self, mut entries: Vec<T>, name: impl Fn(&T) -> String) -> (Vec<T>, bool) {
        if let Some(after) = &self.after {
            let skip = entries.partition_point(|entry| name(entry) <= *after);
            entries.drain(..skip);
        }
        let count = self.count.unwrap_or(usize::MAX);
        let more = count > 0 && entries.len() > count;
        entries.truncate(count);
        (entries, more)
    }
}

/// The `Link` header to what follows `last` (RFC 8288): `path?name=value&…`.
pub(crate) fn link(path: &str, count: Option<usize>, last: &str, others: &[(&str, &str)]) -> String {
    let mut target = format!("{path}?last={}", encode(last));
    if let Some(count) = count {
        target.push_str(&format!("&n={count}"));
    }
    for (name, value) in others {
        target.push_str(&format!("&{name}={}", encode(value)));
    }
    format!("<{target}>; rel=\"next\"")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(text: &str) -> Result<Page, String> {
        Page::read(&Query::read(Some(text)).unwrap())
    }

    fn take(query: &str) -> (String, bool) {
        let entries = ["a", "c", "e"].map(str::to_owned).to_vec();
        let (page, more) = page(query).unwrap().of(entries, String::clone);
        (page.concat(), more)
    }

    #[test]
    fn pages() {
        let cases = [
            ("", "ace", false),
            ("n=2", "ac", true),
            ("n=3", "ace", false),
            ("n=0", "", false),
            ("n=99999999999999999999999", "ace", false),
            ("last=a", "ce", false),
            ("last=b", "ce", false),
            ("last=a&n=1", "c", true),
            ("last=e&n=1", "", false),
            ("last=z", "", false),
        ];
        for (query, wanted, more) in cases {
            assert_eq!(take(query), (wanted.to_owned(), more), "{query}");
        }
        for bad in ["n=", "n=-1", "n=x", "n=1.5"] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_link_is_a_uri() {
        let link = link("/v2/a/tags/list", Some(2), "x", &[("artifactType", "a/b+c")]);
        assert_eq!(link, r#"</v2/a/tags/list?last=x&n=2&artifactType=a/b%2Bc>; rel="next""#);
    }

    proptest! {
        #[test]
        fn following_pages_gives_the_whole(mut names in proptest::collection::vec("[a-z]{1,3}", 0..30), count in 1usize..9) {
            names.sort_unstable();
            names.dedup();
            let mut seen = Vec::new();
            loop {
                let page = Page { count: Some(count), after: seen.last().cloned() };
                let (part, more) = page.of(names.clone(), String::clone);
                seen.extend(part);
                if !more {
                    break;
                }
            }
            prop_assert_eq!(seen, names);
        }
    }
}
