//! The part of one locked package: its name for others (package URL) and its key. Pure.

use std::collections::BTreeMap;
use std::path::Path;

use perijove_oci::Digest;

use super::NODE_PREFIX;
use crate::entry::Entry;
use crate::lock::debs::LockedDeb;
use crate::lock::npm::LockedNpm;
use crate::lock::wheels::WheelChoice;
use crate::part::{Part, PartKind, Source, key};
use crate::unpack::WheelOptions;

pub(super) fn deb_part(deb: &LockedDeb) -> Part {
    Part {
        purl: format!("pkg:deb/debian/{}@{}?arch={}", deb.name, escape(&deb.version), deb.architecture),
        name: deb.name.clone(),
        version: deb.version.clone(),
        kind: PartKind::Deb,
        key: key(PartKind::Deb, &BTreeMap::from([("sha256", deb.digest.to_string())])),
        size_bytes: deb.size,
        changes: 0,
        without: Vec::new(),
        source: Source::Deb(deb.clone()),
    }
}

pub(super) fn ca_part(deb: &LockedDeb) -> Part {
    let inputs = BTreeMap::from([("bundle", deb.digest.to_string())]);
    Part {
        purl: format!("pkg:generic/ca-bundle@{}", escape(&deb.version)),
        name: "ca-bundle".to_owned(),
        version: deb.version.clone(),
        kind: PartKind::Effects,
        key: key(PartKind::Effects, &inputs),
        size_bytes: 0,
        changes: 0,
        without: Vec::new(),
        source: Source::CaBundle(deb.clone()),
    }
}

pub(super) fn data_part(name: &str, kind: PartKind, entries: Vec<(Entry, Vec<u8>)>) -> Part {
    let mut text = String::new();
    for (entry, content) in &entries {
        text.push_str(&format!("{entry:?} {}\n", Digest::sha256(content)));
    }
    let digest = Digest::sha256(text.as_bytes());
    Part {
        purl: format!("pkg:generic/{name}@{}", digest.short()),
        name: name.to_owned(),
        version: String::new(),
        kind,
        key: key(kind, &BTreeMap::from([("data", digest.to_string())])),
        size_bytes: 0,
        changes: 0,
        without: Vec::new(),
        source: Source::Data(entries),
    }
}

pub(super) fn npm_part(package: &LockedNpm, folder: &Path, linked: bool) -> Part {
    let (scope, name) = package.name.rsplit_once('/').map_or(("", package.name.as_str()), |(s, n)| (s, n));
    let scope = if scope.is_empty() { String::new() } else { format!("{}/", scope.replace('@', "%40")) };
    let inputs = BTreeMap::from([
        ("integrity", package.integrity.to_string()),
        ("path", format!("{NODE_PREFIX}/{}", package.path)),
        ("linked", linked.to_string()),
    ]);
    Part {
        purl: format!("pkg:npm/{scope}{name}@{}", escape(&package.version)),
        name: package.path.trim_start_matches("node_modules/").to_owned(),
        version: package.version.clone(),
        kind: PartKind::Npm,
        key: key(PartKind::Npm, &inputs),
        size_bytes: 0,
        changes: 0,
        without: Vec::new(),
        source: Source::Npm {
            package: package.clone(),
            folder: folder.to_owned(),
            prefix: NODE_PREFIX.to_owned(),
            linked,
        },
    }
}

pub(super) fn wheel_part(wheel: WheelChoice, changes: u32, folder: &Path, options: &WheelOptions) -> Part {
    let inputs = BTreeMap::from([
        ("sha256", wheel.digest.to_string()),
        ("purelib", options.purelib.clone()),
        ("prefix", options.prefix.clone()),
        ("python", options.python.clone()),
    ]);
    Part {
        purl: format!("pkg:pypi/{}@{}", wheel.name, escape(&wheel.version)),
        name: wheel.name.clone(),
        version: wheel.version.clone(),
        kind: PartKind::Wheel,
        key: key(PartKind::Wheel, &inputs),
        size_bytes: wheel.size.unwrap_or(0),
        changes,
        without: Vec::new(),
        source: Source::Wheel { wheel, folder: folder.to_owned(), options: options.clone() },
    }
}

/// Percent-encoding of a version (purl specification, "version").
fn escape(version: &str) -> String {
    version
        .bytes()
        .map(|b| match b {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => (b as char).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
