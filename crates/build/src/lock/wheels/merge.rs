//! The answers of several platforms in one file, and that file's text. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use pep440_rs::Version;
use perijove_oci::Digest;

use super::compile::Resolution;
use super::target::{PythonTarget, machine};
use crate::Result;
use crate::lock::requirements::LockedWheel;

/// One version of a project and the platforms that get it.
#[derive(Clone, Debug)]
pub struct Merged {
    /// Normalised project name.
    pub name: String,
    /// The version.
    pub version: Version,
    /// Positions in the list of answers.
    pub platforms: Vec<usize>,
    /// The digests of all files of this version that the index has.
    pub hashes: BTreeSet<Digest>,
    /// What it is needed by.
    pub via: BTreeSet<String>,
}

/// Joins the answers, sorted by name and version.
pub fn merge(answers: &[Resolution]) -> Vec<Merged> {
    let mut found: BTreeMap<(String, Version), Merged> = BTreeMap::new();
    for (at, answer) in answers.iter().enumerate() {
        for pin in &answer.pins {
            let merged = found.entry((pin.name.clone(), pin.version.clone())).or_insert_with(|| Merged {
                name: pin.name.clone(),
                version: pin.version.clone(),
                platforms: Vec::new(),
                hashes: BTreeSet::new(),
                via: BTreeSet::new(),
            });
            merged.platforms.push(at);
            merged.hashes.extend(pin.hashes.iter().cloned());
            merged.via.extend(pin.via.iter().cloned());
        }
    }
    found.into_values().collect()
}

/// A pin as it is written.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What was resolved.
    pub merged: Merged,
    /// How often the pin has moved since it came.
    pub changed: u32,
    /// Its wheels, best first.
    pub wheels: Vec<LockedWheel>,
}

/// The whole lock. `input` is the digest of what was asked.
pub fn render(target: &PythonTarget, input: &Digest, entries: &[Entry]) -> Result<String> {
    let platforms: Vec<String> = target.platforms.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "# Locked by `perijove lock` from requirements.in: every wheel of {} for {target}.\n\
         # Anywhere else: pip install --require-hashes -r requirements.txt\n\
         # input: {input}\n",
        platforms.join(" and ")
    );
    for Entry { merged, changed, wheels } in entries {
        let _ = write!(text, "{}=={}", merged.name, merged.version);
        if merged.platforms.len() < target.platforms.len() {
            let machines: Result<Vec<String>> = merged
                .platforms
                .iter()
                .map(|at| Ok(format!("platform_machine == \"{}\"", machine(&target.platforms[*at])?)))
                .collect();
            let _ = write!(text, " ; {}", machines?.join(" or "));
        }
        for digest in
            wheels.iter().map(|w| &w.digest).chain(wheels.iter().filter_map(|w| w.built_from.as_ref()))
        {
            let _ = write!(text, " \\\n    --hash={digest}");
        }
        text.push('\n');
        for wheel in wheels {
            let _ = write!(text, "    # wheel: {}", wheel.filename);
            if let Some(size) = wheel.size {
                let _ = write!(text, " {size} bytes");
            }
            let _ = write!(text, " sha256:{}", wheel.digest.short());
            if let Some(sdist) = &wheel.built_from {
                let _ = write!(text, " built from sdist {sdist}");
            }
            text.push('\n');
        }
        if *changed > 0 {
            let _ = writeln!(text, "    # changed: {changed}");
        }
        if !merged.via.is_empty() {
            let via: Vec<&str> = merged.via.iter().map(String::as_str).collect();
            let _ = writeln!(text, "    # via {}", via.join(", "));
        }
    }
    Ok(text)
}
