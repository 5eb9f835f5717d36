//! How tags compare (RULE.md 7).

use std::cmp::Ordering;
use std::fmt;

use pep440_rs::Prerelease;

use crate::tag::Tag;

/// A build number: digits of any length, compared as integers (RULE.md 2, 5, 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Build<'a> {
    /// Without leading zeros, so zero is empty.
    digits: &'a str,
}

impl<'a> Build<'a> {
    /// The number that `digits` write: ASCII digits alone.
    pub fn new(digits: &'a str) -> Build<'a> {
        Build { digits: digits.trim_start_matches('0') }
    }
}

impl Ord for Build<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.digits.len().cmp(&other.digits.len()).then_with(|| self.digits.cmp(other.digits))
    }
}

impl PartialOrd for Build<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Build<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.digits.is_empty() { "0" } else { self.digits })
    }
}

/// A PEP 440 version of three numbers, as its order sees it: equal when the versions are. The field order is the
/// order of comparison.
///
/// Not `pep440_rs::Version`'s own order: that takes an absent dev part for dev 2^64-1, so that two different
/// versions would be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    pub release: [u64; 3],
    phase: Phase,
    post: Option<u64>,
    dev: Dev,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Only a dev part: before every pre-release.
    Dev,
    Pre(Prerelease),
    /// No pre part: the final, and its post-releases.
    Done,
}

/// The development release of a version is before that version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Dev {
    Part(u64),
    Absent,
}

impl Rank {
    /// `MAJOR.MINOR.PATCH` and nothing else.
    pub fn plain(release: [u64; 3]) -> Rank {
        Rank { release, phase: Phase::Done, post: None, dev: Dev::Absent }
    }

    /// `version` must have the three numbers `release`, no epoch and no local part.
    pub fn new(release: [u64; 3], version: &pep440_rs::Version) -> Rank {
        let phase = match (version.pre(), version.post(), version.dev()) {
            (Some(pre), _, _) => Phase::Pre(pre),
            (None, None, Some(_)) => Phase::Dev,
            (None, _, _) => Phase::Done,
        };
        Rank { release, phase, post: version.post(), dev: version.dev().map_or(Dev::Absent, Dev::Part) }
    }

    /// Neither a pre nor a dev part (RULE.md 4).
    pub fn is_final(&self) -> bool {
        self.phase == Phase::Done && self.dev == Dev::Absent
    }
}

/// Total for PEP 440 tags. An opaque tag compares only with tags of its own version text.
impl PartialOrd for Tag<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let by_version = match (self.rank(), other.rank()) {
            (Some(mine), Some(theirs)) => mine.cmp(&theirs),
            _ if self.version() == other.version() => Ordering::Equal,
            _ => return None,
        };
        Some(
            by_version
                .then_with(|| self.build().cmp(&other.build()))
                .then_with(|| other.text().len().cmp(&self.text().len()))
                .then_with(|| self.text().cmp(other.text())),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the smallest to the greatest; every pair is compared.
    const ASCENDING: &[&str] = &[
        "4.99.99-99",
        "5.0.0.dev0",
        "5.0.0.dev18446744073709551615-0",
        "5.0.0a1.dev3",
        "5.0.0-alpha.1-0",
        "5.0.0a2",
        "5.0.0a10",
        "5.0.0b0-7",
        "5.0.0-rc-2",
        "5.0.0rc1.dev0",
        "5.0.0rc1.dev18446744073709551615",
        "5.0.0-rc.1",
        "5.0.0RC1",
        "5.0.0rc1",
        "5.0.0-rc1-0",
        "5.0.0rc01-0",
        "5.0.0RC1-0",
        "5.0.0rc1-0",
        "v5.0.0rc1-1",
        "5.0.0rc1.post1.dev1",
        "5.0.0rc1.post1",
        "5.0.0",
        "5.0.0-00",
        "V5.0.0-0",
        "v5.0.0-0",
        "5.0.0-0",
        "5.0.0-1",
        "5.0.0-2",
        "5.0.0-9",
        "5.0.0-10",
        "5.0.0-11",
        "5.0.0-18446744073709551616",
        "5.0.0-99999999999999999999999999",
        "5.0.0.post1.dev0",
        "5.0.0-1.dev1",
        "5.0.0.post1",
        "5.0.0-r2",
        "5.0.1-0",
        "5.1.0.dev0",
        "5.10.0",
        "10.0.0a0",
        "18446744073709551615.0.0",
    ];

    #[test]
    fn order_of_pep440_tags() {
        let tags: Vec<_> = ASCENDING.iter().map(|text| Tag::parse(text).unwrap()).collect();
        for (i, a) in tags.iter().enumerate() {
            for (j, b) in tags.iter().enumerate() {
                assert_eq!(a.partial_cmp(b), Some(i.cmp(&j)), "{} and {}", a.text(), b.text());
            }
        }
    }

    #[test]
    fn opaque_tags_compare_within_their_version_text() {
        let tag = |text| Tag::parse(text).unwrap();
        assert!(tag("5.0.0-next.1") < tag("5.0.0-next.1-0"));
        assert!(tag("5.0.0-next.1-01") < tag("5.0.0-next.1-1"));
        assert_eq!(tag("5.0.0-next.1").partial_cmp(&tag("5.0.0-next.2")), None);
        assert_eq!(tag("5.0.0-next.1").partial_cmp(&tag("5.0.0")), None);
    }
}
