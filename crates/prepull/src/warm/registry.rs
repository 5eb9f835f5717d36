//! What the registries say an image is: its digests and the bytes of its layers, for each platform of the cluster.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};
use perijove_oci::client::Client;
use perijove_oci::manifest::{Manifest, Platform};
use perijove_oci::reference::Reference;

use super::plan::Contents;

/// Requests to registries at a time.
const AT_ONCE: usize = 8;
/// Older images that are looked up to see which layers nodes have.
const OLDER: usize = 200;

/// The contents of each of `images` for each of `platforms`, and why others are not known. An image that is not made
/// for a platform has none for it.
pub async fn contents(
    client: &Client,
    images: &[Reference],
    platforms: &BTreeSet<String>,
) -> Vec<Result<BTreeMap<String, Contents>, String>> {
    let one = |reference: Reference| async move {
        let mut found = BTreeMap::new();
        for platform in platforms {
            let Ok(wanted) = platform.parse::<Platform>() else { continue };
            match client.image(&reference, &wanted).await {
                Ok((image, index)) => {
                    let digests = index.iter().chain([&image]).map(|one| one.descriptor.digest.to_string());
                    let contents =
                        read(digests.collect(), &image.bytes).map_err(|e| format!("{reference}: {e}"))?;
                    found.insert(platform.clone(), contents);
                }
                Err(perijove_oci::Error::Platform { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(found)
    };
    stream::iter(images.iter().cloned().map(one)).buffered(AT_ONCE).collect().await
}

/// The contents of images that nodes have, of the repositories that images are wanted from: their layers are likely
/// to be shared. `names` are `registry/repository@digest`; what cannot be had is left out.
///
/// A name may be an index: then the layers of all `platforms` count, of which a node has those of its own.
pub async fn older(
    client: &Client,
    names: &BTreeSet<String>,
    platforms: &BTreeSet<String>,
) -> BTreeMap<String, Contents> {
    let one = |name: String| async move {
        let reference: Reference = name.parse().ok()?;
        let mut all = Contents::default();
        for platform in platforms.iter().filter_map(|platform| platform.parse::<Platform>().ok()) {
            if let Ok((image, _)) = client.image(&reference, &platform).await {
                all.blobs.extend(read(Vec::new(), &image.bytes).ok()?.blobs);
            }
        }
        Some((name, all))
    };
    let names = names.iter().take(OLDER).cloned();
    let found: Vec<Option<(String, Contents)>> =
        stream::iter(names.map(one)).buffer_unordered(AT_ONCE).collect().await;
    found.into_iter().flatten().collect()
}

fn read(digests: Vec<String>, manifest: &[u8]) -> Result<Contents, serde_json::Error> {
    let manifest: Manifest = serde_json::from_slice(manifest)?;
    let blobs = manifest.layers.iter().chain([&manifest.config]);
    Ok(Contents { digests, blobs: blobs.map(|blob| (blob.digest.to_string(), blob.size)).collect() })
}
