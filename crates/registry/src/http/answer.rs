//! Pieces that several endpoints' answers are made of.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{HeaderMap, Response, StatusCode};
use perijove_oci::Digest;
use serde::Serialize;

use super::body::Body;
use super::errors::{ApiError, Kind};

/// What an endpoint gives.
pub(crate) type Answer = Result<Response<Body>, ApiError>;

/// The digest of what is answered (distribution-spec 1.1).
pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// An answer without a body.
pub(crate) fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A JSON answer.
pub(crate) fn json<T: Serialize>(media_type: &'static str, value: &T) -> Answer {
    let bytes = serde_json::to_vec(value).map_err(|e| ApiError::new(Kind::Internal, e.to_string()))?;
    let mut response = Response::new(Body::from(Bytes::from(bytes)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    Ok(response)
}

/// A header's value of a text that was made here.
pub(crate) fn text(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(text)
        .map_err(|_| ApiError::new(Kind::Internal, "a header's value holds a control character"))
}

/// `Docker-Content-Digest` and `ETag`.
pub(crate) fn digest_headers(headers: &mut HeaderMap, digest: &Digest) -> Result<(), ApiError> {
    let digest = digest.to_string();
    headers.insert(ETAG, text(&format!("\"{digest}\""))?);
    headers.insert(CONTENT_DIGEST, text(&digest)?);
    Ok(())
}

/// Whether the client has this content already (RFC 9110, 13.1.2).
pub(crate) fn is_unchanged(headers: &HeaderMap, digest: &Digest) -> bool {
    let Some(value) = headers.get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()) else { return false };
    let digest = digest.to_string();
    value.split(',').map(|tag| tag.trim().trim_start_matches("W/").trim_matches('"')).any(|tag| tag == digest)
}

/// 304.
pub(crate) fn not_modified(digest: &Digest) -> Answer {
    let mut response = status(StatusCode::NOT_MODIFIED);
    digest_headers(response.headers_mut(), digest)?;
    Ok(response)
}
