//! What registries have of an image: tags, the newest builds, and what a build holds.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, TryStreamExt, stream};
use perijove_build::previous::{IMAGE_KEY, LAYER_PARTS};
use perijove_oci::client::Client;
use perijove_oci::content::Links;
use perijove_oci::{Descriptor, Error as Registry, Platform, Reference, media};
use serde::Deserialize;

use crate::Result;
use crate::compare::{Content, Layer, Snapshot};
use crate::plan::{self, Build, Candidate, State};

/// Annotations of the commit and of the base (OCI image specification, annotations.md).
const REVISION: &str = "org.opencontainers.image.revision";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// How many of the newest builds of a version are looked at: a commit is found again while not more came after it.
const LOOKED_AT: usize = 8;

/// Requests to one repository at a time.
const ABREAST: usize = 8;

/// The largest SBOM that is read.
const MAX_SBOM: u64 = 32 << 20;

/// The tags of a repository and the newest builds of the candidate's version.
pub async fn state(client: &Client, repo: &Reference, candidate: &Candidate) -> Result<State> {
    let tags = client.tags(repo).await?;
    let newest = plan::newest_builds(&candidate.version, tags.iter().map(String::as_str), LOOKED_AT);
    let reads = newest.into_iter().map(|tag| async move {
        let reference = repo.with_tag(tag);
        // A tag that was deleted after the list was read is not there.
        let Some(found) = client.manifest(&reference).await? else { return Ok(None) };
        let annotations = Links::read(&reference, &found.bytes)?.annotations;
        Ok::<_, crate::Error>(Some(Build {
            tag: tag.to_owned(),
            digest: found.descriptor.digest,
            key: annotations.get(IMAGE_KEY).and_then(|key| key.parse().ok()),
            revision: annotations.get(REVISION).cloned(),
            base: annotations.get(BASE_DIGEST).cloned(),
        }))
    });
    let builds: Vec<Option<Build>> = stream::iter(reads).buffered(ABREAST).try_collect().await?;
    let builds = builds.into_iter().flatten().collect();
    Ok(State { tags, builds })
}

/// What a released image holds on each of `platforms` that it has; `None` where it is not there.
pub async fn snapshot(
    client: &Client,
    reference: &Reference,
    platforms: &[Platform],
) -> Result<Option<Snapshot>> {
    let mut found = BTreeMap::new();
    for platform in platforms {
        let image = match client.image(reference, platform).await {
            Ok((image, _)) => image,
            Err(Registry::NotFound { .. }) => return Ok(None),
            Err(Registry::Platform { .. }) => continue,
            Err(other) => return Err(other.into()),
        };
        let links = Links::read(reference, &image.bytes)?;
        let named = links.layers.iter().filter_map(|layer| layer.annotations.get(LAYER_PARTS));
        let mut packages: BTreeSet<String> =
            named.flat_map(|parts| parts.split(' ')).map(str::to_owned).collect();
        if packages.is_empty() {
            packages = from_sbom(client, reference, &image.descriptor).await?;
        }
        let layer = |layer: &Descriptor| Layer {
            digest: layer.digest.clone(),
            size_bytes: layer.size,
            label: String::new(),
        };
        let layers = links.layers.iter().map(layer).collect();
        let content = Content { digest: image.descriptor.digest, layers, packages };
        found.insert(platform.to_string(), content);
    }
    Ok(Some(Snapshot { platforms: found }))
}

/// Package URLs in the SBOM that refers to `manifest` (CycloneDX), for images whose layers name no packages. One
/// that cannot be read tells nothing.
async fn from_sbom(client: &Client, repo: &Reference, manifest: &Descriptor) -> Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Bom {
        #[serde(default)]
        components: Vec<Component>,
    }
    #[derive(Deserialize)]
    struct Component {
        purl: Option<String>,
    }
    let mut packages = BTreeSet::new();
    for referrer in client.referrers(repo, &manifest.digest, Some(media::CYCLONEDX)).await? {
        let Some(artifact) = client.manifest(&repo.with_digest(&referrer.digest)).await? else { continue };
        for blob in Links::read(repo, &artifact.bytes)?.layers {
            let bytes = client.blob_bytes(repo, &blob, MAX_SBOM).await?;
            let Ok(bom) = serde_json::from_slice::<Bom>(&bytes) else { continue };
            packages.extend(bom.components.into_iter().filter_map(|component| component.purl));
        }
    }
    Ok(packages)
}
