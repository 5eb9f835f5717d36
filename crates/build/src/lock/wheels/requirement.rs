//! One requirement (dependency specifiers, PEP 508): name, extras, versions, marker.
//!
//! Taken apart here and not by pep508_rs, which panics on names that end in `-`; versions and markers are its.

use pep440_rs::VersionSpecifiers;
use pep508_rs::MarkerTree;

use super::filename::normalise;

/// A requirement without its address, which images do not take.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// Normalised project name.
    pub name: String,
    /// Which versions.
    pub versions: VersionSpecifiers,
    /// Where it holds.
    pub marker: MarkerTree,
}

/// Why a text is no requirement that can be locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// It does not follow the grammar.
    Malformed(String),
    /// It names an address (`name @ https://…`).
    Address(String),
}

/// Whether `text` is a project name: letters, digits, and `-`, `_`, `.` between them.
pub fn is_project_name(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    ends(text.chars().next())
        && ends(text.chars().next_back())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

impl std::str::FromStr for Requirement {
    type Err = Problem;

    fn from_str(text: &str) -> Result<Self, Problem> {
        let malformed = |why: &str| Problem::Malformed(why.to_owned());
        let text = text.trim();
        let end =
            text.find(|c: char| !(c.is_ascii_alphanumeric() || "-_.".contains(c))).unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        if !is_project_name(name) {
            return Err(malformed("a project name was expected"));
        }
        rest = rest.trim_start();
        if let Some(extras) = rest.strip_prefix('[') {
            let (extras, after) = extras.split_once(']').ok_or_else(|| malformed("`[` is not closed"))?;
            if extras.split(',').any(|e| !e.trim().is_empty() && !is_project_name(e.trim())) {
                return Err(malformed("the extras are not names"));
            }
            rest = after.trim_start();
        }
        if rest.starts_with('@') {
            return Err(Problem::Address(normalise(name)));
        }
        let (versions, marker) = match rest.split_once(';') {
            Some((versions, marker)) => (versions.trim(), Some(marker.trim())),
            None => (rest.trim(), None),
        };
        let versions = versions.strip_prefix('(').and_then(|v| v.strip_suffix(')')).unwrap_or(versions);
        let versions: VersionSpecifiers = match versions.trim() {
            "" => VersionSpecifiers::empty(),
            text => text.parse().map_err(|e: pep440_rs::VersionSpecifiersParseError| {
                malformed(e.to_string().lines().next().unwrap_or("the version is malformed"))
            })?,
        };
        let marker = match marker {
            None => MarkerTree::default(),
            Some(text) => text.parse().map_err(|e: pep508_rs::Pep508Error| {
                Problem::Malformed(format!("its marker: {}", e.message))
            })?,
        };
        Ok(Requirement { name: normalise(name), versions, marker })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names() {
        for (name, ok) in
            [("six", true), ("Foo.Bar", true), ("-rf", false), ("", false), ("a b", false), ("a-", false)]
        {
            assert_eq!(is_project_name(name), ok, "{name}");
        }
    }

    #[test]
    fn takes_requirements_apart() {
        let r: Requirement = "Foo_Bar [a, b-c] >=1,<2 ; python_version > '3.8'".parse().unwrap();
        assert_eq!((r.name.as_str(), r.versions.to_string().as_str()), ("foo-bar", ">=1, <2"));
        assert!(!r.marker.is_true());
        assert!("six".parse::<Requirement>().unwrap().versions.is_empty());
        assert_eq!("six (==1)".parse::<Requirement>().unwrap().versions.to_string(), "==1");
        assert_eq!("Six@http://x/".parse::<Requirement>().unwrap_err(), Problem::Address("six".to_owned()));
        for bad in ["", "a-", "six[", "six[a-]", "six=1", "six==1;", "six==1; x", "./six", "six 1"] {
            assert!(matches!(bad.parse::<Requirement>(), Err(Problem::Malformed(_))), "{bad}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn never_panics(text in "[a-z0-9=;\\[\\] .,<>~!'\"()@/-]{0,60}", tail in "\\PC{0,40}") {
            let _ = text.parse::<Requirement>();
            let _ = format!("a=={tail}").parse::<Requirement>();
            let _ = format!("a ; {tail}").parse::<Requirement>();
            let _ = format!("a ; extra == '{text}'").parse::<Requirement>();
            let _ = format!("a ; python_version {text}").parse::<Requirement>();
            let _ = format!("a ; python_version in '{text}'").parse::<Requirement>();
        }
    }
}
