//! An image as a value: manifests by digest, and where each blob's bytes are.
//!
//! Whoever makes an image hands one over; pushing, layouts and archives take it. Manifests are bytes, never
//! parsed and written again: their digest is the image's name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::SeekFrom;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::Stream;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Platform};
use crate::media;
use crate::reference::Reference;

/// Where the bytes of a blob are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// In memory.
    Bytes(Bytes),
    /// In files that make the blob one after the other.
    Files(Vec<PathBuf>),
    /// In this repository of a registry (tag and digest of the reference are not looked at).
    Remote(Reference),
}

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

impl Blob {
    /// The length of what is at hand, in bytes; `None` for what is remote.
    pub async fn len(&self) -> Result<Option<u64>> {
        match self {
            Blob::Bytes(bytes) => Ok(Some(bytes.len() as u64)),
            Blob::Files(files) => {
                let mut sum = 0;
                for path in files {
                    sum += tokio::fs::metadata(path).await.map_err(Error::io(path))?.len();
                }
                Ok(Some(sum))
            }
            Blob::Remote(_) => Ok(None),
        }
    }
}

/// How much of a file is read and sent at a time.
const CHUNK: usize = 256 << 10;

/// The blob's bytes from `offset` on. What is remote gives an error: it has to be fetched before.
pub(crate) fn stream(blob: Blob, offset: u64) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    struct State {
        bytes: Option<Bytes>,
        files: std::vec::IntoIter<PathBuf>,
        open: Option<tokio::fs::File>,
        skip: u64,
        remote: bool,
    }
    let (bytes, files, remote) = match blob {
        Blob::Bytes(bytes) => (Some(bytes), Vec::new(), false),
        Blob::Files(files) => (None, files, false),
        Blob::Remote(_) => (None, Vec::new(), true),
    };
    let state = State { bytes, files: files.into_iter(), open: None, skip: offset, remote };
    futures_util::stream::try_unfold(state, |mut s| async move {
        if s.remote {
            return Err(std::io::Error::other("the blob is in a registry, not here"));
        }
        if let Some(mut bytes) = s.bytes.take() {
            let skip = usize::try_from(s.skip).unwrap_or(usize::MAX).min(bytes.len());
            s.skip = 0;
            let mut chunk = bytes.split_off(skip);
            let rest = chunk.split_off(chunk.len().min(CHUNK));
            s.bytes = Some(rest).filter(|r| !r.is_empty());
            return Ok(Some((chunk, s)).filter(|(chunk, _)| !chunk.is_empty()));
        }
        loop {
            if let Some(file) = &mut s.open {
                let mut chunk = bytes::BytesMut::with_capacity(CHUNK);
                if file.read_buf(&mut chunk).await? > 0 {
                    return Ok(Some((chunk.freeze(), s)));
                }
                s.open = None;
            }
            let Some(path) = s.files.next() else { return Ok(None) };
            let mut file = tokio::fs::File::open(&path).await?;
            file.set_max_buf_size(CHUNK);
            if s.skip > 0 {
                let length = file.metadata().await?.len();
                let skip = s.skip.min(length);
                file.seek(SeekFrom::Start(skip)).await?;
                s.skip -= skip;
            }
            s.open = Some(file);
        }
    })
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    async fn all(blob: &Blob, offset: u64) -> Vec<u8> {
        let chunks: Vec<Bytes> = stream(blob.clone(), offset).try_collect().await.unwrap();
        assert!(chunks.iter().all(|c| !c.is_empty() && c.len() <= CHUNK));
        chunks.concat()
    }

    #[tokio::test]
    async fn streams_from_any_offset() {
        let folder = tempfile::tempdir().unwrap();
        let whole: Vec<u8> = (0..CHUNK * 2 + 77).map(|i| (i % 251) as u8).collect();
        let cuts = [0, 5, 5, CHUNK + 9, whole.len()];
        let files = cuts.windows(2).enumerate().map(|(i, cut)| {
            let path = folder.path().join(i.to_string());
            std::fs::write(&path, &whole[cut[0]..cut[1]]).unwrap();
            path
        });
        let files = Blob::Files(files.collect());
        let bytes = Blob::Bytes(whole.clone().into());
        assert_eq!(files.len().await.unwrap(), Some(whole.len() as u64));
        for offset in [0, 1, 5, 6, CHUNK, CHUNK + 9, whole.len() - 1, whole.len()] {
            assert!(all(&files, offset as u64).await == whole[offset..], "{offset}");
            assert!(all(&bytes, offset as u64).await == whole[offset..], "{offset}");
        }
        assert!(all(&Blob::Bytes(Bytes::new()), 0).await.is_empty());
    }

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
