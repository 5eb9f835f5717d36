//! `debs.lock`: the packages of an image, exactly.
//!
//! Line based, sorted, one package and architecture a line, so that differences and merges read well:
//!
//! ```text
//! # Made by `perijove lock` from debs.in; do not edit.
//! version 1
//! input sha256:<digest of what debs.in says>
//! codename trixie
//! platforms linux/amd64 linux/arm64
//! suite trixie 2026-09-12T07:55:41Z sha256:<digest of its InRelease>
//! deb NAME VERSION ARCHITECTURE SIZE sha256:<digest> ARCHIVE PATH
//! deb tzdata 2025b-4 all 260000 sha256:… debian pool/main/t/tzdata/tzdata_2025b-4_all.deb
//! ```
//!
//! SIZE is in bytes; ARCHIVE is `debian` or `debian-security`, under whose address (known to the machine, not
//! to the lock) PATH lies. A package of architecture `all` counts for every platform, unless `only=P,…` ends
//! its line.

use std::fmt;

use jiff::Timestamp;
use perijove_oci::{Digest, Platform};

use super::input::is_suite;
use super::{platform, relation, version};
use crate::{Error, Result};

/// The archives that Debian publishes separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Archive {
    /// The main archive, with `-updates` and `-backports`.
    Debian,
    /// Security fixes.
    Security,
}

impl Archive {
    /// The word in the lock.
    pub fn name(self) -> &'static str {
        match self {
            Archive::Debian => "debian",
            Archive::Security => "debian-security",
        }
    }

    /// Which archive has the suite `name`.
    pub fn of_suite(name: &str) -> Self {
        if name.ends_with("-security") { Archive::Security } else { Archive::Debian }
    }
}

/// A suite as it was when the lock was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedSuite {
    /// `trixie-updates`.
    pub name: String,
    /// `Date` of its Release file.
    pub date: Timestamp,
    /// Digest of its InRelease file.
    pub inrelease: Digest,
}

/// A locked package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedDeb {
    /// Package name.
    pub name: String,
    /// Debian version.
    pub version: String,
    /// Debian architecture, or `all`.
    pub architecture: String,
    /// Length of the file in bytes.
    pub size: u64,
    /// sha256 of the file.
    pub digest: Digest,
    /// Where it lies.
    pub archive: Archive,
    /// Path below the archive's address, checked: no `..`, not absolute.
    pub path: String,
    /// The platforms that have it; sorted as in the lock.
    pub platforms: Vec<Platform>,
}

/// A read `debs.lock`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebsLock {
    /// Digest of what `debs.in` said ([`super::DebsIn::digest`]).
    pub input: Digest,
    /// The base's codename.
    pub codename: String,
    /// The platforms locked for, in the order of the settings.
    pub platforms: Vec<Platform>,
    /// The suites, sorted by name.
    pub suites: Vec<LockedSuite>,
    /// The packages, sorted by name, then architecture and version.
    pub packages: Vec<LockedDeb>,
}

impl DebsLock {
    /// Reads the text of a `debs.lock` that messages call `place`. Errors are [`Error::Input`] at `place:line`.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let at = |line: usize, reason: String| Error::Input {
            place: format!("{place}:{line}"),
            reason,
            hint:
                "make it again with `perijove lock`; after a merge, delete the conflict markers' lines first"
                    .to_owned(),
        };
        let mut draft = Draft::default();
        let mut last = 0;
        for (i, line) in text.lines().enumerate() {
            last = i + 1;
            let line = line.trim_end();
            if !line.is_empty() && !line.starts_with('#') {
                draft.line(line).map_err(|reason| at(last, reason))?;
            }
        }
        draft.finish().map_err(|reason| at(last.max(1), reason))
    }

    /// The packages of one platform, sorted by name.
    pub fn for_platform(&self, platform: &Platform) -> Vec<&LockedDeb> {
        self.packages.iter().filter(|deb| deb.platforms.contains(platform)).collect()
    }

    /// When the newest of the suites was made: the image's time of creation.
    pub fn created(&self) -> Option<Timestamp> {
        self.suites.iter().map(|suite| suite.date).max()
    }

    /// The text of the file.
    pub fn to_text(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for DebsLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Made by `perijove lock` from debs.in; do not edit.")?;
        writeln!(f, "version 1\ninput {}\ncodename {}", self.input, self.codename)?;
        write!(f, "platforms")?;
        self.platforms.iter().try_for_each(|platform| write!(f, " {platform}"))?;
        writeln!(f)?;
        for suite in &self.suites {
            writeln!(f, "suite {} {} {}", suite.name, suite.date, suite.inrelease)?;
        }
        for deb in &self.packages {
            let LockedDeb { name, version, architecture, size, digest, archive, path, platforms } = deb;
            write!(f, "deb {name} {version} {architecture} {size} {digest} {} {path}", archive.name())?;
            if platforms.len() < fitting(&self.platforms, architecture).len() {
                let only: Vec<String> = platforms.iter().map(ToString::to_string).collect();
                write!(f, " only={}", only.join(","))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

/// A lock while its lines come in.
#[derive(Default)]
struct Draft {
    version: bool,
    input: Option<Digest>,
    codename: Option<String>,
    platforms: Vec<Platform>,
    suites: Vec<LockedSuite>,
    packages: Vec<LockedDeb>,
}

impl Draft {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["version", "1"] => self.version = true,
            ["version", other] => return Err(format!("this is format {other}, made by a newer Perijove")),
            _ if !self.version => return Err("expected `version 1` before anything else".to_owned()),
            ["input", digest] => self.input = Some(sha256(digest)?),
            ["codename", name] if is_suite(name) => self.codename = Some(name.to_owned()),
            ["platforms", ref names @ ..] => {
                self.platforms = names.iter().map(|name| name.parse()).collect::<Result<_, String>>()?;
            }
            ["suite", name, date, digest] if is_suite(name) => {
                let date = date.parse().map_err(|e| format!("`{date}` is not a time: {e}"))?;
                self.suites.push(LockedSuite { name: name.to_owned(), date, inrelease: sha256(digest)? });
            }
            ["deb", ref fields @ ..] => {
                let deb = self.deb(fields)?;
                let same = |d: &LockedDeb| {
                    d.name == deb.name && d.platforms.iter().any(|platform| deb.platforms.contains(platform))
                };
                // Sorted by name, so a second version can only be a few lines up.
                if self.packages.iter().rev().take_while(|d| d.name == deb.name).any(same) {
                    return Err(format!("`{}` is locked twice for one platform", deb.name));
                }
                if self.packages.last().is_some_and(|d| d.name > deb.name) {
                    return Err(format!("`{}` is not in the order of names", deb.name));
                }
                self.packages.push(deb);
            }
            _ => {
                return Err(format!(
                    "`{}` is not a line of a lock",
                    line.chars().take(60).collect::<String>()
                ));
            }
        }
        Ok(())
    }

    fn deb(&self, fields: &[&str]) -> Result<LockedDeb, String> {
        let (fields, only) = match fields.split_last() {
            Some((last, rest)) if last.starts_with("only=") => (rest, Some(&last["only=".len()..])),
            _ => (fields, None),
        };
        let [name, version, architecture, size, digest, archive, path] = fields else {
            return Err("expected `deb NAME VERSION ARCHITECTURE SIZE sha256:DIGEST ARCHIVE PATH`".to_owned());
        };
        if !relation::is_name(name) || !version::is_version(version) {
            return Err(format!("`{name} {version}` is not a package and its version"));
        }
        if !platform::is_architecture(architecture) {
            return Err(format!("`{architecture}` is not an architecture"));
        }
        let archive = [Archive::Debian, Archive::Security].into_iter().find(|a| a.name() == *archive);
        let mut platforms = fitting(&self.platforms, architecture);
        if let Some(only) = only {
            let only: Vec<&str> = only.split(',').collect();
            platforms.retain(|p| only.contains(&p.to_string().as_str()));
        }
        if platforms.is_empty() {
            return Err(format!("`{name}` is for none of the lock's platforms"));
        }
        Ok(LockedDeb {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            architecture: (*architecture).to_owned(),
            size: check_size(size)?,
            digest: sha256(digest)?,
            archive: archive.ok_or("the archive is neither `debian` nor `debian-security`")?,
            path: check_path(path)?.to_owned(),
            platforms,
        })
    }

    fn finish(self) -> Result<DebsLock, String> {
        let Draft { version, input: Some(input), codename: Some(codename), platforms, suites, packages } =
            self
        else {
            return Err("the lock ends before `version`, `input` and `codename`".to_owned());
        };
        if !version || platforms.is_empty() || suites.is_empty() {
            return Err("the lock has no `platforms` or no `suite`".to_owned());
        }
        Ok(DebsLock { input, codename, platforms, suites, packages })
    }
}

/// Those of `platforms` that can have a package of `architecture`.
pub fn fitting(platforms: &[Platform], architecture: &str) -> Vec<Platform> {
    let fits = |p: &&Platform| {
        architecture == platform::ALL || platform::architecture(p).is_ok_and(|a| a == architecture)
    };
    platforms.iter().filter(fits).cloned().collect()
}

fn sha256(text: &str) -> Result<Digest, String> {
    let digest: Digest = text.parse().map_err(|e: perijove_oci::digest::DigestError| e.to_string())?;
    if digest.algorithm() == perijove_oci::Algorithm::Sha256 {
        Ok(digest)
    } else {
        Err(format!("`{text}` is not a sha256"))
    }
}

/// No package is larger than this: 4 GiB.
const MAX_SIZE: u64 = 4 << 30;

/// A package's length, bounded.
pub fn check_size(text: &str) -> Result<u64, String> {
    match text.parse::<u64>() {
        Ok(size) if (1..=MAX_SIZE).contains(&size) => Ok(size),
        _ => Err(format!("`{}` is not the size of a package", text.chars().take(40).collect::<String>())),
    }
}

/// A path below an archive: relative, no component empty, `.` or `..`, and no character that a URL would give a
/// meaning.
pub fn check_path(path: &str) -> Result<&str, String> {
    let component = |c: &str| {
        !matches!(c, "" | "." | "..")
            && c.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._~:".contains(&b))
    };
    if path.len() <= 512 && path.split('/').all(component) {
        Ok(path)
    } else {
        Err(format!("`{}` is not a path below an archive", path.chars().take(80).collect::<String>()))
    }
}

#[cfg(test)]
mod tests;
