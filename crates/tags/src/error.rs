//! Why a text is refused, and what to do about it.

/// A text that the rule refuses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}: {reason}")]
pub struct Refusal {
    /// The refused tag or version, fit to print: cut short and escaped where it could not be a tag.
    pub text: String,
    /// Why.
    pub reason: Reason,
}

/// The reasons. The numbers are RULE.md's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// 1, 12: no registry takes it.
    #[error("not a valid OCI tag")]
    NotOci,
    /// 3: it could be a build of two versions.
    #[error("ambiguous: {version} reads as a build of its own")]
    Ambiguous {
        /// What is before the last `-` and digits.
        version: String,
    },
    /// 4: two numbers, four numbers, or a word.
    #[error("not MAJOR.MINOR.PATCH")]
    NotThreeNumbers,
    /// 4: neither PEP 440 nor a plain word follows the three numbers.
    #[error("cannot read `{rest}` after MAJOR.MINOR.PATCH")]
    Rest {
        /// What follows the three numbers.
        rest: String,
    },
    /// 5: a number that does not fit 64 bits.
    #[error("the number {number} is above 2^64-1")]
    TooLarge {
        /// Its digits.
        number: String,
    },
    /// 10: a bare tag whose numbered builds are there already.
    #[error("is the alias of {newest}")]
    AliasOf {
        /// The newest of the builds.
        newest: String,
    },
    /// 12: a version was asked for, and this is already a build of one.
    #[error("ends in a build number")]
    HasBuild {
        /// What is before the last `-` and digits.
        version: String,
    },
    /// 12, strict: a pre-release, a `v`, or not three numbers.
    #[error("not three plain numbers")]
    NotPlain,
}

impl Refusal {
    pub(crate) fn new(text: &str, reason: Reason) -> Refusal {
        Refusal { text: printable(text), reason }
    }

    /// What to do next.
    pub fn hint(&self) -> String {
        match &self.reason {
            Reason::NotOci => {
                "a tag is 1 to 128 letters, digits, `_`, `.` and `-`, and starts with neither `.` \
                               nor `-`; local versions (`+`) and epochs (`!`) have no place in it"
                    .to_owned()
            }
            Reason::Ambiguous { .. } => {
                "write a post-release as `.post1`, and a pre-release as `rc1`, before the build number"
                    .to_owned()
            }
            Reason::NotThreeNumbers => {
                "a version tag starts with three numbers, such as 5.3.1, 5.3.1-0 or 5.3.1rc1-0".to_owned()
            }
            Reason::Rest { .. } => {
                "use a PEP 440 ending (rc1, b2, .dev0, .post1), or letters, digits, `-`, and `.` \
                                    between them"
                    .to_owned()
            }
            Reason::TooLarge { .. } => "only the build number, at the end, may be that large".to_owned(),
            Reason::AliasOf { newest } => {
                format!("give a build number above that of {newest}: the bare tag follows by itself")
            }
            Reason::HasBuild { version } => format!("give the version alone: {version}"),
            Reason::NotPlain => {
                "give MAJOR.MINOR.PATCH, such as 5.3.1, or do without the strict check".to_owned()
            }
        }
    }
}

/// Whatever a stranger wrote, short and on one line. What can be a tag stays as it is.
fn printable(text: &str) -> String {
    const LONGEST: usize = 128;
    if text.is_empty() {
        return "\"\"".to_owned();
    }
    let mut shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_stays_on_one_short_line() {
        let shown = printable(&"\u{1b}[31m\n".repeat(1000));
        assert!(shown.len() < 1200 && !shown.contains(['\u{1b}', '\n']) && shown.ends_with('…'));
        assert_eq!(printable("5.3.1-0"), "5.3.1-0");
        assert_eq!(printable(""), "\"\"");
    }
}
