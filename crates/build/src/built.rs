//! What a build gives: an image's digests, its platforms and layers, as the result on stdout has them.

use perijove_oci::content::ImageContent;
use perijove_oci::{Digest, Platform};
use serde::Serialize;

use crate::image::PlacedLayer;

/// A built image.
#[derive(Clone, Debug, Serialize)]
pub struct Built {
    /// Its name in `perijove.toml`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Digest of the index.
    pub digest: Digest,
    /// Digest of all that the image holds and does, without times and commits.
    #[serde(skip)]
    pub key: Digest,
    /// One entry a platform.
    pub platforms: Vec<BuiltPlatform>,
    /// All manifests and where the blobs are.
    #[serde(skip)]
    pub content: ImageContent,
}

/// One platform of a built image.
#[derive(Clone, Debug, Serialize)]
pub struct BuiltPlatform {
    /// `linux/amd64`.
    #[serde(serialize_with = "as_text")]
    pub platform: Platform,
    /// Digest of the manifest.
    pub digest: Digest,
    /// Base first.
    pub layers: Vec<BuiltLayer>,
}

/// One layer of a built image.
#[derive(Clone, Debug, Serialize)]
pub struct BuiltLayer {
    /// Digest of the compressed layer.
    pub digest: Digest,
    /// Compressed bytes.
    pub size_bytes: u64,
    /// For people.
    pub label: String,
    /// Package URLs of its parts.
    pub parts: Vec<String>,
}

fn as_text<S: serde::Serializer>(value: &Platform, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

pub(crate) fn built_layer(layer: &PlacedLayer) -> BuiltLayer {
    BuiltLayer {
        digest: layer.blob.digest.clone(),
        size_bytes: layer.blob.size,
        label: layer.label.clone(),
        parts: layer.parts.clone(),
    }
}
