//! The previous release as the cache: which layers a registry has already, by the keys in its manifests.

use std::collections::{BTreeMap, BTreeSet};

use perijove_oci::client::Client;
use perijove_oci::content::Links;
use perijove_oci::{Descriptor, Digest, ImageConfig, Platform, Reference};

use crate::layer::contents;
use crate::layer::piece::Blob;

/// Annotation of a layer: the key of the pieces in it.
pub const LAYER_KEY: &str = "io.perijove.layer.key";
/// Annotation of a layer: the package URLs of its parts, separated by blanks.
pub const LAYER_PARTS: &str = "io.perijove.layer.parts";
/// Annotation of a layer: digest and size of the list of its contents, separated by a blank.
pub const LAYER_CONTENTS: &str = "io.perijove.layer.contents";
/// Annotation of an index: the digest of all that the image holds and does, without times and commits.
pub const IMAGE_KEY: &str = "io.perijove.image.key";
/// Annotation of a manifest: keys of groups that held no file, separated by blanks.
pub const EMPTY_KEYS: &str = "io.perijove.layer.empty";

/// A layer that a registry has.
#[derive(Clone, Debug)]
pub struct Known {
    /// Its digests and size.
    pub blob: Blob,
    /// Its descriptor without annotations.
    pub descriptor: Descriptor,
    /// The list of what lies in it.
    pub contents: Descriptor,
    /// Package URLs of its parts.
    pub parts: BTreeSet<String>,
    /// The repository that has it.
    pub repo: Reference,
}

/// What previous images of one platform tell.
#[derive(Clone, Debug, Default)]
pub struct Previous {
    /// Layers by key.
    pub layers: BTreeMap<Digest, Known>,
    /// Keys of groups without files.
    pub empty: BTreeSet<Digest>,
    /// The layers' keys of each image.
    pub images: Vec<BTreeSet<Digest>>,
    /// Package URLs of the parts in the first of the images, for the plan.
    pub parts: BTreeSet<String>,
    /// Digests of all layers of the first image: what a node has.
    pub on_node: BTreeSet<Digest>,
    /// The manifest of the first image.
    pub manifest: Option<Digest>,
}

impl Previous {
    /// Reads `references` (the newest first) for `platform`. An image that is not there, is not ours, has lost
    /// its configuration, or has no such platform tells nothing; a registry that does not answer is an error.
    pub async fn read(
        client: &Client,
        references: &[Reference],
        platform: &Platform,
    ) -> Result<Self, perijove_oci::Error> {
        let mut previous = Previous::default();
        for reference in references {
            let image = match client.image(reference, platform).await {
                Ok((image, _)) => image,
                Err(perijove_oci::Error::NotFound { .. } | perijove_oci::Error::Platform { .. }) => continue,
                Err(other) => return Err(other),
            };
            let links = Links::read(reference, &image.bytes)?;
            let Some(config) = &links.config else { continue };
            let ours = links.layers.iter().any(|l| l.annotations.contains_key(LAYER_KEY));
            if previous.manifest.is_none() {
                previous.manifest = Some(image.descriptor.digest.clone());
                previous.on_node = links.layers.iter().map(|l| l.digest.clone()).collect();
                previous.parts = links.layers.iter().flat_map(parts).map(str::to_owned).collect();
            }
            if !ours {
                continue;
            }
            let bytes = match client.blob_bytes(reference, config, MAX_CONFIG).await {
                Ok(bytes) => bytes,
                Err(perijove_oci::Error::NotFound { .. }) => continue,
                Err(other) => return Err(other),
            };
            let Ok(config) = serde_json::from_slice::<ImageConfig>(&bytes) else { continue };
            if config.rootfs.diff_ids.len() != links.layers.len() {
                continue;
            }
            let mut keys = BTreeSet::new();
            for (layer, diff_id) in links.layers.iter().zip(&config.rootfs.diff_ids) {
                let Some((key, contents)) = key_and_contents(layer) else { continue };
                keys.insert(key.clone());
                let blob = Blob { digest: layer.digest.clone(), size: layer.size, diff_id: diff_id.clone() };
                let descriptor = Descriptor::new(&layer.media_type, layer.digest.clone(), layer.size);
                let parts = parts(layer).map(str::to_owned).collect();
                let known = Known { blob, descriptor, contents, parts, repo: reference.clone() };
                previous.layers.entry(key).or_insert(known);
            }
            previous.images.push(keys);
            let empty = links.annotations.get(EMPTY_KEYS).map_or("", String::as_str);
            previous.empty.extend(empty.split(' ').filter_map(|k| k.parse().ok()));
        }
        Ok(previous)
    }
}

pub(crate) fn parts(layer: &Descriptor) -> impl Iterator<Item = &str> {
    layer.annotations.get(LAYER_PARTS).into_iter().flat_map(|parts| parts.split(' '))
}

/// The key of a layer and its list of contents; `None` for a layer that is not ours.
pub(crate) fn key_and_contents(layer: &Descriptor) -> Option<(Digest, Descriptor)> {
    let key = layer.annotations.get(LAYER_KEY)?.parse().ok()?;
    let (digest, size) = layer.annotations.get(LAYER_CONTENTS)?.split_once(' ')?;
    let list = Descriptor::new(contents::MEDIA_TYPE, digest.parse().ok()?, size.parse().ok()?);
    Some((key, list))
}

/// Configurations are a few kilobytes.
const MAX_CONFIG: u64 = 4 << 20;
