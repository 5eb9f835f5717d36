//! Writing manifests and tags (distribution-spec 1.1, Pushing Manifests).

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{StatusCode, Url};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::Client;
use super::read::announced;
use super::referrers::entry;
use super::request::{Again, refused};
use crate::auth::Access;
use crate::content::Links;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::reference::{Reference, is_tag};

/// More tags than a registry has to take in one request.
const TAGS_AT_ONCE: usize = 10;

impl Client {
    /// Puts a manifest and points `tags` at it; what it lists has to be there. Gives the body bytes sent.
    ///
    /// Several tags go along in one request by digest (`?tag=`); those that the registry does not confirm by
    /// `OCI-Tag` follow one by one. The digest that the registry answers is checked. Where the manifest has a
    /// subject and the registry does not list referrers (no `OCI-Subject`), the fallback tag is written.
    pub async fn put_manifest(
        &self,
        repo: &Reference,
        manifest: &Descriptor,
        bytes: Bytes,
        tags: &[String],
    ) -> Result<u64> {
        if let Some(bad) = tags.iter().find(|t| !is_tag(t)) {
            return Err(Error::content(bad, "not a tag: it must match [A-Za-z0-9_][A-Za-z0-9._-]{0,127}"));
        }
        let links = Links::read(&manifest.digest, &bytes)?;
        let mut rest: BTreeSet<&str> = tags.iter().map(String::as_str).collect();
        let mut sent = 0;
        let mut listed = false;
        // One tag needs no second request; none or several start from the digest.
        if rest.len() != 1 {
            let by_digest = self.url(repo, &format!("manifests/{}", manifest.digest))?;
            let all: Vec<&str> = rest.iter().copied().collect();
            let mut chunks = all.chunks(TAGS_AT_ONCE);
            let mut chunk = chunks.next().unwrap_or_default();
            loop {
                let mut url = by_digest.clone();
                if !chunk.is_empty() {
                    url.query_pairs_mut().extend_pairs(chunk.iter().map(|t| ("tag", t)));
                }
                let headers = self.put_checked(repo, &url, manifest, &bytes, &mut sent).await?;
                listed |= headers.contains_key("oci-subject");
                let confirmed: Vec<&str> =
                    headers.get_all("oci-tag").iter().filter_map(|v| v.to_str().ok()).collect();
                let confirmed: BTreeSet<&str> =
                    confirmed.iter().flat_map(|v| v.split(',')).map(str::trim).collect();
                if confirmed.is_empty() {
                    break;
                }
                rest.retain(|tag| !confirmed.contains(tag));
                match chunks.next() {
                    Some(next) => chunk = next,
                    None => break,
                }
            }
        }
        for tag in rest {
            let url = self.url(repo, &format!("manifests/{tag}"))?;
            let headers = self.put_checked(repo, &url, manifest, &bytes, &mut sent).await?;
            listed |= headers.contains_key("oci-subject");
            if !headers.contains_key("docker-content-digest") {
                self.check_tag(repo, tag, &manifest.digest).await?;
            }
        }
        if let Some(subject) = links.subject.as_ref().filter(|_| !listed) {
            sent += self.add_fallback(repo, &subject.digest, &entry(manifest, &links)).await?;
        }
        Ok(sent)
    }

    async fn put_checked(
        &self,
        repo: &Reference,
        url: &Url,
        manifest: &Descriptor,
        bytes: &Bytes,
        sent: &mut u64,
    ) -> Result<HeaderMap> {
        let access = Access::push(&repo.registry, &repo.repository);
        let (headers, more) = self.put_bytes(&access, url, &manifest.media_type, bytes.clone()).await?;
        *sent += more;
        if let Some(found) = announced(url, &headers)? {
            // A registry that knows only sha256 answers so to a manifest that was named by its sha512.
            let expected = match found.algorithm() == manifest.digest.algorithm() {
                true => manifest.digest.clone(),
                false => Digest::of(found.algorithm(), bytes),
            };
            if found != expected {
                return Err(Error::Digest { what: crate::http::redact(url), expected, found });
            }
        }
        Ok(headers)
    }

    /// One PUT, and the body bytes that went out with all its tries.
    pub(super) async fn put_bytes(
        &self,
        access: &Access,
        url: &Url,
        media_type: &str,
        bytes: Bytes,
    ) -> Result<(HeaderMap, u64)> {
        let sent = AtomicU64::new(0);
        let make = || {
            sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            self.0.http.to(url).put(url.clone()).header(CONTENT_TYPE, media_type).body(bytes.clone())
        };
        let answer = self.send(access, url, Again::Yes, make).await;
        let sent = sent.into_inner();
        self.0.sent.fetch_add(sent, Ordering::Relaxed);
        let answer = answer?;
        match answer.status() {
            StatusCode::CREATED | StatusCode::OK | StatusCode::ACCEPTED => {
                Ok((answer.headers().clone(), sent))
            }
            _ => Err(refused("PUT", url, answer).await),
        }
    }

    /// For registries that do not say what they took.
    async fn check_tag(&self, repo: &Reference, tag: &str, expected: &Digest) -> Result<()> {
        let tag = repo.with_tag(tag);
        let found = self.head(&tag).await?.ok_or_else(|| Error::NotFound { what: tag.to_string() })?;
        if found.digest != *expected && found.digest.algorithm() == expected.algorithm() {
            return Err(Error::Digest {
                what: tag.to_string(),
                expected: expected.clone(),
                found: found.digest,
            });
        }
        Ok(())
    }
}
