//! Referrers (distribution-spec 1.1, Listing Referrers): what is about a manifest, such as its SBOM.
//!
//! A registry without the referrers API keeps an index under the tag `sha256-<hex>` instead, and it is the
//! client that writes it (Unavailable Referrers API, Referrers Tag Schema).

use bytes::Bytes;
use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

use super::Client;
use super::read::{MAX_MANIFEST, Pages, bare_type};
use crate::auth::Access;
use crate::content::Links;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Index};
use crate::media;
use crate::reference::Reference;

/// How often the index under the fallback tag is written again when somebody else wrote it meanwhile.
const RACES: usize = 5;

/// The fallback tag of `digest`: at most 32 characters of algorithm, 64 of hex.
pub(super) fn fallback_tag(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), &digest.hex()[..digest.hex().len().min(64)])
}

impl Client {
    /// The referrers of the manifest `digest`, only those of `artifact_type` where one is given; none where
    /// the registry knows of none.
    pub async fn referrers(
        &self,
        repo: &Reference,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>> {
        let mut found = match self.listed(repo, digest, artifact_type).await? {
            Some(found) => found,
            None => self.fallback(repo, digest).await?,
        };
        // The registry's filter is a courtesy that it need not do.
        if let Some(wanted) = artifact_type {
            found.retain(|d| d.artifact_type.as_deref() == Some(wanted));
        }
        Ok(found)
    }

    /// By the API; `None` where the registry has none.
    async fn listed(
        &self,
        repo: &Reference,
        digest: &Digest,
        kind: Option<&str>,
    ) -> Result<Option<Vec<Descriptor>>> {
        let mut first = self.url(repo, &format!("referrers/{digest}"))?;
        if let Some(kind) = kind {
            first.query_pairs_mut().append_pair("artifactType", kind);
        }
        let access = Access::pull(&repo.registry, &repo.repository);
        let mut pages = Pages::new(first);
        let mut found = Vec::new();
        while let Some(url) = pages.next()? {
            let document = match self.document(&access, &url, media::INDEX, MAX_MANIFEST).await {
                Ok(Some(document)) => document,
                Ok(None) => return Ok(None),
                Err(Error::Refused(refusal)) if matches!(refusal.status, 405 | 501) => return Ok(None),
                Err(error) => return Err(error),
            };
            // What answers any path with a page of its own has no such API either.
            if bare_type(&document.headers) != Some(media::INDEX) {
                return Ok(None);
            }
            let index: Index = serde_json::from_slice(&document.bytes)
                .map_err(|e| Error::answer(&url, format!("the list of referrers is no index: {e}")))?;
            found.extend(index.manifests);
            pages.follow(&document.url, &document.headers)?;
        }
        Ok(Some(found))
    }

    async fn fallback(&self, repo: &Reference, digest: &Digest) -> Result<Vec<Descriptor>> {
        let tag = repo.with_tag(&fallback_tag(digest));
        let Some(fetched) = self.manifest(&tag).await? else { return Ok(Vec::new()) };
        Ok(Links::read(&tag, &fetched.bytes)?.manifests)
    }

    /// Adds `referrer` to the index under `subject`'s fallback tag. Gives the body bytes sent.
    pub(super) async fn add_fallback(
        &self,
        repo: &Reference,
        subject: &Digest,
        referrer: &Descriptor,
    ) -> Result<u64> {
        let tag = fallback_tag(subject);
        let mut sent = 0;
        for _ in 0..RACES {
            let mut listed = self.fallback(repo, subject).await?;
            if listed.iter().any(|d| d.digest == referrer.digest) {
                return Ok(sent);
            }
            listed.push(referrer.clone());
            let url = self.url(repo, &format!("manifests/{tag}"))?;
            let bytes = serde_json::to_vec(&Index::new(listed, Default::default()))
                .map_err(|e| Error::content(repo, e.to_string()))?;
            sent += self.put_index(repo, &url, bytes.into()).await?;
            // There is no lock: another client may have read the same list. So the list is read again.
        }
        Err(Error::content(
            &repo.with_tag(&tag),
            "other clients keep overwriting this list of referrers; run it again",
        ))
    }

    async fn put_index(&self, repo: &Reference, url: &Url, bytes: Bytes) -> Result<u64> {
        let access = Access::push(&repo.registry, &repo.repository);
        let (_, sent) = self.put_bytes(&access, url, &[(CONTENT_TYPE.as_str(), media::INDEX)], bytes).await?;
        Ok(sent)
    }
}

/// How a referrer is listed: with its artifact type (or its configuration's type) and annotations.
pub(super) fn entry(descriptor: &Descriptor, links: &Links) -> Descriptor {
    let config = links.config.as_ref().map(|c| c.media_type.clone());
    let mut entry = Descriptor::new(&descriptor.media_type, descriptor.digest.clone(), descriptor.size);
    entry.artifact_type = links.artifact_type.clone().filter(|t| !t.is_empty()).or(config);
    entry.annotations = links.annotations.clone();
    entry
}
