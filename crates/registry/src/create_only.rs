//! Create-only tags: a tag that matches is created once and never moved to another digest.
//!
//! The decision is a pure function; the store takes it under its lock and obeys it, so that of several
//! clients that put the same tag at once exactly one digest wins.

use perijove_oci::Digest;
use regex::Regex;

/// Which tags are create-only.
#[derive(Clone, Debug, Default)]
pub struct CreateOnly(Option<Regex>);

impl CreateOnly {
    /// No tag is create-only.
    pub fn none() -> Self {
        CreateOnly(None)
    }

    /// Tags that `pattern` matches as a whole (it is anchored at both ends).
    ///
    /// # Errors
    /// When `pattern` is not a regular expression.
    pub fn matching(pattern: &str) -> Result<Self, regex::Error> {
        // Compiled alone first: an error then shows the pattern as it was given.
        Regex::new(pattern)?;
        Ok(CreateOnly(Some(Regex::new(&format!("^(?:{pattern})$"))?)))
    }

    /// Whether `tag` is create-only.
    pub fn covers(&self, tag: &str) -> bool {
        self.0.as_ref().is_some_and(|pattern| pattern.is_match(tag))
    }
}

/// What a PUT of a tag does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The tag did not exist: create it.
    Create,
    /// The tag names this digest already: nothing to write.
    Same,
    /// The tag names another digest and may move.
    Move,
    /// The tag names another digest, given here, and is create-only.
    Conflict(Digest),
}

/// What a PUT of a tag does, given the digest it names now, the digest it shall name, and whether it is
/// create-only.
pub fn decide(now: Option<&Digest>, wanted: &Digest, create_only: bool) -> Decision {
    match now {
        None => Decision::Create,
        Some(now) if now == wanted => Decision::Same,
        Some(now) if create_only => Decision::Conflict(now.clone()),
        Some(_) => Decision::Move,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pattern_matches_the_whole_tag() {
        let rule = CreateOnly::matching(r"\d+\.\d+\.\d+-\d+").unwrap();
        assert!(rule.covers("5.3.1-12"));
        for other in ["5.3.1", "v5.3.1-12", "5.3.1-12-rc", "latest", ""] {
            assert!(!rule.covers(other), "{other}");
        }
        // An alternation is anchored as a whole, too.
        let rule = CreateOnly::matching("a|b").unwrap();
        assert!(rule.covers("a") && rule.covers("b") && !rule.covers("ab") && !rule.covers("xb"));
        assert!(!CreateOnly::none().covers("a"));
        assert!(CreateOnly::matching("a)(b").is_err());
    }

    #[test]
    fn all_cases() {
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        for create_only in [false, true] {
            assert_eq!(decide(None, &a, create_only), Decision::Create);
            assert_eq!(decide(Some(&a), &a, create_only), Decision::Same);
        }
        assert_eq!(decide(Some(&a), &b, false), Decision::Move);
        assert_eq!(decide(Some(&a), &b, true), Decision::Conflict(a));
    }
}
