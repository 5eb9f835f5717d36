//! Manifests: GET, HEAD, PUT, DELETE (distribution-spec 1.1, "Pulling manifests", "Pushing Manifests").

use std::collections::HashSet;

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Response, StatusCode};
use perijove_oci::Digest;
use serde_json::json;

use super::answer::{Answer, CONTENT_DIGEST, digest_headers, is_unchanged, not_modified, status, text};
use super::body::Body;
use super::errors::{ApiError, Kind};
use super::limits::Incomings;
use super::query::Query;
use super::{App, blocking};
use crate::names::{RepositoryName, Tag};
use crate::store::{ManifestRef, NewManifest, Store, StoredManifest};
use crate::summary::Summary;

const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");
/// Ours: which of the tags in a PUT can be created once only, so that a release knows who is the referee.
const CREATE_ONLY: HeaderName = HeaderName::from_static("perijove-create-only");

/// Ours, of a list of tags and of a PUT: all tags of the repository as one digest. A PUT that brings it moves tags only
/// while those are the tags, else it is answered 412; so who decides by the list decides by what is true.
pub(crate) const TAGS: HeaderName = HeaderName::from_static("perijove-tags");

/// Tags that one PUT may set; the specification wants at least ten.
const TAGS_AT_ONCE: usize = 100;

fn unknown(repository: &RepositoryName, reference: &ManifestRef) -> ApiError {
    let (name, text) = match reference {
        ManifestRef::Tag(tag) => ("tag", tag.to_string()),
        ManifestRef::Digest(digest) => ("digest", digest.to_string()),
    };
    ApiError::new(Kind::ManifestUnknown, format!("`{repository}` has no manifest {text}"))
        .with_detail(json!({ name: text }))
}

/// GET and HEAD, whatever `Accept` says: there is only this one form.
pub(crate) async fn get(
    app: &App,
    repository: RepositoryName,
    reference: ManifestRef,
    headers: &HeaderMap,
    with_body: bool,
) -> Answer {
    if let Some(found) = app.store.cached_manifest(&repository, &reference) {
        return answer(&found, headers, with_body);
    }
    let store = app.store.clone();
    let (repository, reference, found) =
        blocking(move || store.manifest(&repository, &reference).map(|found| (repository, reference, found)))
            .await?;
    match found {
        Some(found) => answer(&found, headers, with_body),
        None => Err(unknown(&repository, &reference)),
    }
}

fn answer(found: &StoredManifest, headers: &HeaderMap, with_body: bool) -> Answer {
    if is_unchanged(headers, &found.digest) {
        return not_modified(&found.digest);
    }
    let mut response = Response::new(if with_body { Body::from(found.bytes.clone()) } else { Body::empty() });
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, text(&found.media_type)?);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(found.bytes.len()));
    digest_headers(headers, &found.digest)?;
    Ok(response)
}

/// PUT, by tag or by digest, with further tags in the query.
pub(crate) async fn put(
    app: &App,
    repository: RepositoryName,
    reference: ManifestRef,
    query: &Query,
    headers: &HeaderMap,
    body: &mut Incomings,
) -> Answer {
    let named = query.all("tag").map(str::parse).collect::<Result<Vec<Tag>, _>>()?;
    if named.len() > TAGS_AT_ONCE {
        return Err(ApiError::new(Kind::TooManyTags, format!("at most {TAGS_AT_ONCE} tags are set at once")));
    }
    // RFC 9110, 8.3.1: parameters follow a semicolon; the specification says to ignore them.
    let header = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let header = header.map(|value| value.split(';').next().unwrap_or(value).trim().to_owned());
    let if_tags = headers.get(TAGS).map(|value| value.to_str().unwrap_or_default().parse::<Digest>());
    let if_tags = if_tags.transpose()?;
    let limit = app.limits.manifest_bytes;
    let bytes = body.whole(limit).await?.ok_or_else(|| {
        ApiError::new(Kind::ManifestTooLarge, format!("a manifest has at most {limit} bytes here"))
    })?;
    let store = app.store.clone();
    let stored = blocking(move || {
        let sent = Sent { header: header.as_deref(), bytes: &bytes, named, if_tags };
        Ok(store_manifest(&store, &repository, &reference, sent))
    })
    .await??;

    let mut response = status(StatusCode::CREATED);
    let headers = response.headers_mut();
    headers.insert(LOCATION, text(&stored.location)?);
    headers.insert(CONTENT_DIGEST, text(&stored.digest.to_string())?);
    for tag in &stored.named {
        headers.append(OCI_TAG, text(tag.as_str())?);
    }
    for tag in &stored.create_only {
        headers.append(CREATE_ONLY, text(tag.as_str())?);
    }
    if let Some(subject) = &stored.subject {
        headers.insert(OCI_SUBJECT, text(&subject.to_string())?);
    }
    Ok(response)
}

/// What a PUT brings.
struct Sent<'a> {
    header: Option<&'a str>,
    bytes: &'a [u8],
    named: Vec<Tag>,
    if_tags: Option<Digest>,
}

/// What a PUT did.
struct Stored {
    location: String,
    digest: Digest,
    named: Vec<Tag>,
    create_only: Vec<Tag>,
    subject: Option<Digest>,
}

fn store_manifest(
    store: &Store,
    repository: &RepositoryName,
    reference: &ManifestRef,
    sent: Sent<'_>,
) -> Result<Stored, ApiError> {
    let Sent { header, bytes, named, if_tags } = sent;
    let invalid = |message: String| ApiError::new(Kind::ManifestInvalid, message);
    let summary = Summary::read(bytes).map_err(invalid)?;
    let media_type = summary.stored_type(header).map_err(invalid)?;
    if !is_media_type(media_type) {
        return Err(invalid(format!("`{}` is not a media type", media_type.escape_default())));
    }
    let subject = summary.subject().map_err(invalid)?;
    let by_path = match reference {
        ManifestRef::Tag(tag) => Some(tag),
        ManifestRef::Digest(_) => None,
    };
    let tags = in_order(by_path.into_iter().chain(&named));
    let digest = match reference {
        ManifestRef::Tag(_) => Digest::sha256(bytes),
        ManifestRef::Digest(digest) => {
            let actual = Digest::of(digest.algorithm(), bytes);
            if actual != *digest {
                let message = format!("the manifest's digest is {actual}, not {digest}");
                return Err(ApiError::new(Kind::DigestInvalid, message));
            }
            actual
        }
    };
    let new = NewManifest {
        media_type,
        digest: &digest,
        bytes,
        summary: &summary,
        subject: subject.as_ref(),
        tags: &tags,
        if_tags: if_tags.as_ref(),
    };
    store.put_manifest(repository, &new)?;
    let create_only = tags.iter().filter(|tag| store.is_create_only(tag)).cloned().collect();
    let location = format!("/v2/{repository}/manifests/{digest}");
    Ok(Stored { location, digest, named, create_only, subject })
}

/// Each tag once, where it is first named. They are set in this order: a client that names last what it looks for first
/// knows by it that a PUT was not cut short.
fn in_order<'t>(tags: impl Iterator<Item = &'t Tag>) -> Vec<Tag> {
    let mut seen = HashSet::new();
    tags.filter(|tag| seen.insert(tag.as_str())).cloned().collect()
}

/// RFC 6838, 4.2, near enough: it becomes a header's value and a line in a file.
fn is_media_type(text: &str) -> bool {
    text.len() <= 255 && text.contains('/') && text.bytes().all(|b| b.is_ascii_graphic())
}

/// DELETE of a manifest with its tags, or of a tag alone.
pub(crate) async fn delete(app: &App, repository: RepositoryName, reference: ManifestRef) -> Answer {
    let store = app.store.clone();
    let (repository, reference, removed) = blocking(move || {
        let removed = match &reference {
            ManifestRef::Tag(tag) => store.delete_tag(&repository, tag),
            ManifestRef::Digest(digest) => store.delete_manifest(&repository, digest),
        };
        removed.map(|removed| (repository, reference, removed))
    })
    .await?;
    if removed { Ok(status(StatusCode::ACCEPTED)) } else { Err(unknown(&repository, &reference)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_set_in_the_order_of_the_request() {
        let tags: Vec<Tag> =
            ["4.1.6-0", "4.1.6", "4.1", "4.1.6", "4"].map(|tag| tag.parse().unwrap()).to_vec();
        let ordered: Vec<String> = in_order(tags.iter()).iter().map(ToString::to_string).collect();
        assert_eq!(ordered, ["4.1.6-0", "4.1.6", "4.1", "4"]);
    }
}
