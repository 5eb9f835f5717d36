//! `debs.in`: which Debian packages an image wants.
//!
//! One entry a line; `#` begins a comment, here or at the end of a line:
//!
//! ```text
//! python3
//! nodejs/trixie-backports     # from that suite, though it is not an automatic one
//! -libsqlite3-0               # leave it out of the closure
//! suite trixie-proposed-updates
//! ```
//!
//! A name wants the newest version of the base's suites (the codename, its `-updates` and its `-security`) and
//! of those added by `suite`. `name/suite` adds its suite for that package, and for what it needs and no
//! other suite has. `-name` leaves a package out, whoever depends on it; naming a package that is left out
//! by default (see [`super::exclude`]) brings it back. Order does not matter.

use std::collections::BTreeMap;

use perijove_oci::Digest;

use super::exclude;
use super::relation::is_name;
use crate::{Error, Result};

/// A package that `debs.in` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The suite it must come from.
    pub suite: Option<String>,
    /// The line that names it, from 1.
    pub line: usize,
}

/// A read `debs.in`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DebsIn {
    /// What messages call the file.
    pub place: String,
    /// Named packages.
    pub packages: BTreeMap<String, Wanted>,
    /// Names after `-`, with their lines.
    pub excluded: BTreeMap<String, usize>,
    /// Names after `suite`, with their lines.
    pub suites: BTreeMap<String, usize>,
}

impl DebsIn {
    /// Reads the text of a `debs.in` that messages call `place`. Errors are [`Error::Input`] at `place:line`.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let mut input = DebsIn { place: place.to_owned(), ..DebsIn::default() };
        for (i, raw) in text.lines().enumerate() {
            let line = i + 1;
            let entry = raw.split('#').next().unwrap_or("").trim();
            if !entry.is_empty() {
                input.entry(entry, line).map_err(|reason| Error::Input {
                    place: format!("{place}:{line}"),
                    reason,
                    hint: "a line is `name`, `name/suite`, `-name` or `suite NAME`; `#` begins a comment"
                        .to_owned(),
                })?;
            }
        }
        Ok(input)
    }

    fn entry(&mut self, entry: &str, line: usize) -> Result<(), String> {
        if let Some((word, suite)) = entry.split_once(char::is_whitespace) {
            let suite = suite.trim();
            if word != "suite" || !is_suite(suite) {
                return Err(format!("`{entry}` is not an entry"));
            }
            self.suites.entry(suite.to_owned()).or_insert(line);
            return Ok(());
        }
        if let Some(name) = entry.strip_prefix('-') {
            if !is_name(name) {
                return Err(format!("`{name}` is not a package name"));
            }
            if let Some(wanted) = self.packages.get(name) {
                return Err(format!("`{name}` is left out here and named on line {}", wanted.line));
            }
            self.excluded.entry(name.to_owned()).or_insert(line);
            return Ok(());
        }
        let (name, suite) = match entry.split_once('/') {
            Some((name, suite)) => (name, Some(suite)),
            None => (entry, None),
        };
        if !is_name(name) {
            return Err(format!("`{name}` is not a package name"));
        }
        if let Some(suite) = suite.filter(|s| !is_suite(s)) {
            return Err(format!("`{suite}` is not a suite"));
        }
        if let Some(first) = self.excluded.get(name) {
            return Err(format!("`{name}` is named here and left out on line {first}"));
        }
        let wanted = Wanted { suite: suite.map(str::to_owned), line };
        match self.packages.get(name) {
            Some(first) if first.suite != wanted.suite => {
                Err(format!("`{name}` is named on line {} with another suite", first.line))
            }
            Some(_) => Ok(()),
            None => {
                self.packages.insert(name.to_owned(), wanted);
                Ok(())
            }
        }
    }

    /// Whether the closure leaves out `name` when `asker` depends on it.
    pub fn excludes(&self, name: &str, asker: &str) -> bool {
        if self.packages.contains_key(name) {
            return false;
        }
        self.excluded.contains_key(name) || exclude::default_exclusion(name, asker).is_some()
    }

    /// The suites to read, for a base of `codename`: those that may give any package, then those that give
    /// only what `name/suite` asks of them.
    pub fn suite_names(&self, codename: &str) -> (Vec<String>, Vec<String>) {
        // Unstable and experimental have neither updates nor security fixes of their own.
        let rolling = matches!(codename, "sid" | "unstable" | "experimental" | "rc-buggy");
        let endings: &[&str] = if rolling { &[""] } else { &["", "-updates", "-security"] };
        let mut any: Vec<String> = endings.iter().map(|ending| format!("{codename}{ending}")).collect();
        for suite in self.suites.keys() {
            if !any.contains(suite) {
                any.push(suite.clone());
            }
        }
        let mut pinned: Vec<String> = Vec::new();
        for suite in self.packages.values().filter_map(|w| w.suite.as_ref()) {
            if !any.contains(suite) && !pinned.contains(suite) {
                pinned.push(suite.clone());
            }
        }
        (any, pinned)
    }

    /// A digest of what the file says, whatever its order and comments.
    pub fn digest(&self) -> Digest {
        let mut text = String::new();
        for (name, wanted) in &self.packages {
            let pin = wanted.suite.as_ref().map_or(String::new(), |s| format!("/{s}"));
            text.push_str(&format!("{name}{pin}\n"));
        }
        self.excluded.keys().for_each(|name| text.push_str(&format!("-{name}\n")));
        self.suites.keys().for_each(|suite| text.push_str(&format!("suite {suite}\n")));
        Digest::sha256(text.as_bytes())
    }
}

/// Whether `text` may name a suite: one path component of lower-case letters, digits, `-`, `.` and `+`.
pub fn is_suite(text: &str) -> bool {
    text.len() <= 64
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.+".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# base\n\npython3\nnodejs/trixie-backports # newer\n-libdb5.3\nsuite trixie-proposed-updates\nopenssl\n";

    #[test]
    fn reads_every_kind_of_line() {
        let input = DebsIn::parse(TEXT, "debs.in").unwrap();
        assert_eq!(input.packages.keys().collect::<Vec<_>>(), ["nodejs", "openssl", "python3"]);
        let node = &input.packages["nodejs"];
        assert_eq!((node.suite.as_deref(), node.line), (Some("trixie-backports"), 4));
        assert!(input.excludes("libdb5.3", "python3"));
        assert!(input.excludes("debconf", "tzdata"));
        assert!(!input.excludes("openssl", "ca-certificates"), "naming a package brings it back");
        let (any, pinned) = input.suite_names("trixie");
        assert_eq!(any, ["trixie", "trixie-updates", "trixie-security", "trixie-proposed-updates"]);
        assert_eq!(pinned, ["trixie-backports"]);
        assert_eq!(DebsIn::default().suite_names("sid").0, ["sid"]);
    }

    #[test]
    fn names_the_line_that_is_wrong() {
        for (text, place, says) in [
            ("python3\nlib foo\n", "d:2", "`lib foo` is not an entry"),
            ("../etc\n", "d:1", "`..` is not a package name"),
            ("a/../../x\n", "d:1", "`../../x` is not a suite"),
            ("a\n-a\n", "d:2", "`a` is left out here and named on line 1"),
            ("-a\n\na\n", "d:3", "`a` is named here and left out on line 1"),
            ("a\na/sid\n", "d:2", "`a` is named on line 1 with another suite"),
            ("suite Trixie\n", "d:1", "`suite Trixie` is not an entry"),
            ("python3:any\n", "d:1", "`python3:any` is not a package name"),
        ] {
            let error = DebsIn::parse(text, "d").unwrap_err();
            assert_eq!(error.to_string(), format!("{place}: {says}"));
            assert!(error.is_usage() && error.hint().is_some());
        }
    }

    #[test]
    fn the_digest_is_of_the_meaning() {
        let digest = |text: &str| DebsIn::parse(text, "d").unwrap().digest();
        assert_eq!(digest("a\nb\n-c\n"), digest("# x\n-c\nb # y\n\na\na\n"));
        assert_ne!(digest("a\nb\n"), digest("a\n-b\n"));
        assert_ne!(digest("a\n"), digest("a/sid\n"));
    }

    proptest! {
        #[test]
        fn never_panics(text in "([a-z/#-]{0,6}|suite [a-z]{0,3}|\u{e9}| |\n){0,12}") {
            let _ = DebsIn::parse(&text, "debs.in");
        }
    }
}
