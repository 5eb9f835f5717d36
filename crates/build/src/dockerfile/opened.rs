//! An image that somebody else made, opened: what a builder left, what a registry has, what a base is.

use bytes::Bytes;
use perijove_oci::Blob as Content;
use perijove_oci::client::Client;
use perijove_oci::content::Links;
use perijove_oci::{Descriptor, Digest, ImageConfig, ImageContent, Manifest, Platform, Reference, media};

use crate::build::oci_layer;
use crate::image::PlacedLayer;
use crate::layer::piece::Blob;
use crate::previous::{self, EMPTY_KEYS};
use crate::{Error, Result};

/// No configuration is larger, in bytes.
const MAX_CONFIG: u64 = 4 << 20;
/// Labels of layers are for people.
const MAX_LABEL: usize = 80;

/// One platform's image.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Bytes of its configuration.
    pub config: Bytes,
    /// The same, read.
    pub parsed: ImageConfig,
    /// Base first.
    pub layers: Vec<OpenedLayer>,
    /// Keys of layers of ours that held no file (see [`EMPTY_KEYS`]).
    pub empty: Vec<String>,
    /// The lists of what lies in layers of ours, where they are at hand.
    pub lists: Vec<(Descriptor, Content)>,
}

/// One of its layers.
#[derive(Clone, Debug)]
pub struct OpenedLayer {
    /// With the annotations that it had.
    pub descriptor: Descriptor,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Where its bytes are.
    pub content: Content,
}

impl Opened {
    /// `what` is for messages; `content` tells where a layer's bytes are.
    pub fn new(
        what: &dyn std::fmt::Display,
        links: &Links,
        config: Bytes,
        content: impl Fn(&Descriptor) -> Result<Content>,
    ) -> Result<Self> {
        let refused = |reason: String| Error::Refused {
            reason: format!("{what}: {reason}"),
            hint: "an image has a configuration with a digest for each layer".to_owned(),
        };
        let parsed: ImageConfig = serde_json::from_slice(&config)
            .map_err(|e| refused(format!("not an image configuration: {e}")))?;
        if parsed.rootfs.diff_ids.len() != links.layers.len() {
            let (named, there) = (parsed.rootfs.diff_ids.len(), links.layers.len());
            return Err(refused(format!("{there} layers, but its configuration names {named}")));
        }
        let mut layers = Vec::new();
        for (layer, diff_id) in links.layers.iter().zip(&parsed.rootfs.diff_ids) {
            let mut descriptor = layer.clone();
            descriptor.media_type = oci_layer(&layer.media_type);
            layers.push(OpenedLayer { descriptor, diff_id: diff_id.clone(), content: content(layer)? });
        }
        let empty = links.annotations.get(EMPTY_KEYS).map_or("", String::as_str);
        let empty = empty.split(' ').filter(|key| !key.is_empty()).map(str::to_owned).collect();
        Ok(Opened { config, parsed, layers, empty, lists: Vec::new() })
    }

    /// The image for `platform` in `content`. A configuration that is in a registry is fetched.
    pub async fn of(
        what: &dyn std::fmt::Display,
        content: &ImageContent,
        platform: &Platform,
        client: &Client,
    ) -> Result<Self> {
        let links = content.links(&content.image_for(platform)?)?;
        let config = links.config.as_ref().ok_or_else(|| no_image(what))?;
        let (descriptor, blob) = content.blob(&config.digest)?;
        let bytes = match blob {
            Content::Bytes(bytes) => bytes.clone(),
            Content::Remote(repo) => client.blob_bytes(repo, descriptor, MAX_CONFIG).await?,
            Content::Files(files) => {
                let mut all = Vec::new();
                for path in files {
                    all.extend(tokio::fs::read(path).await.map_err(Error::io(path))?);
                }
                all.into()
            }
        };
        let found = Digest::of(descriptor.digest.algorithm(), &bytes);
        if found != descriptor.digest {
            let expected = descriptor.digest.clone();
            return Err(perijove_oci::Error::Digest { what: what.to_string(), expected, found }.into());
        }
        let mut opened = Self::new(what, &links, bytes, |layer| Ok(content.blob(&layer.digest)?.1.clone()))?;
        let lists = links.layers.iter().filter_map(previous::key_and_contents);
        opened.lists = lists.filter_map(|(_, list)| content.blobs.get(&list.digest).cloned()).collect();
        Ok(opened)
    }

    /// What one of `references` (the newest first) has under the annotation `name` = `key`.
    pub async fn previous(
        client: &Client,
        references: &[Reference],
        platform: &Platform,
        (name, key): (&str, &Digest),
    ) -> Result<Option<Self>> {
        for reference in references {
            let image = match client.image(reference, platform).await {
                Ok((image, _)) => image,
                Err(perijove_oci::Error::NotFound { .. } | perijove_oci::Error::Platform { .. }) => continue,
                Err(other) => return Err(other.into()),
            };
            let links = Links::read(reference, &image.bytes)?;
            let Some(config) = &links.config else { continue };
            if links.annotations.get(name) != Some(&key.to_string()) {
                continue;
            }
            let bytes = client.blob_bytes(reference, config, MAX_CONFIG).await?;
            let content = |_: &Descriptor| Ok(Content::Remote(reference.clone()));
            return Self::new(reference, &links, bytes, content).map(Some);
        }
        Ok(None)
    }

    /// The image with the layers of `base` as the base has them, wherever it stands on them: a builder packs
    /// them again, and nodes that have the base would pull them a second time.
    pub fn on(mut self, base: Option<&Opened>) -> Self {
        let known = base.map_or(&[][..], |base| &base.layers);
        for (layer, known) in self.layers.iter_mut().zip(known) {
            if layer.diff_id != known.diff_id {
                break;
            }
            *layer = known.clone();
        }
        self
    }

    /// The image as content of its own.
    pub fn content(&self) -> Result<ImageContent> {
        let config = Descriptor::of(media::CONFIG, &self.config);
        let layers = self.layers.iter().map(|layer| layer.descriptor.clone()).collect();
        let manifest = Manifest::image(config.clone(), layers, Default::default());
        let bytes = crate::pending::json(&manifest)?;
        let mut content = ImageContent::new(Descriptor::of(media::MANIFEST, &bytes), bytes.into());
        content.add_blob(config, Content::Bytes(self.config.clone()));
        for layer in &self.layers {
            content.add_blob(layer.descriptor.clone(), layer.content.clone());
        }
        Ok(content)
    }

    /// The layers as they stand in a manifest, and where their bytes are. Those of ours whose lists are among
    /// `lists` are known as such.
    pub fn placed(&self, lists: &[(Descriptor, Content)]) -> Vec<(PlacedLayer, Content)> {
        let made = self.parsed.history.iter().filter(|h| h.empty_layer != Some(true));
        let mut labels: Vec<String> =
            made.map(|h| label(h.created_by.as_deref().unwrap_or_default())).collect();
        labels.resize(self.layers.len(), String::new());
        let placed = self.layers.iter().zip(labels).map(|(layer, label)| {
            let mut descriptor = layer.descriptor.clone();
            let parts = previous::parts(&descriptor).map(str::to_owned).collect();
            let ours = previous::key_and_contents(&descriptor)
                .filter(|(_, wanted)| lists.iter().any(|(list, _)| list.digest == wanted.digest));
            descriptor.annotations.clear();
            let blob = Blob {
                digest: descriptor.digest.clone(),
                size: descriptor.size,
                diff_id: layer.diff_id.clone(),
            };
            (PlacedLayer { descriptor, blob, ours, label, parts }, layer.content.clone())
        });
        placed.collect()
    }
}

/// A manifest without a configuration is none of an image.
fn no_image(what: &dyn std::fmt::Display) -> Error {
    Error::Refused {
        reason: format!("{what} is no image: it has no configuration"),
        hint: "name an image for the platforms of this repository".to_owned(),
    }
}

/// `/bin/sh -c #(nop) COPY …` → `COPY …`, of bounded length.
fn label(created_by: &str) -> String {
    let text = created_by.trim_start_matches("/bin/sh -c ").trim_start_matches("#(nop)").trim();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_LABEL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(diffs: &[&str], media_type: &str) -> Opened {
        let diffs: Vec<String> =
            diffs.iter().map(|d| format!("\"{}\"", Digest::sha256(d.as_bytes()))).collect();
        let config = format!(
            r#"{{"architecture":"amd64","os":"linux","rootfs":{{"type":"layers","diff_ids":[{}]}},
                "history":[{{"created_by":"/bin/sh -c #(nop) COPY a in b"}},{{"created_by":"ENV x","empty_layer":true}},
                           {{"created_by":"/bin/sh -c true\nfalse"}}]}}"#,
            diffs.join(",")
        );
        let layers =
            (0..diffs.len()).map(|n| Descriptor::of(media_type, format!("{media_type}{n}").as_bytes()));
        let links = Links { layers: layers.collect(), ..Links::default() };
        Opened::new(&"test", &links, config.into(), |_| Ok(Content::Bytes(Bytes::new()))).unwrap()
    }

    #[test]
    fn layers_of_the_base_stay_as_they_are() {
        let base = image(&["a", "b"], media::LAYER_ZSTD);
        let types = |image: Opened| -> Vec<bool> {
            image.layers.iter().map(|l| l.descriptor.media_type == media::LAYER_ZSTD).collect()
        };
        let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
        for (diffs, expected) in [
            (&["a", "b", "c"][..], &[true, true, false][..]),
            (&["a", "c"], &[true, false]),
            // The same layer above another one is not the base's.
            (&["c", "b"], &[false, false]),
            (&["a"], &[true]),
        ] {
            let made = image(diffs, docker);
            assert!(made.layers.iter().all(|l| l.descriptor.media_type == media::LAYER_GZIP));
            assert_eq!(types(made.clone().on(Some(&base))), expected, "{diffs:?}");
            assert_eq!(types(made.on(None)), vec![false; diffs.len()]);
        }
    }

    #[test]
    fn layers_are_named_after_what_made_them() {
        let labels = image(&["a", "b", "c"], media::LAYER).placed(&[]).into_iter().map(|(l, _)| l.label);
        assert_eq!(labels.collect::<Vec<_>>(), ["COPY a in b", "true false", ""]);
    }

    #[test]
    fn a_configuration_must_fit_its_manifest() {
        let links = Links { layers: vec![Descriptor::of(media::LAYER, b"a")], ..Links::default() };
        let config = r#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let error =
            Opened::new(&"x", &links, config.into(), |_| Ok(Content::Bytes(Bytes::new()))).unwrap_err();
        assert_eq!(error.to_string(), "x: 1 layers, but its configuration names 0");
    }
}
