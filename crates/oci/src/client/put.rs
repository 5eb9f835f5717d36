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

/// A registry need not take more tags in one request.
pub const TAGS_AT_ONCE: usize = 10;

/// By this header the embedded registry says which of the tags in a PUT it will never let point elsewhere.
pub const CREATE_ONLY: &str = "perijove-create-only";

/// The embedded registry's header of a list of tags and of a PUT that depends on it.
pub(super) const TAGS: &str = "perijove-tags";

/// What a registry answered to a PUT.
#[derive(Clone, Debug, Default)]
pub struct Put {
    /// The tags that it says point at the manifest now.
    pub confirmed: BTreeSet<String>,
    /// Those that it will not let anybody move.
    pub create_only: BTreeSet<String>,
    /// Body bytes that went out.
    pub sent: u64,
    /// It lists the referrer itself.
    listed: bool,
    /// It said which digest it took.
    announced: bool,
}

impl Put {
    fn add(&mut self, other: Put) {
        self.confirmed.extend(other.confirmed);
        self.create_only.extend(other.create_only);
        self.sent += other.sent;
        self.listed |= other.listed;
        self.announced |= other.announced;
    }
}

fn not_a_tag(text: &str) -> Error {
    Error::content(&text, "not a tag: it must match [A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
}

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
        let mut rest: BTreeSet<&str> = tags.iter().map(String::as_str).collect();
        let mut put = Put::default();
        // One tag needs no second request; none or several start from the digest.
        if rest.len() != 1 {
            let all: Vec<String> = tags.to_vec();
            let mut chunks = all.chunks(TAGS_AT_ONCE);
            let mut chunk = chunks.next().unwrap_or_default();
            loop {
                let one = self.put_by_digest(repo, manifest, &bytes, chunk, None).await?;
                let confirmed = one.confirmed.clone();
                put.add(one);
                if confirmed.is_empty() {
                    break;
                }
                rest.retain(|tag| !confirmed.contains(*tag));
                match chunks.next() {
                    Some(next) => chunk = next,
                    None => break,
                }
            }
        }
        for tag in rest {
            put.add(self.put_by_tag(repo, manifest, &bytes, tag, None).await?);
        }
        let links = Links::read(&manifest.digest, &bytes)?;
        if let Some(subject) = links.subject.as_ref().filter(|_| !put.listed) {
            put.sent += self.add_fallback(repo, &subject.digest, &entry(manifest, &links)).await?;
        }
        Ok(put.sent)
    }

    /// One PUT by digest that points `tags` (at most [`TAGS_AT_ONCE`]) at the manifest too, where the registry
    /// can: all of them, or none where it refuses one. With the `seen` of a [`super::TagList`] it is refused (412) where the
    /// repository has other tags by now.
    pub async fn put_by_digest(
        &self,
        repo: &Reference,
        manifest: &Descriptor,
        bytes: &Bytes,
        tags: &[String],
        seen: Option<&str>,
    ) -> Result<Put> {
        if let Some(bad) = tags.iter().find(|t| !is_tag(t)) {
            return Err(not_a_tag(bad));
        }
        let mut url = self.url(repo, &format!("manifests/{}", manifest.digest))?;
        if !tags.is_empty() {
            url.query_pairs_mut().extend_pairs(tags.iter().map(|t| ("tag", t)));
        }
        self.put_checked(repo, &url, manifest, bytes, seen).await
    }

    /// One PUT by tag, with `seen` as above. Where the registry does not say what it took, the tag is read back.
    pub async fn put_by_tag(
        &self,
        repo: &Reference,
        manifest: &Descriptor,
        bytes: &Bytes,
        tag: &str,
        seen: Option<&str>,
    ) -> Result<Put> {
        if !is_tag(tag) {
            return Err(not_a_tag(tag));
        }
        let url = self.url(repo, &format!("manifests/{tag}"))?;
        let mut put = self.put_checked(repo, &url, manifest, bytes, seen).await?;
        if !put.announced {
            self.check_tag(repo, tag, &manifest.digest).await?;
        }
        put.confirmed.insert(tag.to_owned());
        Ok(put)
    }

    async fn put_checked(
        &self,
        repo: &Reference,
        url: &Url,
        manifest: &Descriptor,
        bytes: &Bytes,
        seen: Option<&str>,
    ) -> Result<Put> {
        let access = Access::push(&repo.registry, &repo.repository);
        let headers = [(CONTENT_TYPE.as_str(), manifest.media_type.as_str())].into_iter();
        let headers: Vec<_> = headers.chain(seen.map(|seen| (TAGS, seen))).collect();
        let (headers, sent) = self.put_bytes(&access, url, &headers, bytes.clone()).await?;
        let announced = announced(url, &headers)?;
        if let Some(found) = announced.clone() {
            // A registry that knows only sha256 answers so to a manifest that was named by its sha512.
            let expected = match found.algorithm() == manifest.digest.algorithm() {
                true => manifest.digest.clone(),
                false => Digest::of(found.algorithm(), bytes),
            };
            if found != expected {
                return Err(Error::Digest { what: crate::http::redact(url), expected, found });
            }
        }
        let names = |header: &str| {
            let values = headers.get_all(header).iter().filter_map(|v| v.to_str().ok());
            let names = values.flat_map(|v| v.split(',')).map(|name| name.trim().to_owned());
            names.collect::<BTreeSet<String>>()
        };
        Ok(Put {
            confirmed: names("oci-tag"),
            create_only: names(CREATE_ONLY),
            sent,
            listed: headers.contains_key("oci-subject"),
            announced: announced.is_some(),
        })
    }

    /// One PUT, and the body bytes that went out with all its tries.
    pub(super) async fn put_bytes(
        &self,
        access: &Access,
        url: &Url,
        headers: &[(&str, &str)],
        bytes: Bytes,
    ) -> Result<(HeaderMap, u64)> {
        let sent = AtomicU64::new(0);
        let make = || {
            sent.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            let put = self.0.http.to(url).put(url.clone()).body(bytes.clone());
            headers.iter().fold(put, |put, (name, value)| put.header(*name, *value))
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
