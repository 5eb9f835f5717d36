//! An image in an OCI image layout on disk (image-layout.md): finds the manifest of one platform, its
//! configuration and its layers. Every JSON blob is bounded and checked against its digest.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use perijove_oci::{Digest, ImageConfig, Index, Manifest, Platform, media};

use crate::error::Error;

/// The most that a manifest, an index or a configuration may hold: the distribution specification asks
/// registries to take 4 MiB.
const JSON_LIMIT: u64 = 4 << 20;

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSource {
    /// The image layout's folder: it holds `blobs/`.
    pub layout: PathBuf,
    /// Digest of the image's manifest or index.
    pub manifest: Digest,
    /// `127.0.0.1:5000/jupyterhub/demo@sha256:…`, where a registry serves the same manifest: docker and
    /// podman pull from there instead of loading an archive.
    pub registry_reference: Option<String>,
}

/// One platform's image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The layout's folder.
    pub layout: PathBuf,
    /// Digest of the platform's manifest.
    pub digest: Digest,
    /// The manifest.
    pub manifest: Manifest,
    /// The configuration.
    pub config: ImageConfig,
}

impl ImageSource {
    /// Reads manifest and configuration, for `platform` where the digest names an index.
    ///
    /// # Errors
    /// [`Error::Image`] when a blob is missing, too long, not what its digest says or not what the
    /// specification asks for; [`Error::NoPlatform`] when the index has no image for `platform`.
    pub fn open(&self, platform: &Platform) -> Result<Image, Error> {
        let mut digest = self.manifest.clone();
        let mut bytes = read_json(&self.layout, &digest)?;
        if let Some(index) = as_index(&bytes) {
            let found = choose(&index, platform).ok_or_else(|| Error::NoPlatform {
                wanted: platform.to_string(),
                have: index
                    .manifests
                    .iter()
                    .filter_map(|m| m.platform.as_ref())
                    .map(ToString::to_string)
                    .collect(),
            })?;
            digest = found;
            bytes = read_json(&self.layout, &digest)?;
        }
        let manifest: Manifest = parse(&bytes, &digest, "image manifest")?;
        let config: ImageConfig = parse(
            &read_json(&self.layout, &manifest.config.digest)?,
            &manifest.config.digest,
            "image configuration",
        )?;
        if config.rootfs.diff_ids.len() != manifest.layers.len() {
            return Err(Error::Image {
                place: digest.to_string(),
                reason: format!(
                    "{} layers in the manifest, {} diff_ids in the configuration",
                    manifest.layers.len(),
                    config.rootfs.diff_ids.len()
                ),
            });
        }
        Ok(Image { layout: self.layout.clone(), digest, manifest, config })
    }
}

impl Image {
    /// The platform that the configuration names.
    pub fn platform(&self) -> Platform {
        Platform {
            architecture: self.config.architecture.clone(),
            os: self.config.os.clone(),
            variant: self.config.variant.clone(),
        }
    }

    /// Whether this machine's processor runs the image's programs.
    pub fn runs_here(&self) -> bool {
        let host = Platform::host();
        self.config.os == host.os && self.config.architecture == host.architecture
    }
}

/// Path of a blob (image-layout.md, Blobs). A checked [`Digest`] has no separators in it.
pub fn blob_path(layout: &Path, digest: &Digest) -> PathBuf {
    layout.join("blobs").join(digest.algorithm().name()).join(digest.hex())
}

fn read_json(layout: &Path, digest: &Digest) -> Result<Vec<u8>, Error> {
    let path = blob_path(layout, digest);
    let error = |reason: String| Error::Image { place: path.display().to_string(), reason };
    let file = File::open(&path).map_err(|e| error(e.to_string()))?;
    let mut bytes = Vec::new();
    file.take(JSON_LIMIT + 1).read_to_end(&mut bytes).map_err(|e| error(e.to_string()))?;
    if bytes.len() as u64 > JSON_LIMIT {
        return Err(error(format!("longer than {JSON_LIMIT} bytes")));
    }
    if Digest::of(digest.algorithm(), &bytes) != *digest {
        return Err(error("the content does not match its digest".to_owned()));
    }
    Ok(bytes)
}

fn as_index(bytes: &[u8]) -> Option<Index> {
    // An index and a manifest differ by `manifests` alone where no media type is given.
    let index: Index = serde_json::from_slice(bytes).ok()?;
    (index.media_type.as_deref().is_none_or(media::is_index)).then_some(index)
}

fn choose(index: &Index, platform: &Platform) -> Option<Digest> {
    let fits = |have: &Platform| {
        have.os == platform.os
            && have.architecture == platform.architecture
            && (platform.variant.is_none() || have.variant == platform.variant)
    };
    index.manifests.iter().find(|m| m.platform.as_ref().is_some_and(fits)).map(|m| m.digest.clone())
}

fn parse<T: serde::de::DeserializeOwned>(bytes: &[u8], digest: &Digest, what: &str) -> Result<T, Error> {
    serde_json::from_slice(bytes)
        .map_err(|e| Error::Image { place: digest.to_string(), reason: format!("not an {what}: {e}") })
}
