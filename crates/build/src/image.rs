//! The image's configuration, manifest and annotations: pure functions of layers and settings.

use std::collections::BTreeMap;

use perijove_oci::{Config, Descriptor, Digest, History, ImageConfig, Manifest, Platform, RootFs};

use crate::layer::piece::Blob;
use crate::parts::Inherited;
use crate::previous::{EMPTY_KEYS, LAYER_CONTENTS, LAYER_KEY, LAYER_PARTS};

/// One layer of an image as it will stand in the manifest.
#[derive(Clone, Debug)]
pub struct PlacedLayer {
    /// Descriptor without annotations.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub blob: Blob,
    /// Key of its pieces and the list of its contents; none for layers of a foreign base.
    pub ours: Option<(Digest, Descriptor)>,
    /// For people: `pypi sqlalchemy native`.
    pub label: String,
    /// Package URLs of its parts.
    pub parts: Vec<String>,
}

/// What the annotations say (OCI image specification, annotations.md).
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// RFC 3339.
    pub created: String,
    /// The image's version.
    pub version: String,
    /// The image's name.
    pub title: String,
    /// One line.
    pub description: Option<String>,
    /// Where the source is.
    pub source: Option<String>,
    /// Its commit.
    pub revision: Option<String>,
    /// Reference and digest of the base image.
    pub base: Option<(String, String)>,
}

impl Facts {
    /// As annotations of manifest and index.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let mut put = |name: &str, value: Option<&String>| {
            if let Some(value) = value {
                all.insert(format!("org.opencontainers.image.{name}"), value.clone());
            }
        };
        put("created", Some(&self.created));
        put("version", Some(&self.version));
        put("title", Some(&self.title));
        put("description", self.description.as_ref());
        put("source", self.source.as_ref());
        put("revision", self.revision.as_ref());
        put("base.name", self.base.as_ref().map(|b| &b.0));
        put("base.digest", self.base.as_ref().map(|b| &b.1));
        all
    }
}

/// The image configuration: the base's, with the settings on top.
pub fn configuration(
    platform: &Platform,
    base: Option<&ImageConfig>,
    settings: &Inherited,
    layers: &[PlacedLayer],
    facts: &Facts,
) -> ImageConfig {
    let mut config = base.map(|b| b.config.clone()).unwrap_or_default();
    let Config { user, env, entrypoint, cmd, working_dir, exposed_ports, labels, .. } = &mut config;
    if settings.user.is_some() {
        user.clone_from(&settings.user);
    }
    for (name, value) in &settings.env {
        env.retain(|line| line.split('=').next() != Some(name.as_str()));
        env.push(format!("{name}={value}"));
    }
    if settings.entrypoint.is_some() {
        entrypoint.clone_from(&settings.entrypoint);
        *cmd = None;
    }
    if settings.command.is_some() {
        cmd.clone_from(&settings.command);
    }
    if settings.workdir.is_some() {
        working_dir.clone_from(&settings.workdir);
    }
    for port in &settings.ports {
        let port = if port.contains('/') { port.clone() } else { format!("{port}/tcp") };
        exposed_ports.insert(port, serde_json::Map::new());
    }
    labels.extend(settings.labels.clone());
    // The base's own history may count differently from its layers, so ours tells of all layers itself.
    let history = layers.iter().map(|layer| History {
        created: Some(facts.created.clone()),
        created_by: Some(format!("perijove: {}", layer.label)),
        ..History::default()
    });
    ImageConfig {
        created: Some(facts.created.clone()),
        architecture: platform.architecture.clone(),
        os: platform.os.clone(),
        variant: platform.variant.clone(),
        config,
        rootfs: RootFs {
            kind: "layers".to_owned(),
            diff_ids: layers.iter().map(|l| l.blob.diff_id.clone()).collect(),
        },
        history: history.collect(),
    }
}

/// The image manifest. `empty` are the keys of groups that held no file.
pub fn manifest(config: Descriptor, layers: &[PlacedLayer], empty: &[String], facts: &Facts) -> Manifest {
    let layers = layers.iter().map(|layer| {
        let mut descriptor = layer.descriptor.clone();
        if let Some((key, list)) = &layer.ours {
            descriptor.annotations.insert(LAYER_KEY.to_owned(), key.to_string());
            descriptor
                .annotations
                .insert(LAYER_CONTENTS.to_owned(), format!("{} {}", list.digest, list.size));
            descriptor.annotations.insert(LAYER_PARTS.to_owned(), layer.parts.join(" "));
        }
        descriptor
    });
    let mut annotations = facts.annotations();
    if !empty.is_empty() {
        annotations.insert(EMPTY_KEYS.to_owned(), empty.join(" "));
    }
    Manifest::image(config, layers.collect(), annotations)
}

/// The digest of all that an image holds and does: layers and settings of each platform, without times and commits.
pub fn key<'a>(platforms: impl Iterator<Item = (&'a [PlacedLayer], &'a ImageConfig)>) -> Digest {
    let mut text = String::new();
    for (layers, config) in platforms {
        let layers: Vec<&Digest> = layers.iter().map(|layer| &layer.descriptor.digest).collect();
        let ImageConfig { architecture, os, variant, config, .. } = config;
        let of = serde_json::json!([os, architecture, variant, config, layers]);
        text.push_str(&of.to_string());
        text.push('\n');
    }
    Digest::sha256(text.as_bytes())
}

/// The manifest that attaches `blobs` of one media type to `subject` (manifest.md, "Guidelines for Artifact
/// Usage").
pub fn attached(
    subject: Descriptor,
    artifact_type: &str,
    config: Descriptor,
    blobs: Vec<Descriptor>,
    facts: &Facts,
) -> Manifest {
    let created = BTreeMap::from([("org.opencontainers.image.created".to_owned(), facts.created.clone())]);
    let mut manifest = Manifest::image(config, blobs, created);
    manifest.artifact_type = Some(artifact_type.to_owned());
    manifest.subject = Some(subject);
    manifest
}
