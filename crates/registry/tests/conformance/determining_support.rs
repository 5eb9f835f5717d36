//! "Determining Support" and "Error Codes".

use super::*;

#[test]
fn the_root_answers() {
    let (_registry, client) = registry();
    for path in ["/v2/", "/v2"] {
        let reply = client.get(path).expect(200);
        assert_eq!(reply.header("docker-distribution-api-version"), Some("registry/2.0"));
    }
}

#[test]
fn every_refusal_has_the_error_form() {
    let (_registry, client) = registry();
    let digest = Digest::sha256(b"nothing");
    let id = "0b5c0c3e-8d5f-4f0e-9c53-64bbf2a1f0aa";
    let cases = [
        ("GET", "/".to_owned(), 404, "UNSUPPORTED"),
        ("GET", "/v2/a/what".to_owned(), 404, "UNSUPPORTED"),
        ("GET", "/v2/A/tags/list".to_owned(), 400, "NAME_INVALID"),
        ("GET", "/v2/a/../b/tags/list".to_owned(), 400, "NAME_INVALID"),
        ("GET", "/v2/%2e%2e/tags/list".to_owned(), 400, "NAME_INVALID"),
        ("GET", "/v2/a/tags/list".to_owned(), 404, "NAME_UNKNOWN"),
        ("GET", "/v2/a/tags/list?n=x".to_owned(), 400, "UNSUPPORTED"),
        ("GET", "/v2/a/tags/list?last=%zz".to_owned(), 400, "UNSUPPORTED"),
        ("GET", "/v2/a/manifests/latest".to_owned(), 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/a/manifests/.no-tag".to_owned(), 404, "MANIFEST_UNKNOWN"),
        ("GET", format!("/v2/a/manifests/{digest}"), 404, "MANIFEST_UNKNOWN"),
        ("GET", "/v2/a/manifests/sha256:x".to_owned(), 400, "DIGEST_INVALID"),
        ("GET", format!("/v2/a/blobs/{digest}"), 404, "BLOB_UNKNOWN"),
        ("GET", "/v2/a/blobs/sha256:x".to_owned(), 400, "DIGEST_INVALID"),
        ("GET", "/v2/a/blobs/md5:aaaa".to_owned(), 400, "DIGEST_INVALID"),
        ("GET", "/v2/a/referrers/sha256:x".to_owned(), 400, "DIGEST_INVALID"),
        ("GET", format!("/v2/a/blobs/uploads/{id}"), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PATCH", format!("/v2/a/blobs/uploads/{id}"), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PUT", format!("/v2/a/blobs/uploads/{id}?digest={digest}"), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("PUT", format!("/v2/a/blobs/uploads/{id}"), 400, "DIGEST_INVALID"),
        ("DELETE", format!("/v2/a/blobs/uploads/{id}"), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("GET", "/v2/a/blobs/uploads/x".to_owned(), 404, "BLOB_UPLOAD_UNKNOWN"),
        ("POST", "/v2/a/blobs/uploads/?digest=x".to_owned(), 400, "DIGEST_INVALID"),
        ("POST", "/v2/a/blobs/uploads/?digest-algorithm=md5".to_owned(), 400, "DIGEST_INVALID"),
        ("POST", "/v2/a/blobs/uploads/?mount=x".to_owned(), 400, "DIGEST_INVALID"),
        ("DELETE", "/v2/a/manifests/latest".to_owned(), 404, "MANIFEST_UNKNOWN"),
        ("DELETE", format!("/v2/a/manifests/{digest}"), 404, "MANIFEST_UNKNOWN"),
        ("DELETE", format!("/v2/a/blobs/{digest}"), 404, "BLOB_UNKNOWN"),
        ("PUT", "/v2/a/manifests/.no-tag".to_owned(), 400, "MANIFEST_INVALID"),
        ("PUT", "/v2/a/manifests/t".to_owned(), 400, "MANIFEST_INVALID"),
        ("POST", "/v2/a/manifests/t".to_owned(), 405, "UNSUPPORTED"),
        ("BREW", "/v2/".to_owned(), 405, "UNSUPPORTED"),
    ];
    for (method, path, status, code) in cases {
        let reply = client.send(method, &path, &[], b"");
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{method} {path}");
    }
    let reply = client.post("/v2/a/manifests/t", b"");
    assert_eq!(reply.header("allow"), Some("GET, HEAD, PUT, DELETE"));
}
