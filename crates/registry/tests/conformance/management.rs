//! "Content Management": tags, manifests, blobs are deleted.

use super::*;

#[test]
fn a_tag_alone() {
    let (_registry, client) = registry();
    let (_, digest) = client.push_image("a", "t", b"x");
    client.get("/v2/a/manifests/t").expect(200);
    client.delete("/v2/a/manifests/t").expect(202);
    client.get("/v2/a/manifests/t").refused(404, "MANIFEST_UNKNOWN");
    client.delete("/v2/a/manifests/t").refused(404, "MANIFEST_UNKNOWN");
    client.get(&format!("/v2/a/manifests/{digest}")).expect(200);
    assert_eq!(client.get("/v2/a/tags/list").expect(200).json()["tags"], json!([]));
}

#[test]
fn a_manifest_with_its_tags() {
    let (_registry, client) = registry();
    let (_, digest) = client.push_image("a", "t", b"x");
    client.push_image("a", "t2", b"x");
    client.push_image("a", "other", b"y");
    client.get("/v2/a/manifests/t").expect(200);
    client.delete(&format!("/v2/a/manifests/{digest}")).expect(202);
    for reference in ["t", "t2", &digest.to_string()] {
        client.get(&format!("/v2/a/manifests/{reference}")).refused(404, "MANIFEST_UNKNOWN");
    }
    assert_eq!(client.get("/v2/a/tags/list").expect(200).json()["tags"], json!(["other"]));
}

#[test]
fn a_blob_in_one_repository() {
    let (_registry, client) = registry();
    let digest = client.push_blob("a", b"x");
    client.push_blob("b", b"x");
    let path = format!("/v2/a/blobs/{digest}");
    client.delete(&path).expect(202);
    client.get(&path).refused(404, "BLOB_UNKNOWN");
    client.delete(&path).refused(404, "BLOB_UNKNOWN");
    client.get(&format!("/v2/b/blobs/{digest}")).expect(200);
    client.push_blob("a", b"x");
    client.get(&path).expect(200);
}
