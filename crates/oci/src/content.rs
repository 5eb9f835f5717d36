//! An image as a value: manifests by digest, and where each blob's bytes are.
//!
//! Whoever makes an image hands one over; pushing, layouts and archives take it. Manifests are bytes, never
//! parsed and written again: their digest is the image's name.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Deserialize;

use crate::blob::Blob;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Platform};
use crate::media;

/// An image, or an index of images, and what refers to it.
#[derive(Clone, Debug)]
pub struct ImageContent {
    /// The index or the manifest that tags will point at.
    pub root: Descriptor,
    /// The root, what it lists, and the referrers: media type and bytes.
    pub manifests: BTreeMap<Digest, (String, Bytes)>,
    /// Configurations and layers.
    pub blobs: BTreeMap<Digest, (Descriptor, Blob)>,
    /// Manifests whose `subject` is one of the others (SBOMs, signatures).
    pub referrers: Vec<Digest>,
}

/// What a manifest or an index points at.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Links {
    /// Of an index.
    pub manifests: Vec<Descriptor>,
    /// Of a manifest.
    pub config: Option<Descriptor>,
    /// Of a manifest.
    pub layers: Vec<Descriptor>,
    /// Of a referrer.
    pub subject: Option<Descriptor>,
    /// Of an artifact.
    pub artifact_type: Option<String>,
    /// Annotations of the manifest itself.
    pub annotations: BTreeMap<String, String>,
}

impl Links {
    /// Reads them from a manifest's bytes. `place` is for the message.
    pub fn read(place: &dyn std::fmt::Display, bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|e| Error::content(place, format!("not a manifest: {e}")))
    }

    /// The configuration and the layers that are kept in registries: what is had from elsewhere (`urls` of
    /// non-distributable layers) is not.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers).filter(|d| !is_foreign(&d.media_type))
    }
}

/// media-types.md, non-distributable layers; Docker calls them foreign.
fn is_foreign(media_type: &str) -> bool {
    media_type.contains("nondistributable") || media_type.contains("foreign")
}

impl ImageContent {
    /// A content of one root manifest or index, without anything else yet.
    pub fn new(root: Descriptor, bytes: Bytes) -> Self {
        let manifests = BTreeMap::from([(root.digest.clone(), (root.media_type.clone(), bytes))]);
        ImageContent { root, manifests, blobs: BTreeMap::new(), referrers: Vec::new() }
    }

    /// Adds a manifest and gives its descriptor.
    pub fn add_manifest(&mut self, media_type: &str, bytes: impl Into<Bytes>) -> Descriptor {
        let bytes = bytes.into();
        let descriptor = Descriptor::of(media_type, &bytes);
        self.manifests.insert(descriptor.digest.clone(), (media_type.to_owned(), bytes));
        descriptor
    }

    /// Adds a blob that is in memory and gives its descriptor.
    pub fn add_bytes(&mut self, media_type: &str, bytes: impl Into<Bytes>) -> Descriptor {
        let bytes = bytes.into();
        let descriptor = Descriptor::of(media_type, &bytes);
        self.add_blob(descriptor.clone(), Blob::Bytes(bytes));
        descriptor
    }

    /// Adds a blob.
    pub fn add_blob(&mut self, descriptor: Descriptor, blob: Blob) {
        self.blobs.insert(descriptor.digest.clone(), (descriptor, blob));
    }

    /// The bytes of a manifest. Fails where the content does not hold it.
    pub fn manifest(&self, digest: &Digest) -> Result<&(String, Bytes)> {
        self.manifests
            .get(digest)
            .ok_or_else(|| Error::content(digest, "the image lists this manifest but does not hold it"))
    }

    /// What the manifest points at.
    pub fn links(&self, digest: &Digest) -> Result<Links> {
        Links::read(digest, &self.manifest(digest)?.1)
    }

    /// A blob. Fails where the content does not hold it.
    pub fn blob(&self, digest: &Digest) -> Result<&(Descriptor, Blob)> {
        self.blobs
            .get(digest)
            .ok_or_else(|| Error::content(digest, "the image lists this blob but does not hold it"))
    }

    /// `from` and the manifests under it, each after what it lists: the order in which a registry takes them.
    pub fn below(&self, from: &Digest) -> Result<Vec<Digest>> {
        let (mut order, mut seen) = (Vec::new(), BTreeSet::new());
        self.visit(from, &mut seen, &mut order)?;
        Ok(order)
    }

    fn visit(&self, at: &Digest, seen: &mut BTreeSet<Digest>, order: &mut Vec<Digest>) -> Result<()> {
        // A digest cannot be part of what it is the digest of, so this ends.
        if seen.insert(at.clone()) {
            for child in self.links(at)?.manifests {
                self.visit(&child.digest, seen, order)?;
            }
            order.push(at.clone());
        }
        Ok(())
    }

    /// The image manifest for `platform`: the root itself where it is no index.
    pub fn image_for(&self, platform: &Platform) -> Result<Digest> {
        if !media::is_index(&self.root.media_type) {
            return Ok(self.root.digest.clone());
        }
        let links = self.links(&self.root.digest)?;
        select(&links.manifests, platform).map(|d| d.digest.clone()).ok_or_else(|| Error::Platform {
            what: self.root.digest.to_string(),
            wanted: platform.to_string(),
            offered: offered(&links.manifests),
        })
    }

    /// Checks that all that is listed is there, and that manifests have their digests.
    pub fn check(&self) -> Result<()> {
        for (digest, (_, bytes)) in &self.manifests {
            let found = Digest::of(digest.algorithm(), bytes);
            if found != *digest {
                return Err(Error::Digest { what: "manifest".to_owned(), expected: digest.clone(), found });
            }
        }
        for top in std::iter::once(&self.root.digest).chain(&self.referrers) {
            for manifest in self.below(top)? {
                for blob in self.links(&manifest)?.blobs() {
                    self.blob(&blob.digest)?;
                }
            }
        }
        Ok(())
    }
}

/// The manifest for `platform`: the same system and architecture, and the same variant where both name one.
pub fn select<'a>(manifests: &'a [Descriptor], platform: &Platform) -> Option<&'a Descriptor> {
    let fits = |p: &Platform| {
        p.os == platform.os
            && p.architecture == platform.architecture
            && (p.variant.is_none() || platform.variant.is_none() || p.variant == platform.variant)
    };
    manifests.iter().find(|d| d.platform.as_ref().is_some_and(fits))
}

pub(crate) fn offered(manifests: &[Descriptor]) -> String {
    let mut list: Vec<String> =
        manifests.iter().filter_map(|d| Some(d.platform.as_ref()?.to_string())).collect();
    list.sort();
    list.dedup();
    if list.is_empty() { "no platform is named".to_owned() } else { list.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn platforms() {
        let one = |text: &str| {
            let mut d = Descriptor::of(media::MANIFEST, text.as_bytes());
            d.platform = Some(text.parse().unwrap());
            d
        };
        let all = [one("linux/amd64"), one("linux/arm64/v8"), one("linux/arm/v6"), one("linux/arm/v7")];
        for (wanted, found) in [
            ("linux/amd64", Some(0)),
            ("linux/arm64", Some(1)),
            ("linux/arm64/v8", Some(1)),
            ("linux/arm/v7", Some(3)),
            ("linux/riscv64", None),
        ] {
            assert_eq!(select(&all, &wanted.parse().unwrap()), found.map(|i: usize| &all[i]), "{wanted}");
        }
        assert_eq!(offered(&all), "linux/amd64, linux/arm/v6, linux/arm/v7, linux/arm64/v8");
    }

    #[test]
    fn children_come_first() {
        let mut content = ImageContent::new(Descriptor::of(media::INDEX, b""), Bytes::new());
        let child = content.add_manifest(media::MANIFEST, r#"{"schemaVersion":2}"#);
        let inner = content.add_manifest(
            media::INDEX,
            format!(r#"{{"manifests":[{}]}}"#, serde_json::to_string(&child).unwrap()),
        );
        let list = [&inner, &child].map(|d| serde_json::to_string(d).unwrap()).join(",");
        content.root = content.add_manifest(media::INDEX, format!(r#"{{"manifests":[{list}]}}"#));
        let order = content.below(&content.root.digest).unwrap();
        assert_eq!(order, [child.digest.clone(), inner.digest, content.root.digest.clone()]);
        content.manifests.remove(&child.digest);
        assert!(content.check().is_err());
    }
}
