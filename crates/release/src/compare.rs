//! What a new build changes for those who have the previous one: packages, layers, bytes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use perijove_oci::Digest;
use serde::{Deserialize, Serialize};

/// An image as a node sees it: its layers by platform (`linux/amd64`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// One entry a platform.
    pub platforms: BTreeMap<String, Content>,
}

/// One platform's image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Digest of its manifest.
    pub digest: Digest,
    /// Base first.
    pub layers: Vec<Layer>,
    /// Package URLs of all that is known to be in it.
    pub packages: BTreeSet<String>,
}

/// One layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Compressed bytes.
    pub size_bytes: u64,
    /// For people.
    pub label: String,
}

/// What a new build changes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Packages that came, went or have another version, by kind and name.
    pub packages: Vec<Package>,
    /// One entry a platform.
    pub platforms: Vec<PlatformChange>,
}

/// A package that changed. Where an image has several versions of one (npm), they are listed with commas.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Whose package it is.
    pub kind: Kind,
    /// As its ecosystem writes it.
    pub name: String,
    /// None for one that came.
    pub old: Option<String>,
    /// None for one that went.
    pub new: Option<String>,
    /// The new version is from Debian's security archive.
    pub security: bool,
}

/// Kinds of packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Debian.
    Deb,
    /// A Python wheel.
    Python,
    /// npm.
    Npm,
}

impl Kind {
    /// As JSON writes it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Deb => "deb",
            Kind::Python => "python",
            Kind::Npm => "npm",
        }
    }
}

/// One platform of a new build, beside the previous one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlatformChange {
    /// `linux/amd64`.
    pub platform: String,
    /// Digest of the new manifest.
    pub digest: Digest,
    /// All layers, compressed.
    pub size_bytes: u64,
    /// The layers that a node with the previous build does not have.
    pub pull_bytes: u64,
    /// Base first.
    pub layers: Vec<LayerChange>,
}

/// One layer of a new build.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerChange {
    /// Its digest.
    pub digest: Digest,
    /// Compressed bytes.
    pub size_bytes: u64,
    /// For people.
    pub label: String,
    /// Whether a node with the previous build has to pull it.
    pub moves: bool,
}

impl PlatformChange {
    /// How many layers move, of how many.
    pub fn moving(&self) -> (usize, usize) {
        (self.layers.iter().filter(|layer| layer.moves).count(), self.layers.len())
    }
}

/// Compares the new build with the previous one, where there is one. `security` holds name and version of each
/// Debian package from the security archive.
pub fn compare(old: Option<&Snapshot>, new: &Snapshot, security: &BTreeSet<(String, String)>) -> Change {
    let nothing = Snapshot::default();
    let old = old.unwrap_or(&nothing);
    let platforms = new.platforms.iter().map(|(platform, content)| {
        let old = old.platforms.get(platform);
        let had: BTreeSet<&Digest> = old.iter().flat_map(|old| &old.layers).map(|l| &l.digest).collect();
        // A layer that an image has twice is pulled once.
        let mut seen = BTreeSet::new();
        let (mut size_bytes, mut pull_bytes) = (0, 0);
        let layers = content.layers.iter().map(|layer| {
            let moves = !had.contains(&layer.digest);
            if seen.insert(&layer.digest) {
                size_bytes += layer.size_bytes;
                pull_bytes += if moves { layer.size_bytes } else { 0 };
            }
            let Layer { digest, size_bytes, label } = layer.clone();
            LayerChange { digest, size_bytes, label, moves }
        });
        let layers = layers.collect();
        PlatformChange {
            platform: platform.clone(),
            digest: content.digest.clone(),
            size_bytes,
            pull_bytes,
            layers,
        }
    });
    let platforms = platforms.collect();
    // A platform that only one of the two has says nothing about packages.
    let common = |snapshot: &Snapshot, other: &Snapshot| {
        let both = snapshot
            .platforms
            .iter()
            .filter(|(p, _)| other.platforms.is_empty() || other.platforms.contains_key(*p));
        versions(both.flat_map(|(_, content)| &content.packages))
    };
    Change { packages: packages(&common(old, new), &common(new, old), security), platforms }
}

type Versions = BTreeMap<(Kind, String), BTreeSet<String>>;

fn packages(old: &Versions, new: &Versions, security: &BTreeSet<(String, String)>) -> Vec<Package> {
    let all: BTreeSet<&(Kind, String)> = old.keys().chain(new.keys()).collect();
    let changed = all.into_iter().filter(|key| old.get(*key) != new.get(*key));
    let text = |versions: Option<&BTreeSet<String>>| {
        versions.map(|versions| versions.iter().cloned().collect::<Vec<_>>().join(", "))
    };
    let one = |key: &(Kind, String)| {
        let (kind, name) = key.clone();
        let fresh = new.get(key).into_iter().flatten();
        let security = kind == Kind::Deb && fresh.cloned().any(|v| security.contains(&(name.clone(), v)));
        Package { kind, name, old: text(old.get(key)), new: text(new.get(key)), security }
    };
    changed.map(one).collect()
}

fn versions<'a>(purls: impl Iterator<Item = &'a String>) -> Versions {
    let mut all = Versions::new();
    for (kind, name, version) in purls.filter_map(|purl| read_purl(purl)) {
        all.entry((kind, name)).or_default().insert(version);
    }
    all
}

/// Kind, name and version of a package URL (purl specification): `pkg:npm/%40jupyterlab/services@7.4.1`. `None`
/// for what is no package, as an image's own files.
fn read_purl(purl: &str) -> Option<(Kind, String, String)> {
    let (kind, rest) = purl.strip_prefix("pkg:")?.split_once('/')?;
    let (name, version) = rest.split(['?', '#']).next()?.rsplit_once('@')?;
    let kind = match kind {
        "deb" => Kind::Deb,
        "pypi" => Kind::Python,
        "npm" => Kind::Npm,
        _ => return None,
    };
    // Debian's namespace is the distribution; npm's is part of the name.
    let name = if kind == Kind::Deb { name.rsplit('/').next()? } else { name };
    // What is printed stays on its line, whoever wrote it.
    let printable = |text: &str| decode(text).replace(char::is_control, " ");
    Some((kind, printable(name), printable(version)))
}

/// Percent-decoding; what is no escape stays.
fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped = (*first == b'%').then(|| behind.get(..2)).flatten();
        let escaped = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &behind[2..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Layers as `a=10 b=20`, packages as purls without `pkg:`.
    fn snapshot(platform: &str, layers: &str, packages: &str) -> Snapshot {
        let layer = |text: &str| {
            let (mark, size) = text.split_once('=').unwrap();
            Layer {
                digest: Digest::sha256(mark.as_bytes()),
                size_bytes: size.parse().unwrap(),
                label: mark.to_owned(),
            }
        };
        let content = Content {
            digest: Digest::sha256(layers.as_bytes()),
            layers: layers.split_whitespace().map(layer).collect(),
            packages: packages.split_whitespace().map(|p| format!("pkg:{p}")).collect(),
        };
        Snapshot { platforms: BTreeMap::from([(platform.to_owned(), content)]) }
    }

    #[test]
    fn layers_that_nodes_lack_are_pulled() {
        let old = snapshot("linux/amd64", "a=10 b=20 c=30", "");
        let new = snapshot("linux/amd64", "a=10 d=40 c=30 d=40", "");
        let change = compare(Some(&old), &new, &BTreeSet::new());
        let platform = &change.platforms[0];
        assert_eq!((platform.size_bytes, platform.pull_bytes, platform.moving()), (80, 40, (2, 4)));
        let first = compare(None, &new, &BTreeSet::new());
        assert_eq!((first.platforms[0].pull_bytes, first.platforms[0].moving()), (80, (4, 4)));
        let other = snapshot("linux/arm64", "a=10", "");
        assert_eq!(compare(Some(&other), &new, &BTreeSet::new()).platforms[0].pull_bytes, 80);
    }

    #[test]
    fn packages_by_kind_and_name() {
        let old = "pypi/jupyterhub@5.3.0 deb/debian/libssl3t64@3.5.1-1?arch=amd64 npm/ws@7.1.0 npm/ws@8.1.0 \
                   pypi/gone@1.0 deb/debian/tini@0.19.0-1?arch=amd64 generic/hub-files@aa";
        let new = "pypi/jupyterhub@5.4.0 deb/debian/libssl3t64@3.5.1-1%2Bdeb13u1?arch=amd64 npm/ws@8.1.0 \
                   npm/%40jupyterlab/services@7.4.1 deb/debian/tini@0.19.0-1?arch=amd64 generic/hub-files@bb";
        let security = BTreeSet::from([("libssl3t64".to_owned(), "3.5.1-1+deb13u1".to_owned())]);
        let (old, new) = (snapshot("linux/amd64", "", old), snapshot("linux/amd64", "", new));
        let shown: Vec<String> = compare(Some(&old), &new, &security)
            .packages
            .iter()
            .map(|p| {
                let version = |v: &Option<String>| v.clone().unwrap_or("-".into());
                let mark = if p.security { " security" } else { "" };
                format!("{} {} {} > {}{mark}", p.kind.name(), p.name, version(&p.old), version(&p.new))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "deb libssl3t64 3.5.1-1 > 3.5.1-1+deb13u1 security",
                "python gone 1.0 > -",
                "python jupyterhub 5.3.0 > 5.4.0",
                "npm @jupyterlab/services - > 7.4.1",
                "npm ws 7.1.0, 8.1.0 > 8.1.0",
            ]
        );
        assert!(compare(Some(&new), &new, &security).packages.is_empty());
    }

    #[test]
    fn a_new_platform_is_no_change_of_packages() {
        let old = snapshot("linux/amd64", "", "pypi/a@1");
        let mut new = old.clone();
        new.platforms.extend(snapshot("linux/arm64", "", "pypi/a@1 pypi/b@1").platforms);
        assert!(compare(Some(&old), &new, &BTreeSet::new()).packages.is_empty());
    }

    /// Names and versions of a build in a registry are whatever its maker wrote: they go to terminals and to the logs of
    /// pipelines, where a line that begins with `::` is a command.
    #[test]
    fn no_escape_leaves_its_line() {
        for (purl, name, version) in [
            ("pkg:deb/debian/a%0A::stop-commands::x@1", "a ::stop-commands::x", "1"),
            ("pkg:pypi/a%1B%5D0;b%07@1%C2%9B31m", "a ]0;b ", "1 31m"),
            ("pkg:npm/a\u{1b}[31m@1\r\n2", "a [31m", "1  2"),
        ] {
            let (_, found, its_version) = read_purl(purl).unwrap();
            assert_eq!((found.as_str(), its_version.as_str()), (name, version), "{purl}");
        }
    }

    #[test]
    fn escapes_are_read_back() {
        for (text, plain) in [("a%2Bb", "a+b"), ("%zz%4", "%zz%4"), ("1%3A2", "1:2"), ("", "")] {
            assert_eq!(decode(text), plain);
        }
    }
}
