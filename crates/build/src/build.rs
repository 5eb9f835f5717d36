//! Building an image: locks → parts → plan → layers → manifests, for every platform in one run.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use perijove_oci::Blob as Content;
use perijove_oci::client::Client;
use perijove_oci::{Descriptor, Digest, ImageConfig, Platform, Reference, media};

use crate::blocking;
use crate::built::{Built, BuiltPlatform, built_layer};
use crate::config::{Base, Config};
use crate::dockerfile::opened::{Opened, OpenedLayer};
use crate::entry::EPOCH;
use crate::image::{self, Facts, PlacedLayer};
use crate::layer::plan::{self, Group};
use crate::layer::write::{Layer, LayerCache};
use crate::locks::{self, Locks};
use crate::materialise::{self, Origins};
use crate::part::{Part, PartKind};
use crate::parts::{Inherited, Parts};
use crate::pending::{Pending, json};
use crate::previous::{Known, Previous};
use crate::{Error, Result};
use crate::{owners, reuse, sbom};

/// The layers that an image may add to `below`, which follow from the locks alone: an image that others stand on
/// leaves a third of what is left to them.
fn room(below: usize, is_parent: bool) -> usize {
    let left = plan::MAX_LAYERS.saturating_sub(below);
    if is_parent { left * 2 / 3 } else { left }
}

/// What a build needs besides the locks.
pub struct Builder {
    /// The image repository.
    pub config: Config,
    /// Where packages come from.
    pub origins: Origins,
    /// Where pieces are kept.
    pub cache: LayerCache,
    /// For bases, previous images and pushes.
    pub client: Client,
    /// `SOURCE_DATE_EPOCH`, seconds.
    pub epoch: Option<u64>,
    /// The commit, for the annotations.
    pub revision: Option<String>,
    /// Run the builder of images from a Dockerfile even where nothing changed here.
    pub rebuild: bool,
    /// Ask registries what the FROM of a Dockerfile names now: another base is another image.
    pub follow_bases: bool,
}

/// One platform's image before it is put into the index.
struct Assembled {
    layers: Vec<PlacedLayer>,
    contents: Vec<(Descriptor, Content)>,
    empty: Vec<String>,
    base: Option<ImageConfig>,
    parts: Vec<Part>,
    /// The lists of what lies in the layers, and where their bytes are.
    lists: Vec<(Descriptor, Content)>,
}

impl Builder {
    /// Builds `name` for `platforms`. `previous` are images whose layers may be used again, the newest first.
    pub async fn build(&self, name: &str, platforms: &[Platform], previous: &[Reference]) -> Result<Built> {
        if let Some(dockerfile) = &self.config.image(name)?.dockerfile {
            return self.build_dockerfile(name, dockerfile, platforms, previous).await;
        }
        let locks = Locks::read(&self.config, name)?;
        let version = locks.version(&self.config, name)?;
        let settings = Inherited::of(&self.config, name)?;
        // A lock that lacks a platform is refused before anything is fetched for another.
        let mut parts = Vec::new();
        for platform in platforms {
            parts.push(self.parts(name, platform).await?);
        }
        let mut assembled = Vec::new();
        for (platform, parts) in platforms.iter().zip(parts) {
            assembled.push((platform.clone(), self.assemble(name, platform, &parts, previous).await?));
        }
        let facts = self.facts(name, &version, assembled.first().and_then(|(_, a)| a.base.as_ref()))?;
        let mut manifests = Vec::new();
        let mut built = Vec::new();
        let mut pending = Pending::default();
        let configs: Vec<ImageConfig> = assembled
            .iter()
            .map(|(platform, image)| {
                image::configuration(platform, image.base.as_ref(), &settings, &image.layers, &facts)
            })
            .collect();
        let key = image::key(assembled.iter().map(|(_, image)| &image.layers[..]).zip(&configs));
        for ((platform, image), config) in assembled.iter().zip(&configs) {
            let config = pending.blob(media::CONFIG, json(config)?);
            let manifest = image::manifest(config, &image.layers, &image.empty, &facts);
            let mut descriptor = pending.manifest(media::MANIFEST, json(&manifest)?);
            let digest = descriptor.digest.clone();
            pending.blobs.extend(image.contents.iter().cloned());
            let parts: Vec<&Part> = image.parts.iter().collect();
            pending.describe(&descriptor, sbom::sbom(&facts, &digest, &parts), &image.lists, &facts)?;
            descriptor.platform = Some(platform.clone());
            manifests.push(descriptor);
            built.push(BuiltPlatform {
                platform: platform.clone(),
                digest,
                layers: image.layers.iter().map(built_layer).collect(),
            });
        }
        let content = pending.into_image(manifests, &key, &facts)?;
        let digest = content.root.digest.clone();
        Ok(Built { name: name.to_owned(), version, digest, key, platforms: built, content })
    }

    pub(crate) fn facts(&self, name: &str, version: &str, base: Option<&ImageConfig>) -> Result<Facts> {
        let image = self.config.image(name)?;
        let lineage = locks::lineage(&self.config, name)?;
        let mut locked = None;
        for (ancestor, _) in &lineage {
            let debs = Locks::read(&self.config, ancestor)?.debs;
            locked = locked.max(debs.and_then(|lock| lock.created()));
        }
        let seconds =
            |s: u64| jiff::Timestamp::from_second(i64::try_from(s).unwrap_or(0)).unwrap_or_default();
        let created = match (self.epoch, locked, base.and_then(|b| b.created.clone())) {
            (Some(epoch), _, _) => seconds(epoch).to_string(),
            (None, Some(locked), _) => locked.to_string(),
            (None, None, Some(base)) => base,
            (None, None, None) => seconds(EPOCH).to_string(),
        };
        let base = match &lineage[0].1.base {
            Some(Base::Image(reference)) => {
                let parsed: Option<Reference> = reference.parse().ok();
                parsed.and_then(|r| Some((r.to_string(), r.digest?.to_string())))
            }
            _ => None,
        };
        Ok(Facts {
            created,
            version: version.to_owned(),
            title: name.to_owned(),
            description: image.description.clone(),
            source: self.config.repository.source.clone(),
            revision: self.revision.clone(),
            base,
        })
    }

    /// The parts of an image on a platform.
    pub async fn parts(&self, name: &str, platform: &Platform) -> Result<Parts> {
        let index = |image: &str| self.origins.index(&self.config.folder(image));
        Parts::read(&self.config, name, platform, index).await
    }

    async fn assemble(
        &self,
        name: &str,
        platform: &Platform,
        parts: &Parts,
        previous: &[Reference],
    ) -> Result<Assembled> {
        let mut done = Assembled {
            layers: Vec::new(),
            contents: Vec::new(),
            empty: Vec::new(),
            base: None,
            parts: parts.all().cloned().collect(),
            lists: Vec::new(),
        };
        self.foreign_base(name, platform, &mut done).await?;
        let mut known: Option<Previous> = None;
        for (image, own) in &parts.by_image {
            let max = room(done.layers.len(), self.config.is_parent(image));
            let groups = plan::plan(own, self.cache.compression(), max);
            self.layers(own, &groups, platform, previous, &mut known, &mut done).await?;
        }
        if done.layers.len() > plan::MAX_LAYERS {
            return Err(Error::Refused {
                reason: format!(
                    "{name} would have {} layers on {platform}, {} at most",
                    done.layers.len(),
                    plan::MAX_LAYERS
                ),
                hint: "its base or its parents have too many: stand on one with fewer".to_owned(),
            });
        }
        self.check_owners(known.as_ref(), &done).await?;
        Ok(done)
    }

    /// Refuses two parts that own one file, wherever the layers come from.
    async fn check_owners(&self, previous: Option<&Previous>, done: &Assembled) -> Result<()> {
        let ours = done.layers.iter().filter_map(|layer| layer.ours.as_ref());
        let (keys, lists): (BTreeSet<Digest>, Vec<Descriptor>) = ours.cloned().unzip();
        let text: Vec<String> = lists.iter().map(|list| list.digest.to_string()).collect();
        let name = Digest::sha256(text.join(" ").as_bytes());
        // Whoever built the previous image has looked already.
        let known =
            previous.is_some_and(|previous| previous.images.iter().any(|image| keys.is_subset(image)));
        if known || self.cache.agreed(&name) {
            return Ok(());
        }
        let wanted = done.lists.iter().map(|(list, content)| match content {
            Content::Remote(repo) => (list.clone(), Some(repo.clone())),
            Content::Bytes(_) | Content::Files(_) => (list.clone(), None),
        });
        let lists = reuse::lists(&self.client, &self.cache, wanted).await?;
        let files: BTreeSet<String> =
            done.parts.iter().filter(|p| p.kind == PartKind::Files).map(|p| p.key.to_string()).collect();
        owners::check(lists.iter().flat_map(|list| &list.pieces), |listed| files.contains(&listed.id))?;
        self.cache.remember_agreed(&name)
    }

    /// Layers and configuration of a base image from a registry.
    async fn foreign_base(&self, name: &str, platform: &Platform, done: &mut Assembled) -> Result<()> {
        let Some(Base::Image(reference)) = &locks::lineage(&self.config, name)?[0].1.base else {
            return Ok(());
        };
        let reference: Reference = reference.parse().map_err(|e| Error::Input {
            place: format!("{}: image.{name}", crate::config::FILE),
            reason: format!("{e}"),
            hint: "say registry/name@sha256:…".to_owned(),
        })?;
        let what = format!("the base {reference}");
        let image = self.client.remote_image(&reference, Some(platform)).await?;
        let base = Opened::of(&what, &image, platform, &self.client).await?;
        for OpenedLayer { descriptor, diff_id, content } in base.layers {
            let Descriptor { digest, size, .. } = descriptor.clone();
            // Annotations stay behind: the base's own tools wrote them.
            let descriptor = Descriptor::new(&descriptor.media_type, digest.clone(), size);
            let blob = crate::layer::piece::Blob { digest, size, diff_id };
            done.contents.push((descriptor.clone(), content));
            let label = format!("base {reference}");
            done.layers.push(PlacedLayer { descriptor, blob, ours: None, label, parts: Vec::new() });
        }
        done.base = Some(base.parsed);
        Ok(())
    }

    /// Each group's layer: from the cache, else from a previous image, else made now.
    async fn layers(
        &self,
        parts: &[Part],
        groups: &[Group],
        platform: &Platform,
        references: &[Reference],
        previous: &mut Option<Previous>,
        done: &mut Assembled,
    ) -> Result<()> {
        let mut made: BTreeMap<usize, Layer> = BTreeMap::new();
        for (at, group) in groups.iter().enumerate() {
            if let Some(layer) = self.cache.made(group) {
                made.insert(at, layer);
            }
        }
        if made.len() < groups.len() && previous.is_none() {
            *previous = Some(Previous::read(&self.client, references, platform).await?);
        }
        let nothing = Previous::default();
        let previous = previous.as_ref().unwrap_or(&nothing);
        let wanted: Vec<usize> = (0..groups.len())
            .filter(|at| !made.contains_key(at))
            .filter(|&at| {
                !previous.layers.contains_key(&groups[at].key) && !previous.empty.contains(&groups[at].key)
            })
            .collect();
        let needed: BTreeSet<usize> =
            wanted.iter().flat_map(|&at| groups[at].units.iter().map(|u| u.part)).collect();
        let needed: Vec<Part> = needed.into_iter().map(|index| parts[index].clone()).collect();
        reuse::restore(&self.client, &self.cache, previous, &needed).await?;
        materialise::materialise(&self.origins, &self.cache, &needed).await?;
        let all = Arc::new(parts.to_vec());
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let work = wanted.into_iter().map(|at| {
            let (cache, parts, group) = (self.cache.clone(), Arc::clone(&all), groups[at].clone());
            async move { Ok::<_, Error>((at, blocking(move || cache.make(&parts, &group)).await?)) }
        });
        let new: Vec<(usize, Layer)> = stream::iter(work).buffer_unordered(cores).try_collect().await?;
        made.extend(new);
        for (at, group) in groups.iter().enumerate() {
            let (descriptor, blob, content, list) = match (made.remove(&at), previous.layers.get(&group.key))
            {
                (Some(Layer::Local(layer)), _) => {
                    let layer = *layer;
                    let (descriptor, content) = layer.content(self.cache.compression());
                    let file = self.cache.contents_path(&layer.contents.digest);
                    (descriptor, layer.blob, content, (layer.contents, Content::Files(vec![file])))
                }
                (None, Some(Known { descriptor, blob, contents, repo, .. })) => {
                    let remote = || Content::Remote(repo.clone());
                    (descriptor.clone(), blob.clone(), remote(), (contents.clone(), remote()))
                }
                (Some(Layer::Empty), _) | (None, None) => {
                    done.empty.push(group.key.to_string());
                    continue;
                }
            };
            let mut names: Vec<String> = group.units.iter().map(|u| parts[u.part].purl.clone()).collect();
            names.dedup();
            done.contents.push((descriptor.clone(), content));
            done.layers.push(PlacedLayer {
                descriptor,
                blob,
                ours: Some((group.key.clone(), list.0.clone())),
                label: group.label.clone(),
                parts: names,
            });
            done.lists.push(list);
        }
        Ok(())
    }
}

/// Docker's layer type in OCI's words: the bytes are the same.
pub(crate) fn oci_layer(media_type: &str) -> String {
    match media_type {
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => media::LAYER_GZIP.to_owned(),
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lineage_keeps_to_the_layers_of_an_image() {
        assert_eq!((room(0, false), room(0, true)), (60, 40));
        // The longest lineage that has room for one layer of each kind in its last image.
        let mut below = 0;
        for _ in 0..3 {
            below += room(below, true);
        }
        assert_eq!((below, room(below, false)), (57, 3));
        assert_eq!(room(59, true), 0);
        assert_eq!(room(75, false), 0);
    }
}
