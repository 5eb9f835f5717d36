//! Which parts lie in which layer: a pure function of the parts.
//!
//! A node pulls a layer again when any part in it changed. So a part has a layer of its own when it is large
//! or when the lock's history has seen it change; the small and steady ones share a few layers, spread by
//! their names' digests so that a package that comes or goes disturbs one of them only. A part that changes
//! for the first time leaves its shared layer just when that layer had to be rewritten anyway.

use std::collections::{BTreeMap, BTreeSet};

use perijove_oci::Digest;

use super::Compression;
use super::piece::Class;
use crate::part::{FORMAT, Part, PartKind};

/// An image has at most this many layers: overlayfs and old Docker versions end at 127, nodes unpack them one
/// after the other, and more do not save a byte on the reference refreezes.
pub const MAX_LAYERS: usize = 60;

/// Wheels of this size are split by [`Class`].
pub const SPLIT_BYTES: u64 = 512 << 10;

/// A part of a layer: a part's index, and its class when the part is split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Unit {
    /// Index into the parts.
    pub part: usize,
    /// The piece; [`Class::Code`] is the whole of a part that is not split.
    pub class: Class,
}

/// One layer to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Digest of the format, the compression and the pieces in order: equal keys mean equal bytes.
    pub key: Digest,
    /// `pypi/jupyterhub static`, `deb shared 3`: for people.
    pub label: String,
    /// The pieces, in order.
    pub units: Vec<Unit>,
}

/// Whether a part's files go into pieces by class.
pub fn is_split(part: &Part) -> bool {
    part.kind == PartKind::Wheel && part.size_bytes >= SPLIT_BYTES
}

/// The classes of a part's pieces.
pub fn classes(part: &Part) -> &'static [Class] {
    if is_split(part) { &[Class::Static, Class::Native, Class::Code] } else { &[Class::Code] }
}

/// From which size a part has a layer of its own, and how many layers the rest shares.
fn habits(kind: PartKind) -> (u64, u64) {
    match kind {
        PartKind::Effects => (u64::MAX, 1),
        PartKind::Deb => (1 << 20, 4),
        PartKind::Npm => (u64::MAX, 3),
        PartKind::Wheel => (64 << 10, 8),
        PartKind::Files => (0, 1),
    }
}

/// Packs `parts` into at most `max` layers (at least one a kind).
pub fn plan(parts: &[Part], compression: Compression, max: usize) -> Vec<Group> {
    let mut alone: Vec<usize> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        if part.size_bytes >= habits(part.kind).0 || (part.changes > 0 && part.kind != PartKind::Effects) {
            alone.push(index);
        }
    }
    // What saves most by lying alone comes first; the tail is given up until the rest fits.
    alone.sort_by_key(|&i| {
        let p = &parts[i];
        let weight = u128::from(p.size_bytes.max(1)) * u128::from(p.changes + 1);
        (std::cmp::Reverse(weight), p.kind, p.name.clone())
    });
    let mut packed = pack(parts, &alone);
    while packed.len() > max && alone.pop().is_some() {
        packed = pack(parts, &alone);
    }
    let group = |((kind, _, label), mut units): (Place, Vec<Unit>)| {
        units.sort_by(|a, b| (&parts[a.part].name, a.class).cmp(&(&parts[b.part].name, b.class)));
        Group { key: key(parts, &units, compression), label: format!("{} {label}", word(kind)), units }
    };
    packed.into_iter().map(group).collect()
}

/// Kind, whether a part has the layer for itself, name. Their order is the layers' order.
type Place = (PartKind, bool, String);

fn pack(parts: &[Part], alone: &[usize]) -> BTreeMap<Place, Vec<Unit>> {
    let alone: BTreeSet<usize> = alone.iter().copied().collect();
    let mut groups: BTreeMap<Place, Vec<Unit>> = BTreeMap::new();
    for (index, part) in parts.iter().enumerate() {
        let own = alone.contains(&index);
        let shared = if own { String::new() } else { bucket(&part.name, habits(part.kind).1, part.changes) };
        for &class in classes(part) {
            let label = match (own, class) {
                (true, Class::Static) => format!("{} static", part.name),
                (true, Class::Native) => format!("{} native", part.name),
                (true, Class::Code) => part.name.clone(),
                (false, _) => format!("shared {shared}"),
            };
            groups.entry((part.kind, own, label)).or_default().push(Unit { part: index, class });
        }
    }
    groups
}

fn bucket(name: &str, buckets: u64, changes: u32) -> String {
    let digest = Digest::sha256(name.as_bytes());
    let number = u64::from_str_radix(&digest.hex()[..12], 16).unwrap_or(0) % buckets;
    if changes == 0 { format!("{number}") } else { format!("{number} changing") }
}

fn word(kind: PartKind) -> &'static str {
    match kind {
        PartKind::Effects => "base",
        PartKind::Deb => "deb",
        PartKind::Npm => "npm",
        PartKind::Wheel => "pypi",
        PartKind::Files => "files",
    }
}

/// A piece's name inside a layer's key.
pub fn unit_id(part: &Part, class: Class) -> String {
    if is_split(part) { format!("{}#{class:?}", part.key) } else { part.key.to_string() }
}

fn key(parts: &[Part], units: &[Unit], compression: Compression) -> Digest {
    let ids: Vec<String> = units.iter().map(|u| unit_id(&parts[u.part], u.class)).collect();
    let text = serde_json::json!({ "format": FORMAT, "compression": compression, "pieces": ids });
    Digest::sha256(text.to_string().as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::part::Source;

    fn part(kind: PartKind, name: &str, size_bytes: u64, changes: u32) -> Part {
        Part {
            purl: format!("pkg:{name}"),
            name: name.to_owned(),
            version: "1".to_owned(),
            kind,
            key: Digest::sha256(format!("{kind:?}{name}").as_bytes()),
            size_bytes,
            changes,
            without: Vec::new(),
            source: Source::Data(Vec::new()),
        }
    }

    fn labels(parts: &[Part], max: usize) -> Vec<String> {
        plan(parts, Compression::Gzip, max).into_iter().map(|g| g.label).collect()
    }

    #[test]
    fn large_and_changing_parts_lie_alone() {
        let parts = [
            part(PartKind::Wheel, "idna", 60_000, 2),
            part(PartKind::Wheel, "six", 11_000, 0),
            part(PartKind::Wheel, "sqlalchemy", 3_000_000, 0),
            part(PartKind::Deb, "libc6", 2_800_000, 0),
            part(PartKind::Effects, "base", 0, 0),
        ];
        assert_eq!(
            labels(&parts, 60),
            [
                "base shared 0",
                "deb libc6",
                "pypi shared 6",
                "pypi idna",
                "pypi sqlalchemy",
                "pypi sqlalchemy native",
                "pypi sqlalchemy static"
            ]
        );
        assert_eq!(labels(&parts, 5).len(), 5, "the one that saves least gives up its layer");
    }

    proptest! {
        #[test]
        fn every_piece_lies_in_one_layer_and_the_count_is_kept(
            sizes in proptest::collection::vec((0u64..5_000_000, 0u32..4), 1..200),
        ) {
            let parts: Vec<Part> = sizes
                .iter()
                .enumerate()
                .map(|(n, (size, changes))| part(PartKind::Wheel, &format!("p{n}"), *size, *changes))
                .collect();
            let groups = plan(&parts, Compression::Gzip, MAX_LAYERS);
            prop_assert!(groups.len() <= MAX_LAYERS);
            let mut units: Vec<Unit> = groups.iter().flat_map(|g| g.units.clone()).collect();
            units.sort();
            let count = units.len();
            units.dedup();
            prop_assert_eq!(count, units.len());
            let all: usize = parts.iter().map(|p| if is_split(p) { 3 } else { 1 }).sum();
            prop_assert_eq!(count, all);
        }
    }
}
