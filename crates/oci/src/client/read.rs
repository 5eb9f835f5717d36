//! Reading manifests and lists (distribution-spec 1.1, Pull and Content Discovery).

use std::collections::HashSet;

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, LINK};
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::put::TAGS;
use super::request::{Again, refused, text};
use super::{Client, endpoint, link};
use crate::auth::Access;
use crate::content::{self, Links};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{Descriptor, Platform};
use crate::media;
use crate::reference::Reference;

/// The largest manifest that is read (the specification wants registries to take 4 MiB).
pub(super) const MAX_MANIFEST: usize = 8 << 20;
/// The largest page of tags that is read.
const MAX_PAGE: usize = 16 << 20;
/// More pages than any repository has.
pub(super) const MAX_PAGES: usize = 10_000;

/// All manifests that are understood.
const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// A manifest as the registry keeps it, checked against its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Its media type, digest and size.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Bytes,
}

impl Client {
    /// The manifest or index that `reference` names, or `None` where the registry has none. The bytes are
    /// checked against the reference's digest and the one the registry announces.
    pub async fn manifest(&self, reference: &Reference) -> Result<Option<Fetched>> {
        let url = self.url(reference, &format!("manifests/{}", reference.wanted()))?;
        let access = Access::pull(&reference.registry, &reference.repository);
        let Some(document) = self.document(&access, &url, MANIFESTS, MAX_MANIFEST).await? else {
            return Ok(None);
        };
        let announced = announced(&url, &document.headers)?;
        let mut digest = Digest::sha256(&document.bytes);
        for expected in announced.iter().chain(&reference.digest) {
            let found = Digest::of(expected.algorithm(), &document.bytes);
            if found != *expected {
                return Err(Error::Digest { what: reference.to_string(), expected: expected.clone(), found });
            }
            digest = found;
        }
        let media_type = media_type(&url, &document.headers, &document.bytes)?;
        let descriptor = Descriptor::new(&media_type, digest, document.bytes.len() as u64);
        Ok(Some(Fetched { descriptor, bytes: document.bytes }))
    }

    /// The manifest of `platform`'s image: through the index where `reference` names one. Fails where the
    /// registry has no such image, or none for the platform. The second value is the index, where there is one.
    pub async fn image(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<(Fetched, Option<Fetched>)> {
        let missing = |what: &Reference| Error::NotFound { what: what.to_string() };
        let top = self.manifest(reference).await?.ok_or_else(|| missing(reference))?;
        if !media::is_index(&top.descriptor.media_type) {
            return Ok((top, None));
        }
        let manifests = Links::read(reference, &top.bytes)?.manifests;
        let chosen = content::select(&manifests, platform).ok_or_else(|| Error::Platform {
            what: reference.to_string(),
            wanted: platform.to_string(),
            offered: content::offered(&manifests),
        })?;
        let child = reference.with_digest(&chosen.digest);
        let image = self.manifest(&child).await?.ok_or_else(|| missing(&child))?;
        Ok((image, Some(top)))
    }

    /// The descriptor of what `reference` names, without its bytes; `None` where the registry has none.
    pub async fn head(&self, reference: &Reference) -> Result<Option<Descriptor>> {
        let url = self.url(reference, &format!("manifests/{}", reference.wanted()))?;
        let access = Access::pull(&reference.registry, &reference.repository);
        self.head_as(&access, reference, &url).await
    }

    pub(super) async fn head_as(
        &self,
        access: &Access,
        reference: &Reference,
        url: &Url,
    ) -> Result<Option<Descriptor>> {
        let make = || self.0.http.to(url).head(url.clone()).header(ACCEPT, MANIFESTS);
        let answer = self.send(access, url, Again::Yes, make).await?;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            _ => return Err(refused("HEAD", url, answer).await),
        }
        let headers = answer.headers();
        let size = text(headers, CONTENT_LENGTH.as_str()).and_then(|v| v.parse::<u64>().ok());
        let kind = bare_type(headers);
        match (announced(url, headers)?.or_else(|| reference.digest.clone()), size, kind) {
            (Some(digest), Some(size), Some(kind)) => {
                if let Some(expected) =
                    reference.digest.as_ref().filter(|e| **e != digest && e.algorithm() == digest.algorithm())
                {
                    return Err(Error::Digest {
                        what: reference.to_string(),
                        expected: expected.clone(),
                        found: digest,
                    });
                }
                Ok(Some(Descriptor::new(kind, reference.digest.clone().unwrap_or(digest), size)))
            }
            // A registry that leaves one of them out of HEAD has to be asked for the bytes.
            _ => Ok(self.manifest(reference).await?.map(|fetched| fetched.descriptor)),
        }
    }

    /// Whether the repository has the blob.
    pub async fn blob_exists(&self, repo: &Reference, digest: &Digest) -> Result<bool> {
        self.blob_exists_as(&Access::pull(&repo.registry, &repo.repository), repo, digest).await
    }

    pub(super) async fn blob_exists_as(
        &self,
        access: &Access,
        repo: &Reference,
        digest: &Digest,
    ) -> Result<bool> {
        let url = self.url(repo, &format!("blobs/{digest}"))?;
        let answer = self.send(access, &url, Again::Yes, || self.0.http.to(&url).head(url.clone())).await?;
        match answer.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refused("HEAD", &url, answer).await),
        }
    }

    /// All tags of the repository, in the registry's order; none where the repository does not exist.
    pub async fn tags(&self, repo: &Reference) -> Result<Vec<String>> {
        Ok(self.tag_list(repo).await?.tags)
    }

    /// The same, with what a PUT can be made to depend on.
    pub async fn tag_list(&self, repo: &Reference) -> Result<TagList> {
        #[derive(Deserialize)]
        struct Page {
            // distribution writes null for none.
            tags: Option<Vec<String>>,
        }
        let access = Access::pull(&repo.registry, &repo.repository);
        let first = self.url(repo, "tags/list?n=1000")?;
        let mut tags = Vec::new();
        let mut seen = None;
        let mut pages = Pages::new(first);
        while let Some(url) = pages.next()? {
            let Some(document) = self.document(&access, &url, "application/json", MAX_PAGE).await? else {
                break;
            };
            let page: Page = serde_json::from_slice(&document.bytes)
                .map_err(|_| Error::answer(&url, "the list of tags is not JSON with `tags`"))?;
            // The first page's, which is the oldest: what comes while the others are read is a change.
            seen.get_or_insert_with(|| text(&document.headers, TAGS).map(str::to_owned));
            tags.extend(page.tags.unwrap_or_default());
            pages.follow(&document.url, &document.headers)?;
        }
        Ok(TagList { tags, seen: seen.flatten() })
    }
}

/// The tags of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TagList {
    /// In the registry's order.
    pub tags: Vec<String>,
    /// Stands for all of them, where the registry lets a PUT depend on them (the embedded one: docs/registry.md).
    pub seen: Option<String>,
}

/// The pages of a list, each seen once.
pub(super) struct Pages {
    next: Option<Url>,
    seen: HashSet<Url>,
}

impl Pages {
    pub fn new(first: Url) -> Self {
        Pages { next: Some(first), seen: HashSet::new() }
    }

    /// The next page to fetch. Fails where the list does not end.
    pub fn next(&mut self) -> Result<Option<Url>> {
        let Some(url) = self.next.take() else { return Ok(None) };
        if !self.seen.insert(url.clone()) || self.seen.len() > MAX_PAGES {
            return Err(Error::answer(&url, "the pages of this list go round in a loop"));
        }
        Ok(Some(url))
    }

    /// Takes in the `Link` of the page that came from `url`.
    pub fn follow(&mut self, url: &Url, headers: &HeaderMap) -> Result<()> {
        let links = headers.get_all(LINK).iter().filter_map(|v| v.to_str().ok());
        self.next = match links.filter_map(link::next).next() {
            Some(target) => Some(endpoint::resolve(url, target)?),
            None => None,
        };
        Ok(())
    }
}

/// `Docker-Content-Digest`, where the registry sends it.
pub(super) fn announced(url: &Url, headers: &HeaderMap) -> Result<Option<Digest>> {
    match text(headers, "docker-content-digest") {
        None => Ok(None),
        Some(digest) => digest
            .parse()
            .map(Some)
            .map_err(|e| Error::answer(url, format!("its Docker-Content-Digest is wrong: {e}"))),
    }
}

/// `Content-Type` without parameters.
pub(super) fn bare_type(headers: &HeaderMap) -> Option<&str> {
    text(headers, CONTENT_TYPE.as_str()).and_then(|v| v.split(';').next()).map(str::trim)
}

/// The manifest's media type: the header's, unless it is a generic one; then what the bytes say.
///
/// The two must agree, and nothing may be both an index and a manifest: one digest must not mean two things
/// (CVE-2021-41190).
fn media_type(url: &Url, headers: &HeaderMap, bytes: &[u8]) -> Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Probe {
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
    }
    let header = bare_type(headers).unwrap_or("");
    let probe: Probe = serde_json::from_slice(bytes).map_err(|_| {
        let came = if header.is_empty() { "something without a type" } else { header };
        Error::answer(url, format!("this is no manifest, it came as {came}"))
    })?;
    let generic =
        matches!(header, "" | "application/json" | "text/plain" | "application/octet-stream" | "text/json");
    let kind = match (&probe.media_type, generic) {
        (Some(inside), false) if inside != header => {
            return Err(Error::answer(
                url,
                format!("the manifest calls itself {inside} but came as {header}"),
            ));
        }
        (Some(inside), _) => inside.clone(),
        (None, false) => header.to_owned(),
        (None, true) if probe.manifests.is_some() => media::INDEX.to_owned(),
        (None, true) => media::MANIFEST.to_owned(),
    };
    let (index, image) = (probe.manifests.is_some(), probe.layers.is_some() || probe.config.is_some());
    if index == image || index != media::is_index(&kind) {
        return Err(Error::answer(url, format!("the manifest is not what its type {kind} says")));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types() {
        let url = Url::parse("http://h/v2/a/manifests/b").unwrap();
        let index = r#"{"manifests":[]}"#;
        let image = r#"{"config":{},"layers":[]}"#;
        let named = r#"{"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;
        for (header, body, kind) in [
            (media::INDEX, index, Some(media::INDEX)),
            ("application/vnd.oci.image.index.v1+json; charset=utf-8", index, Some(media::INDEX)),
            (media::DOCKER_LIST, index, Some(media::DOCKER_LIST)),
            ("application/json", index, Some(media::INDEX)),
            ("", image, Some(media::MANIFEST)),
            ("text/plain", named, Some(media::INDEX)),
            (media::MANIFEST, named, None),
            (media::MANIFEST, index, None),
            (media::INDEX, image, None),
            (media::INDEX, r#"{"manifests":[],"layers":[]}"#, None),
            (media::MANIFEST, "{}", None),
            ("application/vnd.docker.distribution.manifest.v1+prettyjws", r#"{"fsLayers":[]}"#, None),
            ("text/html", "<html></html>", None),
            (media::MANIFEST, "", None),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, header.parse().unwrap())]);
            assert_eq!(media_type(&url, &headers, body.as_bytes()).ok().as_deref(), kind, "{header} {body}");
        }
    }

    #[test]
    fn pages_are_seen_once() {
        let url = Url::parse("https://h/v2/a/tags/list").unwrap();
        let mut pages = Pages::new(url.clone());
        let link = |text: &str| HeaderMap::from_iter([(LINK, text.parse().unwrap())]);
        assert_eq!(pages.next().unwrap(), Some(url.clone()));
        pages.follow(&url, &link("</v2/a/tags/list?last=x>; rel=next")).unwrap();
        let second = pages.next().unwrap().unwrap();
        assert_eq!(second.as_str(), "https://h/v2/a/tags/list?last=x");
        pages.follow(&second, &link("</v2/a/tags/list?last=x>; rel=next")).unwrap();
        assert!(pages.next().is_err());
        pages.follow(&url, &HeaderMap::new()).unwrap();
        assert_eq!(pages.next().unwrap(), None);
    }
}
