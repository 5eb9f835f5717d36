//! Reading a tag's text (RULE.md 1 to 6), and the names that it may be found under (8).

use crate::error::{Reason, Refusal};
use crate::order::{Build, Rank};

/// A tag that names a version, with a build number or bare: `5.3.1-0`, `v5.3.1`, `5.4.0rc1-2`, `5.3.1-next.1`.
///
/// Two tags are equal when their texts are. They are ordered as RULE.md 7 says; [`PartialOrd`] gives `None` only
/// where an opaque tag meets another version text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag<'a> {
    text: &'a str,
    version: Version<'a>,
    build: Option<Build<'a>>,
}

/// What is before the build number (RULE.md 3 to 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version<'a> {
    text: &'a str,
    /// Absent where PEP 440 cannot read the text: opaque.
    pub rank: Option<Rank>,
}

impl<'a> Tag<'a> {
    /// Reads a tag's text (RULE.md 1 to 6).
    ///
    /// # Errors
    /// The text is unknown to the rule: a branch, a digest, an alias such as `5.3`, junk.
    pub fn parse(text: &'a str) -> Result<Tag<'a>, Refusal> {
        if !is_oci(text) {
            return Err(Refusal::new(text, Reason::NotOci));
        }
        let (version, build) = split(text);
        let version = Version::parse(version).map_err(|reason| Refusal::new(text, reason))?;
        Ok(Tag { text, version, build })
    }

    /// The whole text, as given.
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// The version text: what is before the build number, as given.
    pub fn version(&self) -> &'a str {
        self.version.text
    }

    /// The build number; `None` is a bare tag.
    pub fn build(&self) -> Option<Build<'a>> {
        self.build
    }

    /// Whether it is a final version: no pre-release, no development release, not opaque (RULE.md 4).
    pub fn is_final(&self) -> bool {
        self.rank().is_some_and(|rank| rank.is_final())
    }

    /// Whether PEP 440 cannot read its version (RULE.md 4).
    pub fn is_opaque(&self) -> bool {
        self.rank().is_none()
    }

    /// MAJOR, of a version that PEP 440 reads.
    pub fn major(&self) -> Option<u64> {
        self.rank().map(|rank| rank.release[0])
    }

    /// The aliases that it may take, in order (RULE.md 8): its version text; a final also has `MAJOR.MINOR`, `MAJOR`
    /// and `latest`. For a bare tag the first is the tag itself.
    pub fn candidates(&self) -> Vec<String> {
        let mut names = vec![self.version().to_owned()];
        if let Some(Rank { release: [major, minor, _], .. }) = self.rank().filter(Rank::is_final) {
            names.extend([format!("{major}.{minor}"), major.to_string(), "latest".to_owned()]);
        }
        names
    }

    pub(crate) fn rank(&self) -> Option<Rank> {
        self.version.rank
    }
}

impl<'a> Version<'a> {
    /// Reads a version text (RULE.md 3 to 5).
    pub fn parse(text: &'a str) -> Result<Version<'a>, Reason> {
        if split(text).1.is_some() {
            return Err(Reason::Ambiguous { version: text.to_owned() });
        }
        if let Some(number) = too_large(text) {
            return Err(Reason::TooLarge { number: number.to_owned() });
        }
        let plain = text.strip_prefix(['v', 'V']).unwrap_or(text);
        let (release, rest) = three_numbers(plain).ok_or(Reason::NotThreeNumbers)?;
        let rank = if rest.is_empty() {
            Some(Rank::plain(release))
        } else if let Ok(version) = plain.parse::<pep440_rs::Version>() {
            Some(Rank::new(release, &version))
        } else if is_opaque(rest) {
            None
        } else {
            return Err(Reason::Rest { rest: rest.to_owned() });
        };
        Ok(Version { text, rank })
    }
}

/// Whether a registry takes the text as a tag (RULE.md 1; OCI distribution-spec, "Pulling manifests").
pub(crate) fn is_oci(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// Version text and build number of any text (RULE.md 2).
pub(crate) fn split(text: &str) -> (&str, Option<Build<'_>>) {
    match text.rsplit_once('-') {
        Some((version, digits)) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            (version, Some(Build::new(digits)))
        }
        _ => (text, None),
    }
}

/// The first number in the text that does not fit 64 bits (RULE.md 5).
fn too_large(text: &str) -> Option<&str> {
    text.split(|c: char| !c.is_ascii_digit())
        .find(|digits| digits.len() >= 20 && digits.parse::<u64>().is_err())
}

/// `MAJOR.MINOR.PATCH` at the start of the text, not followed by a fourth number, and the rest.
fn three_numbers(text: &str) -> Option<([u64; 3], &str)> {
    let (major, rest) = number(text)?;
    let (minor, rest) = number(rest.strip_prefix('.')?)?;
    let (patch, rest) = number(rest.strip_prefix('.')?)?;
    let fourth = rest.strip_prefix('.').is_some_and(|rest| number(rest).is_some());
    (!fourth).then_some(([major, minor, patch], rest))
}

/// The number at the start of the text, and the rest.
fn number(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

/// What may follow the three numbers where PEP 440 cannot read it (RULE.md 4). A leading `.` makes an empty part.
fn is_opaque(rest: &str) -> bool {
    rest.split('.')
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    enum Kind {
        Final,
        PreRelease,
        Opaque,
    }
    use Kind::*;

    fn kind(tag: &Tag) -> Kind {
        match (tag.is_final(), tag.rank()) {
            (true, _) => Final,
            (false, Some(_)) => PreRelease,
            (false, None) => Opaque,
        }
    }

    #[test]
    fn version_tags() {
        for (text, version, build, expected) in [
            ("5.2.1", "5.2.1", None, Final),
            ("5.2.1-0", "5.2.1", Some("0"), Final),
            ("v5.1.0-0", "v5.1.0", Some("0"), Final),
            ("V5.1.0", "V5.1.0", None, Final),
            ("2024.01.15", "2024.01.15", None, Final),
            ("1.2.3-007", "1.2.3", Some("7"), Final),
            ("5.0.0-post-1", "5.0.0-post", Some("1"), Final),
            ("5.2.1.post1-0", "5.2.1.post1", Some("0"), Final),
            ("5.0.0-r3", "5.0.0-r3", None, Final),
            ("18446744073709551615.0.0", "18446744073709551615.0.0", None, Final),
            ("0000000000000000000000005.0.0", "0000000000000000000000005.0.0", None, Final),
            ("5.5.0RC1-0", "5.5.0RC1", Some("0"), PreRelease),
            ("5.0.0-rc-1", "5.0.0-rc", Some("1"), PreRelease),
            ("5.0.0-rc.1", "5.0.0-rc.1", None, PreRelease),
            ("5.0.0_rc_1-2", "5.0.0_rc_1", Some("2"), PreRelease),
            ("5.0.0.dev0-0", "5.0.0.dev0", Some("0"), PreRelease),
            ("5.0.0.Preview2", "5.0.0.Preview2", None, PreRelease),
            ("5.0.0-1.dev0", "5.0.0-1.dev0", None, PreRelease),
            ("6.0.0.post1.dev0", "6.0.0.post1.dev0", None, PreRelease),
            ("5.0.0-next.1", "5.0.0-next.1", None, Opaque),
            ("5.0.0-next-3", "5.0.0-next", Some("3"), Opaque),
            ("5.2.1-0-slim", "5.2.1-0-slim", None, Opaque),
            ("5.2.1-3.pr7", "5.2.1-3.pr7", None, Opaque),
            ("4.1.2-10invalid", "4.1.2-10invalid", None, Opaque),
            ("5.0.0--1", "5.0.0-", Some("1"), Opaque),
        ] {
            let tag = Tag::parse(text).unwrap();
            let found = (tag.version(), tag.build().map(|b| b.to_string()), kind(&tag));
            assert_eq!(found, (version, build.map(str::to_owned), expected), "{text}");
        }
    }

    #[test]
    fn unknown_texts() {
        for (reason, texts) in [
            (
                "not a valid OCI tag",
                &["", "-5.0.0", ".5.0.0", "5.0.0+abc-0", "1!5.0.0-0", "5.0.0 ", "5.0.0-é"][..],
            ),
            (
                "not MAJOR.MINOR.PATCH",
                &["latest", "5", "5.2", "main", "sha-1234567", "v1", "vv5.0.0-0", "5.3-0"],
            ),
            (
                "not MAJOR.MINOR.PATCH",
                &["1.2.3.4", "5.2.1.4-0", "1.2.3.4rc1", "_1.2.3", "v", "1..2", "1.2.x", "1.2-3.4"],
            ),
            ("ambiguous: ", &["5.2.1-1-0", "2024-01-15", "5.0.0-rc-1-2"]),
            (
                "cannot read `",
                &["5.0.0_foo", "5.0.0.", "5.0.0.foo", "5.0.0-a..b", "5.0.0-next.", "5.0.0-next._"],
            ),
            (
                "the number ",
                &[
                    "18446744073709551616.0.0",
                    "5.0.0rc18446744073709551616-0",
                    "5.0.0-x.99999999999999999999",
                ],
            ),
        ] {
            for text in texts {
                let refusal = Tag::parse(text).unwrap_err();
                assert!(refusal.reason.to_string().starts_with(reason), "{refusal}");
                assert!(!refusal.hint().is_empty());
            }
        }
    }

    #[test]
    fn the_longest_tag_has_128_characters() {
        let longest = format!("5.0.0-{}", "9".repeat(122));
        assert!(Tag::parse(&longest).is_ok());
        assert_eq!(Tag::parse(&format!("{longest}9")).unwrap_err().reason, Reason::NotOci);
    }
}
