//! What an image's content is put together of: manifests, blobs and what refers to them.

use std::path::PathBuf;

use perijove_oci::content::ImageContent;
use perijove_oci::{Blob as Content, Descriptor, Digest, Index, media};
use serde::Serialize;

use crate::image::{self, Facts};
use crate::layer::contents;
use crate::previous::IMAGE_KEY;
use crate::{Error, Result, sbom};

/// An image to be.
#[derive(Default)]
pub(crate) struct Pending {
    manifests: Vec<(String, Vec<u8>)>,
    pub(crate) blobs: Vec<(Descriptor, Content)>,
    referrers: Vec<Digest>,
}

impl Pending {
    pub(crate) fn blob(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        self.blobs.push((descriptor.clone(), Content::Bytes(bytes.into())));
        descriptor
    }

    pub(crate) fn manifest(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        self.manifests.push((media_type.to_owned(), bytes));
        descriptor
    }

    /// Attaches an SBOM and the lists of what lies in layers to the manifest `subject`.
    pub(crate) fn describe(
        &mut self,
        subject: &Descriptor,
        sbom: Vec<u8>,
        of_layers: &[(Descriptor, Content)],
        facts: &Facts,
    ) -> Result<()> {
        let sbom = self.blob(sbom::MEDIA_TYPE, sbom);
        self.attach(subject, sbom::MEDIA_TYPE, vec![sbom], facts)?;
        self.blobs.extend(of_layers.iter().cloned());
        let mut lists: Vec<Descriptor> = of_layers.iter().map(|(list, _)| list.clone()).collect();
        lists.sort_by(|a, b| a.digest.cmp(&b.digest));
        lists.dedup();
        if lists.is_empty() { Ok(()) } else { self.attach(subject, contents::MEDIA_TYPE, lists, facts) }
    }

    /// An artifact that refers to `subject`.
    fn attach(
        &mut self,
        subject: &Descriptor,
        artifact_type: &str,
        blobs: Vec<Descriptor>,
        facts: &Facts,
    ) -> Result<()> {
        let empty = self.blob(media::EMPTY, b"{}".to_vec());
        let manifest = image::attached(subject.clone(), artifact_type, empty, blobs, facts);
        let attached = self.manifest(media::MANIFEST, json(&manifest)?);
        self.referrers.push(attached.digest);
        Ok(())
    }

    /// The index over `manifests`, with all that was put in.
    pub(crate) fn into_image(
        self,
        manifests: Vec<Descriptor>,
        key: &Digest,
        facts: &Facts,
    ) -> Result<ImageContent> {
        let mut annotations = facts.annotations();
        annotations.insert(IMAGE_KEY.to_owned(), key.to_string());
        let index = json(&Index::new(manifests, annotations))?;
        let mut content = ImageContent::new(Descriptor::of(media::INDEX, &index), index.into());
        for (media_type, bytes) in self.manifests {
            content.add_manifest(&media_type, bytes);
        }
        for (descriptor, blob) in self.blobs {
            content.add_blob(descriptor, blob);
        }
        content.referrers.extend(self.referrers);
        Ok(content)
    }
}

pub(crate) fn json<T: Serialize>(value: &T) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::Io { path: PathBuf::from("manifest"), source: e.into() })
}
