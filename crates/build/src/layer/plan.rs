//! Which parts lie in which layer: a pure function of the parts.
//!
//! A node pulls a layer again when any part in it changed. So a part has a layer of its own when it is large
//! or when the lock's history has seen it change; the small and steady ones share a few layers, spread by
//! their names' digests so that a package that comes or goes disturbs one of them only. A part that changes
//! for the first time leaves its shared layer just when that layer had to be rewritten anyway.
//!
//! Where that is more layers than there may be, layers of their own are given up first, and only then the shared
//! ones are spread over fewer ([`Spread`]).

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

/// How far apart the parts lie that share layers. Each step is a union of the layers of the step before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spread {
    /// As many layers as the kind has by habit, and those that changed apart from those that never did.
    ByChange,
    /// At most so many layers a kind.
    AtMost(u64),
    /// One layer for all packages. The image's own files stay apart: they may replace a package's, and no layer may
    /// name a path twice.
    Together,
}

/// From what moves least to what takes least.
const SPREADS: [Spread; 6] = [
    Spread::ByChange,
    Spread::AtMost(8),
    Spread::AtMost(4),
    Spread::AtMost(2),
    Spread::AtMost(1),
    Spread::Together,
];

/// Packs `parts` into at most `max` layers: any number from two is kept, and one where there are packages alone
/// or files alone.
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
    // A part takes no fewer layers alone than with others, so that the counts only grow with those that lie alone.
    let fits = |alone: &[usize], spread| pack(parts, alone, spread).len() <= max;
    let spread = SPREADS.into_iter().find(|spread| fits(&[], *spread)).unwrap_or(Spread::Together);
    let counts: Vec<usize> = match spread {
        // Kinds lie in their order: none can lie between those of one layer.
        Spread::Together => Vec::new(),
        _ => (1..=alone.len()).collect(),
    };
    let kept = counts.partition_point(|&count| fits(&alone[..count], spread));
    let packed = pack(parts, &alone[..kept], spread);
    let group = |((kind, _, label), mut units): (Place, Vec<Unit>)| {
        let order = |unit: &Unit| (parts[unit.part].kind, parts[unit.part].name.as_str(), unit.class);
        units.sort_by(|a, b| order(a).cmp(&order(b)));
        let label = if label == TOGETHER { label } else { format!("{} {label}", word(kind)) };
        Group { key: key(parts, &units, compression), label, units }
    };
    packed.into_iter().map(group).collect()
}

/// Kind, whether a part has the layer for itself, name. Their order is the layers' order.
type Place = (PartKind, bool, String);

/// The label of [`Spread::Together`].
const TOGETHER: &str = "packages";

fn pack(parts: &[Part], alone: &[usize], spread: Spread) -> BTreeMap<Place, Vec<Unit>> {
    let alone: BTreeSet<usize> = alone.iter().copied().collect();
    let mut groups: BTreeMap<Place, Vec<Unit>> = BTreeMap::new();
    for (index, part) in parts.iter().enumerate() {
        let own = alone.contains(&index);
        for &class in classes(part) {
            let (kind, label) = match (own, class) {
                (true, Class::Static) => (part.kind, format!("{} static", part.name)),
                (true, Class::Native) => (part.kind, format!("{} native", part.name)),
                (true, Class::Code) => (part.kind, part.name.clone()),
                (false, _) => shared(part, spread),
            };
            groups.entry((kind, own, label)).or_default().push(Unit { part: index, class });
        }
    }
    groups
}

/// The kind and the label of the layer that a part shares.
fn shared(part: &Part, spread: Spread) -> (PartKind, String) {
    let digest = Digest::sha256(part.name.as_bytes());
    let number = u64::from_str_radix(&digest.hex()[..12], 16).unwrap_or(0) % habits(part.kind).1;
    let label = match spread {
        Spread::ByChange if part.changes > 0 => format!("shared {number} changing"),
        Spread::ByChange => format!("shared {number}"),
        Spread::AtMost(layers) => format!("shared {}", number % layers),
        Spread::Together if part.kind != PartKind::Files => return (PartKind::Effects, TOGETHER.to_owned()),
        Spread::Together => "shared 0".to_owned(),
    };
    (part.kind, label)
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

    const KINDS: [PartKind; 5] =
        [PartKind::Effects, PartKind::Deb, PartKind::Npm, PartKind::Wheel, PartKind::Files];

    /// `count` small parts of each kind, of which every other one has changed.
    fn small(count: usize) -> Vec<Part> {
        let of = |kind| (0..count).map(move |n| part(kind, &format!("p{n}"), 1_000, u32::from(n % 2 == 0)));
        let mut parts: Vec<Part> = KINDS[1..4].iter().copied().flat_map(of).collect();
        parts.push(part(PartKind::Effects, "base", 0, 0));
        parts.push(part(PartKind::Files, "app", 100, 0));
        parts
    }

    #[test]
    fn shared_layers_are_spread_over_fewer_when_they_must() {
        let parts = small(200);
        let (mut at, mut seen) = (Vec::new(), Vec::new());
        for max in (1..=40).rev() {
            let groups = labels(&parts, max);
            assert!(groups.len() <= max.max(2), "{max}: {groups:?}");
            let shared = groups.into_iter().filter(|l| l.contains("shared ") && !l.starts_with("files"));
            let shared: Vec<String> = shared.collect();
            if seen.last() != Some(&shared) {
                at.push((max, shared.len()));
                seen.push(shared);
            }
        }
        // Every bucket twice but that of the base: 2 * (4 + 3 + 8) + 1, and one more layer for the files.
        assert_eq!(at, [(40, 31), (31, 16), (16, 12), (12, 7), (7, 4), (4, 0)], "{seen:#?}");
        assert_eq!(labels(&parts, 2), ["packages", "files shared 0"]);
        assert_eq!(labels(&parts, 20).len(), 20, "and where layers were merged, what is left is used");
    }

    #[test]
    fn each_spread_unites_layers_of_the_one_before() {
        let parts = small(200);
        let layers = |spread| -> Vec<BTreeSet<Unit>> {
            pack(&parts, &[], spread).into_values().map(BTreeSet::from_iter).collect()
        };
        for two in SPREADS.windows(2) {
            let (fine, coarse) = (layers(two[0]), layers(two[1]));
            assert!(fine.len() > coarse.len(), "{two:?}");
            assert!(fine.iter().all(|layer| coarse.iter().any(|all| layer.is_subset(all))), "{two:?}");
        }
    }

    proptest! {
        #[test]
        fn every_piece_lies_in_one_layer_and_the_count_is_kept(
            parts in proptest::collection::vec((0usize..5, 0u64..5_000_000, 0u32..4), 1..200),
            max in 5usize..=60,
        ) {
            let parts: Vec<Part> = parts
                .iter()
                .enumerate()
                .map(|(n, (kind, size, changes))| part(KINDS[*kind], &format!("p{n}"), *size, *changes))
                .collect();
            let groups = plan(&parts, Compression::Gzip, max);
            prop_assert!(groups.len() <= max);
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
