//! "Pull": manifests, blobs, ranges.

use super::*;

mod pulling_manifests {
    use super::*;

    #[test]
    fn by_tag_and_by_digest_whatever_the_client_accepts() {
        let (_registry, client) = registry();
        let (manifest, digest) = client.push_image("a/b", "t", b"layer");
        for reference in ["t".to_owned(), digest.to_string(), digest.to_string().replace(':', "%3A")] {
            let path = format!("/v2/a/b/manifests/{reference}");
            for accept in [None, Some("text/html"), Some(MANIFEST)] {
                let headers: Vec<_> = accept.map(|value| ("Accept", value)).into_iter().collect();
                // Once from the disk and once from memory.
                for _ in 0..2 {
                    let reply = client.send("GET", &path, &headers, b"").expect(200);
                    assert_eq!(reply.body, manifest);
                    assert_eq!(reply.header("content-type"), Some(MANIFEST));
                    assert_eq!(reply.header("docker-content-digest"), Some(digest.to_string().as_str()));
                }
            }
            let reply = client.head(&path).expect(200);
            assert_eq!(reply.header("content-length"), Some(manifest.len().to_string().as_str()));
            assert_eq!(reply.header("docker-content-digest"), Some(digest.to_string().as_str()));
            let same = format!("\"{digest}\"");
            client.send("GET", &path, &[("If-None-Match", &same)], b"").expect(304);
            client.send("GET", &path, &[("If-None-Match", "\"other\"")], b"").expect(200);
        }
        client.get("/v2/a/c/manifests/t").refused(404, "MANIFEST_UNKNOWN");
        client.head("/v2/a/b/manifests/u").expect(404);
    }
}

mod pulling_blobs {
    use super::*;

    #[test]
    fn whole_and_in_ranges() {
        let (_registry, client) = registry();
        let digest = client.push_blob("a", b"0123456789");
        let path = format!("/v2/a/blobs/{digest}");
        let reply = client.get(&path).expect(200);
        assert_eq!(reply.body, b"0123456789");
        assert_eq!(reply.header("docker-content-digest"), Some(digest.to_string().as_str()));
        assert_eq!(reply.header("accept-ranges"), Some("bytes"));
        let reply = client.head(&path).expect(200);
        assert_eq!(reply.header("content-length"), Some("10"));
        assert_eq!(reply.header("docker-content-digest"), Some(digest.to_string().as_str()));

        let ranges = [
            ("bytes=2-4", 206, "234", Some("bytes 2-4/10")),
            ("bytes=7-", 206, "789", Some("bytes 7-9/10")),
            ("bytes=-2", 206, "89", Some("bytes 8-9/10")),
            ("bytes=8-99", 206, "89", Some("bytes 8-9/10")),
            ("bytes=0-0,2-2", 200, "0123456789", None),
            ("bytes=5-1", 416, "", Some("bytes */10")),
            ("bytes=10-", 416, "", Some("bytes */10")),
        ];
        for (range, status, body, content_range) in ranges {
            let reply = client.send("GET", &path, &[("Range", range)], b"").expect(status);
            assert_eq!(reply.header("content-range"), content_range, "{range}");
            if status != 416 {
                assert_eq!(reply.body, body.as_bytes(), "{range}");
            }
        }
        let reply = client.send("GET", &path, &[("Range", "bytes=1-1"), ("If-Range", "\"other\"")], b"");
        assert_eq!(reply.expect(200).body.len(), 10);
        let tag = format!("\"{digest}\"");
        client.send("GET", &path, &[("Range", "bytes=1-1"), ("If-Range", &tag)], b"").expect(206);
        client.send("GET", &path, &[("If-None-Match", &tag)], b"").expect(304);
    }

    #[test]
    fn larger_than_a_window() {
        let (_registry, client) = registry();
        let bytes: Vec<u8> = (0..3_000_001u32).map(|n| (n % 251) as u8).collect();
        let path = format!("/v2/a/blobs/{}", client.push_blob("a", &bytes));
        assert!(client.get(&path).expect(200).body == bytes);
        let reply = client.send("GET", &path, &[("Range", "bytes=262143-2600000")], b"").expect(206);
        assert!(reply.body == bytes[262_143..=2_600_000]);
    }

    #[test]
    fn a_blob_belongs_to_its_repository() {
        let (_registry, client) = registry();
        let digest = client.push_blob("a", b"x");
        client.get(&format!("/v2/b/blobs/{digest}")).refused(404, "BLOB_UNKNOWN");
        client.head(&format!("/v2/b/blobs/{digest}")).expect(404);
    }
}
