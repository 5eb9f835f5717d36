//! A path becomes an endpoint with checked names (distribution-spec 1.1, "Endpoints"). Pure.
//!
//! A repository name may itself hold words as `blobs` or `manifests`: paths are read from their end.

use perijove_oci::Digest;
use perijove_oci::digest::DigestError;

use super::query::decode;
use crate::names::{NameError, RepositoryName, UploadId};
use crate::store::ManifestRef;

/// An endpoint of the specification.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/v2/` (end-1).
    Support,
    /// `/v2/_catalog`, as Docker's API has it.
    Catalog,
    /// `/v2/NAME/tags/list` (end-8).
    Tags(RepositoryName),
    /// `/v2/NAME/referrers/DIGEST` (end-12).
    Referrers(RepositoryName, Digest),
    /// `/v2/NAME/manifests/REFERENCE` (end-3, end-7, end-9).
    Manifest(RepositoryName, ManifestRef),
    /// `/v2/NAME/blobs/DIGEST` (end-2, end-10).
    Blob(RepositoryName, Digest),
    /// `/v2/NAME/blobs/uploads/` (end-4, end-11).
    Uploads(RepositoryName),
    /// `/v2/NAME/blobs/uploads/UUID` (end-5, end-6, end-13, end-14).
    Upload(RepositoryName, UploadId),
}

/// Why a path is no endpoint.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RouteError {
    /// Nothing looks like this.
    NoEndpoint,
    /// A name in it is wrong.
    Name(NameError),
    /// A digest in it is wrong.
    Digest(DigestError),
}

impl From<NameError> for RouteError {
    fn from(error: NameError) -> Self {
        RouteError::Name(error)
    }
}

impl From<DigestError> for RouteError {
    fn from(error: DigestError) -> Self {
        RouteError::Digest(error)
    }
}

/// Reads a path.
pub(crate) fn route(path: &str) -> Result<Route, RouteError> {
    let decoded;
    let path = if path.contains('%') {
        decoded = decode(path).ok_or(RouteError::NoEndpoint)?;
        decoded.as_str()
    } else {
        path
    };
    let rest = match path.strip_prefix("/v2") {
        Some("" | "/") => return Ok(Route::Support),
        Some("/_catalog") => return Ok(Route::Catalog),
        Some(rest) => rest.strip_prefix('/').ok_or(RouteError::NoEndpoint)?,
        None => return Err(RouteError::NoEndpoint),
    };
    if let Some(name) = rest.strip_suffix("/blobs/uploads/").or_else(|| rest.strip_suffix("/blobs/uploads")) {
        return Ok(Route::Uploads(name.parse()?));
    }
    let (front, last) = rest.rsplit_once('/').ok_or(RouteError::NoEndpoint)?;
    let (name, kind) = front.rsplit_once('/').ok_or(RouteError::NoEndpoint)?;
    match kind {
        "manifests" => {
            let name = name.parse()?;
            // No tag holds a colon, every digest does.
            let reference = match last.contains(':') {
                true => ManifestRef::Digest(last.parse()?),
                false => ManifestRef::Tag(last.parse()?),
            };
            Ok(Route::Manifest(name, reference))
        }
        "blobs" => Ok(Route::Blob(name.parse()?, last.parse()?)),
        "referrers" => Ok(Route::Referrers(name.parse()?, last.parse()?)),
        "tags" if last == "list" => Ok(Route::Tags(name.parse()?)),
        "uploads" => match name.strip_suffix("/blobs") {
            Some(name) => Ok(Route::Upload(name.parse()?, last.parse()?)),
            None => Err(RouteError::NoEndpoint),
        },
        _ => Err(RouteError::NoEndpoint),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "0b5c0c3e-8d5f-4f0e-9c53-64bbf2a1f0aa";

    fn name(text: &str) -> RepositoryName {
        text.parse().unwrap()
    }

    #[test]
    fn endpoints() {
        let digest = Digest::sha256(b"x");
        let tag = |text: &str| ManifestRef::Tag(text.parse().unwrap());
        let cases = [
            ("/v2".to_owned(), Route::Support),
            ("/v2/".to_owned(), Route::Support),
            ("/v2/_catalog".to_owned(), Route::Catalog),
            ("/v2/a/tags/list".to_owned(), Route::Tags(name("a"))),
            ("/v2/a/b/manifests/1.0".to_owned(), Route::Manifest(name("a/b"), tag("1.0"))),
            (
                format!("/v2/a/manifests/{digest}"),
                Route::Manifest(name("a"), ManifestRef::Digest(digest.clone())),
            ),
            (format!("/v2/a/blobs/sha256%3A{}", digest.hex()), Route::Blob(name("a"), digest.clone())),
            (format!("/v2/a/referrers/{digest}"), Route::Referrers(name("a"), digest.clone())),
            ("/v2/a/blobs/uploads/".to_owned(), Route::Uploads(name("a"))),
            ("/v2/a/blobs/uploads".to_owned(), Route::Uploads(name("a"))),
            (format!("/v2/a/b/blobs/uploads/{UUID}"), Route::Upload(name("a/b"), UUID.parse().unwrap())),
            // Names made of the endpoints' words.
            (
                "/v2/manifests/manifests/manifests/t".to_owned(),
                Route::Manifest(name("manifests/manifests"), tag("t")),
            ),
            (
                "/v2/a/blobs/uploads/manifests/t".to_owned(),
                Route::Manifest(name("a/blobs/uploads"), tag("t")),
            ),
            ("/v2/tags/list/tags/list".to_owned(), Route::Tags(name("tags/list"))),
        ];
        for (path, wanted) in cases {
            assert_eq!(route(&path), Ok(wanted), "{path}");
        }
    }

    #[test]
    fn what_is_no_endpoint() {
        for path in [
            "",
            "/",
            "/v1/",
            "/v2x",
            "/v2/a",
            "/v2/a/b",
            "/v2/a/tags/other",
            "/v2//",
            "/v2/a/uploads/x",
            "/v2/%zz/tags/list",
        ] {
            assert_eq!(route(path), Err(RouteError::NoEndpoint), "{path}");
        }
        for path in [
            "/v2/../tags/list",
            "/v2/a/../b/tags/list",
            "/v2/%2e%2e/tags/list",
            "/v2/a/%2e%2e%2f%2e%2e/tags/list",
            "/v2/A/tags/list",
            "/v2/_blobs/tags/list",
            "/v2//tags/list",
            "/v2/a//tags/list",
            "/v2/a/manifests/..",
            "/v2/a/manifests/.hidden",
            "/v2/a/manifests/",
            "/v2/a/blobs/uploads/..",
            "/v2/a%00/tags/list",
        ] {
            assert!(matches!(route(path), Err(RouteError::Name(_))), "{path}: {:?}", route(path));
        }
        for path in
            ["/v2/a/blobs/x", "/v2/a/blobs/sha256:..", "/v2/a/manifests/sha256:x", "/v2/a/referrers/.."]
        {
            assert!(matches!(route(path), Err(RouteError::Digest(_))), "{path}");
        }
        let long = format!("/v2/{}/tags/list", "a".repeat(256));
        assert!(matches!(route(&long), Err(RouteError::Name(_))));
    }

    proptest! {
        #[test]
        fn any_path_is_an_endpoint_or_refused(path in r"/v2/([a-z%0-9._:/-]|\PC){0,60}") {
            let _no_panic = route(&path);
        }

        #[test]
        fn accepted_names_hold_no_dots_of_a_path(
            parts in proptest::collection::vec(r"(\.\.|%2e%2e|%2F|[a-z]{1,3}|_blobs|blobs|uploads|manifests|tags|list)", 1..7)
        ) {
            if let Ok(Route::Manifest(name, _) | Route::Tags(name) | Route::Uploads(name)) =
                route(&format!("/v2/{}", parts.join("/")))
            {
                prop_assert!(name.as_str().split('/').all(|part| !part.starts_with(['.', '_']) && !part.is_empty()));
            }
        }
    }
}
