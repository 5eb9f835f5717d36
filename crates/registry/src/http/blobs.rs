//! Blobs: GET, HEAD, DELETE (distribution-spec 1.1, "Pulling blobs", "Deleting Blobs").

use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, IF_RANGE, RANGE,
};
use http::{HeaderMap, Response, StatusCode};
use perijove_oci::Digest;

use super::answer::{Answer, digest_headers, is_unchanged, not_modified, status, text};
use super::body::Body;
use super::errors::{ApiError, Kind};
use super::range::{self, Range};
use super::sendfile::Outbox;
use super::{App, blocking};
use crate::names::RepositoryName;

fn unknown(repository: &RepositoryName, digest: &Digest) -> ApiError {
    ApiError::new(Kind::BlobUnknown, format!("`{repository}` has no blob {digest}"))
}

/// HEAD: a promise to a push that the blob stays for now.
pub(crate) async fn head(app: &App, repository: RepositoryName, digest: Digest) -> Answer {
    let store = app.store.clone();
    let (repository, digest, size) =
        blocking(move || store.blob_size(&repository, &digest).map(|size| (repository, digest, size)))
            .await?;
    let size = size.ok_or_else(|| unknown(&repository, &digest))?;
    let mut response = blob_response(&digest)?;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(size));
    Ok(response)
}

/// GET, also of a range.
pub(crate) async fn get(
    app: &App,
    repository: RepositoryName,
    digest: Digest,
    headers: &HeaderMap,
    outbox: Option<&Outbox>,
) -> Answer {
    let store = app.store.clone();
    let (repository, digest, blob) =
        blocking(move || store.open_blob(&repository, &digest).map(|blob| (repository, digest, blob)))
            .await?;
    let blob = blob.ok_or_else(|| unknown(&repository, &digest))?;
    if is_unchanged(headers, &digest) {
        return not_modified(&digest);
    }
    let mut response = blob_response(&digest)?;
    // RFC 9110, 13.1.5: a range of another version is not wanted.
    let same = headers.get(IF_RANGE).is_none_or(|tag| tag.as_bytes() == format!("\"{digest}\"").as_bytes());
    let wanted = headers.get(RANGE).filter(|_| same).and_then(|value| value.to_str().ok());
    let (first, length) = match range::range(wanted, blob.size) {
        Range::Whole => (0, blob.size),
        Range::Unsatisfiable => return Err(ApiError::unsatisfiable(blob.size)),
        Range::Part { first, last } => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let value = text(&format!("bytes {first}-{last}/{}", blob.size))?;
            response.headers_mut().insert(CONTENT_RANGE, value);
            (first, last - first + 1)
        }
    };
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    *response.body_mut() = Body::file(blob.file, first, length, outbox);
    Ok(response)
}

/// DELETE.
pub(crate) async fn delete(app: &App, repository: RepositoryName, digest: Digest) -> Answer {
    let store = app.store.clone();
    let (repository, digest, removed) = blocking(move || {
        store.delete_blob(&repository, &digest).map(|removed| (repository, digest, removed))
    })
    .await?;
    if removed { Ok(status(StatusCode::ACCEPTED)) } else { Err(unknown(&repository, &digest)) }
}

fn blob_response(digest: &Digest) -> Result<Response<Body>, ApiError> {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    digest_headers(headers, digest)?;
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    Ok(response)
}
