//! "Pushing Manifests", with several tags and with subjects.

use super::*;

#[test]
fn by_digest_with_several_tags() {
    let (_registry, client) = registry();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let manifest = image_by(algorithm, b"{}", &[]);
        let digest = Digest::of(algorithm, &manifest);
        let name = algorithm.name();
        let tags: Vec<String> = (0..12).map(|n| format!("{name}-{n}")).collect();
        let path = format!("/v2/a/manifests/{digest}?tag={}", tags.join("&tag="));
        let reply = client.put(&path, MANIFEST, &manifest).expect(201);
        assert_eq!(reply.all("oci-tag").collect::<Vec<_>>(), tags);
        assert_eq!(reply.header("docker-content-digest"), Some(digest.to_string().as_str()));
        assert_eq!(reply.header("location"), Some(format!("/v2/a/manifests/{digest}").as_str()));
        for tag in &tags {
            let reply = client.get(&format!("/v2/a/manifests/{tag}")).expect(200);
            assert_eq!(reply.body, manifest);
            assert_eq!(reply.header("docker-content-digest"), Some(digest.to_string().as_str()));
        }
    }
    let manifest = image(b"{}", &[]);
    let path = format!("/v2/a/manifests/{}?tag=", Digest::sha256(&manifest));
    client.put(&format!("{path}-x"), MANIFEST, &manifest).refused(400, "MANIFEST_INVALID");
    let many = (0..101).map(|n| n.to_string()).collect::<Vec<_>>().join("&tag=");
    client.put(&format!("{path}{many}"), MANIFEST, &manifest).refused(414, "UNSUPPORTED");
}

#[test]
fn a_tag_moves_to_the_last_one_put() {
    let (_registry, client) = registry();
    for layer in ["one", "two", "three"] {
        let (manifest, _) = client.push_image("a", "latest", layer.as_bytes());
        assert_eq!(client.get("/v2/a/manifests/latest").expect(200).body, manifest);
    }
}

#[test]
fn what_is_refused() {
    let (_registry, client) = registry();
    let manifest = image(b"{}", &[]);
    let other = Digest::sha256(b"other");
    client.put(&format!("/v2/a/manifests/{other}"), MANIFEST, &manifest).refused(400, "DIGEST_INVALID");
    client.put("/v2/a/manifests/t", INDEX, &manifest).refused(400, "MANIFEST_INVALID");
    client.put("/v2/a/manifests/t", MANIFEST, b"{").refused(400, "MANIFEST_INVALID");
    client.put("/v2/a/manifests/t", MANIFEST, b"[]").refused(400, "MANIFEST_INVALID");
    client.put("/v2/a/manifests/t", "nonsense", b"{}").refused(400, "MANIFEST_INVALID");
    let odd = json!({ "schemaVersion": 2, "mediaType": "a/b\r\nX-Header: 1" }).to_string();
    client.send("PUT", "/v2/a/manifests/t", &[], odd.as_bytes()).refused(400, "MANIFEST_INVALID");
    client.get("/v2/a/manifests/t").refused(404, "MANIFEST_UNKNOWN");
}

#[test]
fn the_type_is_kept_without_its_parameters() {
    let (_registry, client) = registry();
    client.put("/v2/a/manifests/t", &format!("{MANIFEST}; charset=utf-8"), &image(b"{}", &[])).expect(201);
    assert_eq!(client.get("/v2/a/manifests/t").expect(200).header("content-type"), Some(MANIFEST));
    client.send("PUT", "/v2/a/manifests/u", &[], &image(b"{}", &[])).expect(201);
    assert_eq!(client.get("/v2/a/manifests/u").expect(200).header("content-type"), Some(MANIFEST));
    client.put("/v2/a/manifests/v", "application/vnd.example+json", b"{\"own\": [1]}").expect(201);
    let reply = client.get("/v2/a/manifests/v").expect(200);
    assert_eq!(reply.header("content-type"), Some("application/vnd.example+json"));
    assert_eq!(reply.body, b"{\"own\": [1]}");
}

#[test]
fn before_its_blobs_and_with_layers_from_elsewhere() {
    let (_registry, client) = registry();
    let mut manifest: serde_json::Value = serde_json::from_slice(&image(b"{}", &[b"absent"])).unwrap();
    manifest["layers"][0]["mediaType"] =
        json!("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip");
    manifest["layers"][0]["urls"] = json!(["http://layers.example/1"]);
    let bytes = manifest.to_string().into_bytes();
    client.put("/v2/a/manifests/t", MANIFEST, &bytes).expect(201);
    let absent = descriptor(MANIFEST, &Digest::sha256(b"absent"), 6);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [absent] }).to_string();
    client.put("/v2/a/manifests/index", INDEX, index.as_bytes()).expect(201);
}

#[test]
fn four_megabytes_and_no_more_than_the_limit() {
    let (_registry, client) = registry();
    let manifest = |length: usize| {
        let mut value: serde_json::Value = serde_json::from_slice(&image(b"{}", &[])).unwrap();
        value["annotations"] = json!({ "long": "x".repeat(length) });
        value.to_string().into_bytes()
    };
    let large = manifest(4 << 20);
    client.put("/v2/a/manifests/t", MANIFEST, &large).expect(201);
    assert!(client.get("/v2/a/manifests/t").expect(200).body == large);
    client.put("/v2/a/manifests/u", MANIFEST, &manifest(9 << 20)).refused(413, "MANIFEST_INVALID");
}
