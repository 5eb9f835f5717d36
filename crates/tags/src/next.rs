//! The next build number of a version (RULE.md 12).

use crate::error::{Reason, Refusal};
use crate::order::{Build, Rank};
use crate::tag::{Version, is_oci, split};

/// The number that the next build of `version` gets: one above the greatest among `existing`, or `0` (RULE.md 12).
/// The tag is then `{version}-{number}`. Without leading zeros, and of any size.
///
/// `existing` is every tag name of the repository, of all target repositories joined, in any order, doubles and junk
/// allowed. Where a registry also tells deleted tags, give those too: a number is never used twice.
///
/// With `strict`, only three plain numbers are a version; without, anything that makes a tag is (`main` counts the
/// builds of `main`).
///
/// # Errors
/// `version` ends in a build number, `{version}-{number}` is no OCI tag, or `strict` does not hold.
pub fn next_build<'e>(
    version: &str,
    existing: impl IntoIterator<Item = &'e str>,
    strict: bool,
) -> Result<String, Refusal> {
    if let (before, Some(_)) = split(version) {
        return Err(Refusal::new(version, Reason::HasBuild { version: before.to_owned() }));
    }
    // Before the work, and before a reason that would puzzle: most of what makes no tag makes none with 0.
    check(version, "0")?;
    if strict && !is_plain(version) {
        return Err(Refusal::new(version, Reason::NotPlain));
    }
    let rank = rank(version);
    let greatest = existing.into_iter().filter_map(|text| build_of(text, version, rank)).max();
    let number = greatest.map_or_else(|| "0".to_owned(), successor);
    check(version, &number)?;
    Ok(number)
}

/// The build number of `text`, if it is a tag whose version is `version`: the same text, or equal for PEP 440.
fn build_of<'e>(text: &'e str, version: &str, wanted: Option<Rank>) -> Option<Build<'e>> {
    let (its_version, build) = split(text);
    let is_version = its_version == version || (wanted.is_some() && rank(its_version) == wanted);
    build.filter(|_| is_version && is_oci(text))
}

/// Absent for opaque versions and for texts that are no version: those are compared by text only.
fn rank(version: &str) -> Option<Rank> {
    Version::parse(version).ok()?.rank
}

fn check(version: &str, number: &str) -> Result<(), Refusal> {
    let tag = format!("{version}-{number}");
    if is_oci(&tag) { Ok(()) } else { Err(Refusal::new(&tag, Reason::NotOci)) }
}

fn is_plain(version: &str) -> bool {
    let mut numbers = 0;
    version
        .split('.')
        .inspect(|_| numbers += 1)
        .all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        && numbers == 3
}

/// One more, in decimal: all nines at the end become zeros, the digit before them grows.
fn successor(build: Build) -> String {
    let digits = build.to_string();
    let kept = digits.trim_end_matches('9');
    let zeros = "0".repeat(digits.len() - kept.len());
    match kept.as_bytes().split_last() {
        Some((&last, before)) => {
            format!("{}{}{zeros}", &kept[..before.len()], char::from(last + 1))
        }
        None => format!("1{zeros}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_version() {
        for (version, existing, expected) in [
            ("5.1.0", &["v5.1.0-4", "05.1.0-2", "5.1.0.0-9", "5.1-9", "5.1.0-9-0", "5.1.0-9.pr7"][..], "5"),
            ("5.0.0rc1", &["5.0.0-RC.1-6", "5.0.0rc2-9"], "7"),
            ("5.2.1.post1", &["5.2.1-1-7", "5.2.1-r1-2", "5.2.1-8"], "3"),
            ("5.0.0-next.1", &["5.0.0-next.1-3", "5.0.0-NEXT.1-9", "5.0.0-9"], "4"),
            ("1.2.3", &["1.2.3"], "0"),
            ("1.2.3", &["1.2.3-1", "1.2.3-10", "1.2.3-009", "1.2.3-2"], "11"),
            // Outside rule 4: by text only.
            ("5.3", &["5.3-0", "5.3.0-7", "v5.3-7"], "1"),
            ("main", &["main-3", "main", "Main-9"], "4"),
            ("99999999999999999999.0.0", &["99999999999999999999.0.0-1", "099999999999999999999.0.0-8"], "2"),
        ] {
            assert_eq!(next_build(version, existing.iter().copied(), false).unwrap(), expected, "{version}");
        }
    }

    #[test]
    fn refused() {
        for (version, strict, reason) in [
            ("5.2.1-1", false, Reason::HasBuild { version: "5.2.1".to_owned() }),
            ("sha-1234567", false, Reason::HasBuild { version: "sha".to_owned() }),
            ("5.0.0+abc", false, Reason::NotOci),
            ("1!5.0.0", true, Reason::NotOci),
            ("", false, Reason::NotOci),
            ("v5.0.0", true, Reason::NotPlain),
            ("5.0.0rc1", true, Reason::NotPlain),
            ("5.0", true, Reason::NotPlain),
            ("5.0.0.0", true, Reason::NotPlain),
            ("5.0.", true, Reason::NotPlain),
        ] {
            assert_eq!(next_build(version, [], strict).unwrap_err().reason, reason, "{version}");
        }
        assert_eq!(next_build("05.0.0", [], true).unwrap(), "0");
    }

    #[test]
    fn a_number_that_no_longer_fits_is_refused() {
        let nines = format!("5.0.0-{}", "9".repeat(122));
        assert_eq!(next_build("5.0.0", [nines.as_str()], false).unwrap_err().reason, Reason::NotOci);
        // Of 129 characters: not a tag, so it does not count.
        assert_eq!(next_build("5.0.0", [format!("{nines}9").as_str()], false).unwrap(), "0");
    }

    #[test]
    fn successors() {
        for (build, expected) in
            [("0", "1"), ("000", "1"), ("8", "9"), ("9", "10"), ("0199", "200"), ("999", "1000")]
        {
            assert_eq!(successor(Build::new(build)), expected);
        }
    }
}
