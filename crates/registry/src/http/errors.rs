//! Errors as the specification words them: one table from kind to status and code, one body.
//!
//! distribution-spec 1.1, "Error Codes". Where the list has no word of its own, the nearest is taken.

use std::borrow::Cow;

use bytes::Bytes;
use http::header::{CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use perijove_oci::digest::DigestError;
use serde_json::{Value, json};

use super::body::Body;
use crate::names::NameError;
use crate::store::StoreError;

/// What a client did wrong, or the registry cannot do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BlobUnknown,
    ChunkOutOfOrder,
    DigestInvalid,
    Conflict,
    Denied,
    HeadersTooLarge,
    Internal,
    ManifestInvalid,
    ManifestTooLarge,
    ManifestUnknown,
    MethodNotAllowed,
    NameInvalid,
    NameUnknown,
    NoEndpoint,
    QueryInvalid,
    RangeUnsatisfiable,
    SizeInvalid,
    StoreFull,
    TagInvalid,
    TagsChanged,
    TooManyLogins,
    TooManyTags,
    Unauthorized,
    UploadBusy,
    UploadInvalid,
    UploadTooLarge,
    UploadUnknown,
}

impl Kind {
    /// The table: status and OCI code.
    fn row(self) -> (StatusCode, &'static str) {
        match self {
            Kind::BlobUnknown => (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"),
            Kind::ChunkOutOfOrder => (StatusCode::RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
            Kind::Conflict => (StatusCode::CONFLICT, "DENIED"),
            Kind::Denied => (StatusCode::FORBIDDEN, "DENIED"),
            Kind::DigestInvalid => (StatusCode::BAD_REQUEST, "DIGEST_INVALID"),
            Kind::HeadersTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "UNSUPPORTED"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "UNKNOWN"),
            Kind::ManifestInvalid => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Kind::ManifestTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "MANIFEST_INVALID"),
            Kind::ManifestUnknown => (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"),
            Kind::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED"),
            Kind::NameInvalid => (StatusCode::BAD_REQUEST, "NAME_INVALID"),
            Kind::NameUnknown => (StatusCode::NOT_FOUND, "NAME_UNKNOWN"),
            Kind::NoEndpoint => (StatusCode::NOT_FOUND, "UNSUPPORTED"),
            Kind::QueryInvalid => (StatusCode::BAD_REQUEST, "UNSUPPORTED"),
            Kind::RangeUnsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, "SIZE_INVALID"),
            Kind::SizeInvalid => (StatusCode::BAD_REQUEST, "SIZE_INVALID"),
            Kind::StoreFull => (StatusCode::INSUFFICIENT_STORAGE, "DENIED"),
            Kind::TagInvalid => (StatusCode::BAD_REQUEST, "MANIFEST_INVALID"),
            Kind::TagsChanged => (StatusCode::PRECONDITION_FAILED, "DENIED"),
            Kind::TooManyLogins => (StatusCode::TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
            Kind::TooManyTags => (StatusCode::URI_TOO_LONG, "UNSUPPORTED"),
            Kind::Unauthorized => (StatusCode::UNAUTHORIZED, "UNAUTHORIZED"),
            Kind::UploadBusy => (StatusCode::CONFLICT, "BLOB_UPLOAD_INVALID"),
            Kind::UploadInvalid => (StatusCode::BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
            Kind::UploadTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID"),
            Kind::UploadUnknown => (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
        }
    }
}

/// One error for a client.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Details>);

#[derive(Debug)]
struct Details {
    kind: Kind,
    message: Cow<'static, str>,
    detail: Option<Value>,
    header: Option<(HeaderName, HeaderValue)>,
    /// For the operator only: names files of the store.
    cause: Option<String>,
}

impl ApiError {
    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        ApiError(Box::new(Details { kind, message: message.into(), detail: None, header: None, cause: None }))
    }

    pub(crate) fn with_detail(mut self, detail: Value) -> Self {
        self.0.detail = Some(detail);
        self
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    pub(crate) fn with_cause(mut self, cause: String) -> Self {
        self.0.cause = Some(cause);
        self
    }

    /// 416 for a GET, with the length that there is (RFC 9110, 15.5.17).
    pub(crate) fn unsatisfiable(size: u64) -> Self {
        let error = ApiError::new(Kind::RangeUnsatisfiable, "the blob ends before this range");
        match HeaderValue::from_str(&format!("bytes */{size}")) {
            Ok(value) => error.with_header(CONTENT_RANGE, value),
            Err(_) => error,
        }
    }

    /// What the operator should know of it and the client should not.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let Details { kind, message, detail, header, cause: _ } = *self.0;
        let (status, code) = kind.row();
        let mut error = json!({ "code": code, "message": message });
        if let Some(detail) = detail {
            error["detail"] = detail;
        }
        let text = json!({ "errors": [error] }).to_string();
        let mut response = Response::new(Body::from(Bytes::from(text)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match kind {
            Kind::Unauthorized => {
                let challenge = HeaderValue::from_static(r#"Basic realm="perijove", charset="UTF-8""#);
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            Kind::TooManyLogins => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        if let Some((name, value)) = header {
            headers.insert(name, value);
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full { .. } => {
                ApiError::new(Kind::StoreFull, "no space is left in the registry's store")
                    .with_cause(error.to_string())
            }
            StoreError::File { .. } => ApiError::new(Kind::Internal, "the registry cannot use its store")
                .with_cause(error.to_string()),
            StoreError::Digest { expected, actual } => ApiError::new(
                Kind::DigestInvalid,
                format!("the content's digest is {actual}, not {expected}"),
            )
            .with_detail(json!({ "expected": expected, "actual": actual })),
            StoreError::NoUpload => ApiError::new(Kind::UploadUnknown, "no such upload session: begin again"),
            StoreError::UploadBusy => {
                ApiError::new(Kind::UploadBusy, "another request is using this upload session")
            }
            StoreError::TagTaken { tag, existing } => ApiError::new(
                Kind::Conflict,
                format!("tag `{tag}` is create-only and names {existing} already: choose another tag"),
            )
            .with_detail(json!({ "tag": tag, "digest": existing })),
            StoreError::TagsChanged => ApiError::new(
                Kind::TagsChanged,
                "the repository has other tags than `Perijove-Tags` says: list them again",
            ),
        }
    }
}

impl From<DigestError> for ApiError {
    fn from(error: DigestError) -> Self {
        ApiError::new(Kind::DigestInvalid, error.to_string())
    }
}

impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        let kind = match error {
            NameError::Repository(_) => Kind::NameInvalid,
            NameError::Tag(_) => Kind::TagInvalid,
            NameError::Upload(_) => Kind::UploadUnknown,
        };
        ApiError::new(kind, error.to_string())
    }
}
