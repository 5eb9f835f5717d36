//! Referrers: manifests that are about another one (distribution-spec 1.1, "Listing Referrers").
//!
//! An entry is an empty file named after subject and manifest, made before the manifest and removed after it;
//! an entry whose manifest is not there counts for nothing.

use std::collections::BTreeMap;
use std::fs::File;

use perijove_oci::Digest;
use serde::Serialize;

use super::layout::file_name;
use super::tags::digests_in;
use super::{Store, StoreError};
use crate::names::RepositoryName;
use crate::summary::Summary;

/// A manifest about the subject, as the referrers list describes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Referrer {
    /// The manifest's media type.
    pub media_type: String,
    /// Its length in bytes.
    pub size: u64,
    /// Its digest.
    pub digest: Digest,
    /// Its artifact type, or its configuration's media type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// All of its annotations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
}

impl Store {
    /// The manifests in `repository` about `subject`, sorted by digest, of `artifact_type` alone where it is
    /// given. Empty where nothing is known of the subject.
    ///
    /// # Errors
    /// When the system refuses to read a file.
    pub fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Referrer>, StoreError> {
        let mut digests = digests_in(&self.layout.referrers(repository, subject))?;
        digests.sort_unstable();
        let mut found = Vec::new();
        for digest in digests {
            let Some(manifest) = self.read_manifest(repository, &digest)? else { continue };
            let Ok(summary) = Summary::read(&manifest.bytes) else { continue };
            if artifact_type.is_some_and(|wanted| summary.artifact_type() != Some(wanted)) {
                continue;
            }
            found.push(Referrer {
                media_type: manifest.media_type,
                size: manifest.bytes.len() as u64,
                digest,
                artifact_type: summary.artifact_type().map(str::to_owned),
                annotations: summary.annotations,
            });
        }
        Ok(found)
    }

    /// Notes that `manifest` is about `subject`.
    pub(super) fn add_referrer(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
        manifest: &Digest,
    ) -> Result<(), StoreError> {
        let entry = self.layout.referrers(repository, subject).join(file_name(manifest));
        let make = || File::options().create(true).truncate(false).write(true).open(&entry);
        self.durable.with_folder(&entry, make).map_err(StoreError::file("create", &entry))?;
        Ok(())
    }
}
