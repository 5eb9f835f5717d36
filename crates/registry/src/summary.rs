//! What the registry reads out of a manifest: its type, its subject, what it refers to.
//!
//! Image manifest and index in one shape (image-spec 1.1, manifest.md and image-index.md; Docker's v2.2 has the
//! same field names). Unknown fields and unknown kinds of manifests pass: they are stored byte for byte.

use std::collections::BTreeMap;

use perijove_oci::{Digest, media};
use serde::Deserialize;

/// The fields that matter here.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// The manifest's own media type, where it says so.
    #[serde(default)]
    pub media_type: Option<String>,
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Entry>,
    #[serde(default)]
    layers: Vec<Entry>,
    /// `blobs`: layers of the artifact manifest that image-spec 1.1 dropped; some are still in registries.
    #[serde(default)]
    blobs: Vec<Entry>,
    #[serde(default)]
    manifests: Option<Vec<Entry>>,
    #[serde(default)]
    subject: Option<Entry>,
    /// Annotations, sorted.
    #[serde(default)]
    pub annotations: Option<BTreeMap<String, String>>,
}

/// A descriptor. Its digest stays text: an index may name content whose algorithm is unknown here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    media_type: Option<String>,
    digest: String,
}

impl Summary {
    /// Reads a manifest.
    ///
    /// # Errors
    /// A sentence for the client when it is not a JSON object, or a field has the wrong shape.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        // serde reads a list as the fields in order; a manifest is no list.
        if bytes.trim_ascii_start().first() != Some(&b'{') {
            return Err("the manifest is not a JSON object".to_owned());
        }
        serde_json::from_slice(bytes).map_err(|e| format!("the manifest is not valid: {e}"))
    }

    /// The media type to store it under, given the one of the request (without parameters): that one, else
    /// the manifest's own, else what its fields look like.
    ///
    /// # Errors
    /// A sentence for the client when the two differ (distribution-spec, "Pushing Manifests").
    pub fn stored_type<'a>(&'a self, header: Option<&'a str>) -> Result<&'a str, String> {
        match (header, self.media_type.as_deref()) {
            (Some(header), Some(own)) if header != own => {
                Err(format!("Content-Type is `{header}`, but the manifest's mediaType is `{own}`"))
            }
            (Some(one), _) | (None, Some(one)) => Ok(one),
            (None, None) if self.manifests.is_some() => Ok(media::INDEX),
            (None, None) if self.config.is_some() => Ok(media::MANIFEST),
            (None, None) => {
                Err("neither Content-Type nor mediaType says what kind of manifest this is".to_owned())
            }
        }
    }

    /// The manifest that this one is about.
    ///
    /// # Errors
    /// A sentence for the client when the subject's digest is none.
    pub fn subject(&self) -> Result<Option<Digest>, String> {
        let parse = |entry: &Entry| entry.digest.parse().map_err(|e| format!("subject: {e}"));
        self.subject.as_ref().map(parse).transpose()
    }

    /// `artifactType`; in an image manifest without one, the configuration's media type
    /// (distribution-spec, "Listing Referrers").
    pub fn artifact_type(&self) -> Option<&str> {
        let own = self.artifact_type.as_deref().filter(|text| !text.is_empty());
        own.or_else(|| self.config.as_ref()?.media_type.as_deref())
    }

    /// Digests of all blobs that the manifest refers to; those of unknown algorithms are nobody's blobs here.
    pub fn blob_digests(&self) -> impl Iterator<Item = Digest> {
        let entries = self.config.iter().chain(&self.layers).chain(&self.blobs);
        entries.filter_map(|entry| entry.digest.parse().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Summary {
        Summary::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn media_type_of_header_manifest_or_fields() {
        let cases = [
            (r#"{"mediaType":"a"}"#, Some("a"), Ok("a")),
            (r#"{"mediaType":"a"}"#, None, Ok("a")),
            (r#"{}"#, Some("b"), Ok("b")),
            (r#"{"mediaType":"a"}"#, Some("b"), Err(())),
            (r#"{"manifests":[]}"#, None, Ok(media::INDEX)),
            (r#"{"config":{"digest":"x"}}"#, None, Ok(media::MANIFEST)),
            (r#"{}"#, None, Err(())),
        ];
        for (text, header, wanted) in cases {
            assert_eq!(read(text).stored_type(header).map_err(|_| ()), wanted, "{text} {header:?}");
        }
    }

    #[test]
    fn artifact_type_falls_back_to_the_configuration() {
        assert_eq!(
            read(r#"{"artifactType":"a","config":{"mediaType":"c","digest":"x"}}"#).artifact_type(),
            Some("a")
        );
        assert_eq!(
            read(r#"{"artifactType":"","config":{"mediaType":"c","digest":"x"}}"#).artifact_type(),
            Some("c")
        );
        assert_eq!(read(r#"{"manifests":[]}"#).artifact_type(), None);
    }

    #[test]
    fn what_is_not_a_manifest() {
        for bad in
            ["", "[]", "null", "{", r#"{"layers":{}}"#, r#"{"subject":"x"}"#, r#"{"annotations":{"a":1}}"#]
        {
            assert!(Summary::read(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(read(r#"{"subject":{"digest":"sha256:no"}}"#).subject().is_err());
        assert_eq!(read(r#"{"layers":[{"digest":"blake3:aa"}]}"#).blob_digests().count(), 0);
    }
}
