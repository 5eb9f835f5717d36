//! `requirements.txt` as a lock: pins with hashes, written by Perijove, uv or pip-compile.
//!
//! The grammar is pip's ("Requirements File Format") as far as locks use it. Perijove's own locks also name
//! each wheel with its size, in comments that pip and uv skip:
//!
//! ```text
//! alembic==1.18.5 \
//!     --hash=sha256:0d48…
//!     # wheel: alembic-1.18.5-py3-none-any.whl 264664 bytes sha256:0d4816bb0a1f
//! ```
//!
//! Such a comment counts only when its digest begins one of the pin's hashes, so a lock that another tool
//! has touched since is still read right: its files are looked up in the index again.

use pep440_rs::{Operator, Version};
use pep508_rs::MarkerTree;
use perijove_oci::{Algorithm, Digest};

use super::wheels::WheelName;
use super::wheels::requirement::{Problem, Requirement};
use crate::{Error, Result};

/// A parsed lock.
#[derive(Clone, Debug)]
pub struct RequirementsLock {
    /// What messages call the file.
    pub place: String,
    /// The digest of the input it was made from, if Perijove made it.
    pub input: Option<Digest>,
    /// The pins in the file's order.
    pub pins: Vec<Pin>,
}

/// One `name==version`.
#[derive(Clone, Debug)]
pub struct Pin {
    /// Normalised project name.
    pub name: String,
    /// The version.
    pub version: Version,
    /// Where it holds.
    pub marker: MarkerTree,
    /// The files that may be installed; never empty.
    pub hashes: Vec<Digest>,
    /// The wheels among them that the lock names.
    pub wheels: Vec<LockedWheel>,
    /// The projects that asked for it, as the lock's `# via` says.
    pub via: Vec<String>,
    /// How often `perijove lock` has moved the pin since it came (`# changed: N`): what moves often lies in a
    /// layer of its own.
    pub changed: u32,
    /// Line of the pin, from 1.
    pub line: usize,
}

/// A wheel that the lock names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedWheel {
    /// Its file name.
    pub filename: String,
    /// The name taken apart.
    pub name: WheelName,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Its digest.
    pub digest: Digest,
    /// The source distribution that it was built from at lock time; the wheel lies in the image's folder.
    pub built_from: Option<Digest>,
}

/// Options that say where packages come from or how they are installed: they do not change what is locked.
const SKIPPED_OPTIONS: &[&str] = &[
    "-i",
    "--index-url",
    "--extra-index-url",
    "--no-index",
    "-f",
    "--find-links",
    "--trusted-host",
    "--no-binary",
    "--only-binary",
    "--prefer-binary",
    "--require-hashes",
    "--pre",
    "--use-feature",
];

/// What to do about a package that no index has.
pub const NO_ADDRESS: &str =
    "publish it to an index of yours, or copy its files into the image's `files` folder";

const RELOCK: &str = "run `perijove lock`, or `uv pip compile --generate-hashes`";

impl RequirementsLock {
    /// How often the pin of `name` has moved; 0 where the lock does not say.
    pub fn changes(&self, name: &str) -> u32 {
        self.pins.iter().filter(|pin| pin.name == name).map(|pin| pin.changed).max().unwrap_or(0)
    }

    /// Reads a lock; `place` is the file's name for messages. Fails on what is not pinned and hashed.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let mut lock = RequirementsLock { place: place.to_owned(), input: None, pins: Vec::new() };
        let mut logical = String::new();
        let mut start = 0;
        for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let trimmed = line.trim();
            if let Some(comment) = trimmed.strip_prefix('#') {
                // pip ends a continued line at a comment line.
                lock.logical(&std::mem::take(&mut logical), start)?;
                lock.comment(comment.trim());
                continue;
            }
            if logical.is_empty() {
                start = at + 1;
            }
            match trimmed.strip_suffix('\\') {
                Some(part) => {
                    logical.push_str(part);
                    logical.push(' ');
                }
                None => {
                    logical.push_str(trimmed);
                    lock.logical(&std::mem::take(&mut logical), start)?;
                }
            }
        }
        lock.logical(&logical, start)?;
        Ok(lock)
    }

    fn logical(&mut self, line: &str, number: usize) -> Result<()> {
        let comment =
            line.match_indices('#').find(|(at, _)| line[..*at].ends_with(|c: char| c.is_whitespace()));
        let line = comment.map_or(line, |(at, _)| &line[..at]).trim();
        if line.is_empty() {
            return Ok(());
        }
        let fail = |reason: String, hint: &str| {
            Err(Error::Input { place: format!("{}:{number}", self.place), reason, hint: hint.to_owned() })
        };
        if line.starts_with('-') {
            let option = line.split([' ', '=', '\t']).next().unwrap_or(line);
            if SKIPPED_OPTIONS.contains(&option) || option.starts_with("-i") && !option.starts_with("--") {
                return Ok(());
            }
            return fail(
                format!("`{option}` does not belong in a lock"),
                "a lock holds every pin itself: name other files in requirements.in and lock again",
            );
        }
        let (requirement, options) = match line.find(" --") {
            Some(at) => (line[..at].trim(), line[at..].trim()),
            None => (line, ""),
        };
        let parsed = match requirement.parse::<Requirement>() {
            Ok(parsed) => parsed,
            Err(Problem::Malformed(why)) => {
                return fail(format!("`{requirement}` is not a requirement: {why}"), RELOCK);
            }
            Err(Problem::Address(name)) => {
                return fail(format!("{name} comes from an address, not from an index"), NO_ADDRESS);
            }
        };
        let name = parsed.name;
        let version = match &parsed.versions[..] {
            [one] if matches!(one.operator(), Operator::Equal | Operator::ExactEqual) => {
                one.version().clone()
            }
            [] => return fail(format!("`{requirement}` is not pinned to a version"), RELOCK),
            _ => return fail(format!("`{requirement}` is not pinned to one version"), RELOCK),
        };
        let hashes = match hashes(options) {
            Ok(hashes) if hashes.is_empty() => {
                return fail(format!("{name}=={version} has no sha256 hash"), RELOCK);
            }
            Ok(hashes) => hashes,
            Err(reason) => return fail(format!("{name}=={version}: {reason}"), RELOCK),
        };
        let (marker, line) = (parsed.marker, number);
        self.pins.push(Pin {
            name,
            version,
            marker,
            hashes,
            wheels: Vec::new(),
            via: Vec::new(),
            changed: 0,
            line,
        });
        Ok(())
    }

    fn comment(&mut self, comment: &str) {
        let Some(pin) = self.pins.last_mut() else {
            if let Some(digest) = comment.strip_prefix("input:") {
                self.input = digest.trim().parse().ok();
            }
            return;
        };
        if let Some(wheel) = comment.strip_prefix("wheel:") {
            pin.wheels.extend(locked_wheel(wheel, pin));
        } else if let Some(count) = comment.strip_prefix("changed:") {
            pin.changed = count.trim().parse().unwrap_or(0);
        } else if let Some(via) = comment.strip_prefix("via") {
            pin.via.extend(via.split(',').map(|v| v.trim().to_owned()).filter(|v| !v.is_empty()));
        }
    }
}

/// `FILE SIZE bytes sha256:PREFIX [built from sdist DIGEST]`; nothing when it is not about one of the hashes.
fn locked_wheel(text: &str, pin: &Pin) -> Option<LockedWheel> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (file, size, prefix, rest) = match words[..] {
        [file, size, "bytes", prefix, ref rest @ ..] => (file, Some(size.parse().ok()?), prefix, rest),
        [file, prefix, ref rest @ ..] => (file, None, prefix, rest),
        _ => return None,
    };
    let prefix = prefix.strip_prefix("sha256:").filter(|p| p.len() >= 12)?;
    let name = file.parse::<WheelName>().ok().filter(|n| n.name == pin.name && n.version == pin.version)?;
    let digest = pin
        .hashes
        .iter()
        .find(|d| d.algorithm() == Algorithm::Sha256 && d.hex().starts_with(prefix))?
        .clone();
    let built_from = match rest {
        ["built", "from", "sdist", sdist] => Some(sdist.parse().ok()?),
        _ => None,
    };
    Some(LockedWheel { filename: file.to_owned(), name, size, digest, built_from })
}

/// The usable digests of a line's `--hash` options. Hashes of other algorithms are passed over: each file that
/// is installed must match one that is known here.
fn hashes(options: &str) -> Result<Vec<Digest>, String> {
    let mut found = Vec::new();
    let mut words = options.split_whitespace();
    while let Some(word) = words.next() {
        let value = match word.split_once('=') {
            Some(("--hash", value)) => value,
            None if word == "--hash" => words.next().unwrap_or(""),
            _ => return Err(format!("`{word}` is not known here")),
        };
        match value.to_ascii_lowercase().parse::<Digest>() {
            Ok(digest) if digest.algorithm() == Algorithm::Sha256 => found.push(digest),
            Ok(_) => {}
            Err(_)
                if ["sha512", "sha384", "sha224", "blake2", "md5", "sha1"]
                    .iter()
                    .any(|a| value.starts_with(a)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "requirements_tests.rs"]
mod tests;
