//! "Pushing blobs" and "Mounting a blob from another repository".

use perijove_registry::Mount;

use super::*;

mod pushing_blobs {
    use super::*;

    fn assert_pullable(client: &Client, location: Option<&str>, bytes: &[u8]) {
        assert_eq!(client.get(location.unwrap()).expect(200).body, bytes);
    }

    #[test]
    fn post_then_put() {
        let (_registry, client) = registry();
        for bytes in [&b"some bytes"[..], b""] {
            let digest = Digest::sha256(bytes);
            let place = client.begin("a");
            let reply = client.put(&format!("{place}?digest={digest}"), OCTETS, bytes).expect(201);
            assert_eq!(reply.header("docker-content-digest"), Some(digest.to_string().as_str()));
            assert_pullable(&client, reply.header("location"), bytes);
        }
    }

    #[test]
    fn single_post() {
        let (_registry, client) = registry();
        let digest = Digest::sha256(b"one");
        let reply = client.post(&format!("/v2/a/blobs/uploads/?digest={digest}"), b"one").expect(201);
        assert_pullable(&client, reply.header("location"), b"one");
    }

    #[test]
    fn in_chunks_in_order_only() {
        let (_registry, client) = registry();
        let place = client.begin("a");
        let chunk = |place: &str, range: &str, bytes: &[u8]| {
            client.send("PATCH", place, &[("Content-Range", range), ("Content-Type", OCTETS)], bytes)
        };
        chunk(&place, "3-5", b"345").refused(416, "BLOB_UPLOAD_INVALID");
        let reply = chunk(&place, "0-2", b"012").expect(202);
        assert_eq!(reply.header("range"), Some("0-2"));
        let place = reply.header("location").unwrap().to_owned();
        let late = chunk(&place, "0-2", b"012");
        assert_eq!(late.header("range"), Some("0-2"));
        late.refused(416, "BLOB_UPLOAD_INVALID");
        chunk(&place, "4-5", b"45").refused(416, "BLOB_UPLOAD_INVALID");
        chunk(&place, "3-9", b"345").refused(400, "SIZE_INVALID");
        chunk(&place, "x", b"345").refused(400, "BLOB_UPLOAD_INVALID");
        // A refused chunk changes nothing.
        let reply = client.get(&place).expect(204);
        assert_eq!(reply.header("range"), Some("0-2"));
        let place = reply.header("location").unwrap();
        chunk(place, "3-5", b"345").expect(202);
        let digest = Digest::sha256(b"01234567");
        let end = format!("{place}?digest={digest}");
        client.send("PUT", &end, &[("Content-Range", "7-8")], b"78").refused(416, "BLOB_UPLOAD_INVALID");
        let reply = client.send("PUT", &end, &[("Content-Range", "6-7")], b"67").expect(201);
        assert_pullable(&client, reply.header("location"), b"01234567");
        client.get(place).refused(404, "BLOB_UPLOAD_UNKNOWN");
    }

    #[test]
    fn as_a_stream() {
        let (_registry, client) = registry();
        let place = client.begin("a");
        // Chunked transfer: nobody knows the length before the end.
        let mut stream = client.connect();
        let head = client.head_of("PATCH", &place, &[("Transfer-Encoding", "chunked")]);
        stream.write_all(format!("{head}\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").as_bytes()).unwrap();
        let reply = support::read_reply(&mut stream, false).unwrap().expect(202);
        assert_eq!(reply.header("range"), Some("0-4"));
        client.send("PATCH", &place, &[], b"fg").expect(202);
        let digest = Digest::sha256(b"abcdefg");
        client.put(&format!("{place}?digest={digest}"), OCTETS, b"").expect(201);
        assert_eq!(client.get(&format!("/v2/a/blobs/{digest}")).expect(200).body, b"abcdefg");
    }

    #[test]
    fn a_byte_at_a_time() {
        let (_registry, client) = registry();
        let place = client.begin("a");
        let mut stream = client.connect();
        let head = client.head_of("PATCH", &place, &[("Transfer-Encoding", "chunked")]);
        let drops = "1\r\nx\r\n".repeat(3000);
        stream.write_all(format!("{head}\r\n{drops}0\r\n\r\n").as_bytes()).unwrap();
        support::read_reply(&mut stream, false).unwrap().expect(202);
        let digest = Digest::sha256(&[b'x'; 3000]);
        client.put(&format!("{place}?digest={digest}"), OCTETS, b"").expect(201);
    }

    #[test]
    fn a_cut_upload_goes_on_where_it_ended() {
        let (registry, client) = registry();
        let bytes: Vec<u8> = (0..900_000u32).map(|n| (n % 253) as u8).collect();
        let place = client.begin("a");
        let mut stream = client.connect();
        let head = client.head_of("PATCH", &place, &[]);
        stream.write_all(format!("{head}Content-Length: {}\r\n\r\n", bytes.len()).as_bytes()).unwrap();
        stream.write_all(&bytes[..700_000]).unwrap();
        drop(stream);
        // The registry may have to notice the cut first: then the session is still in use for a moment.
        let received = loop {
            let reply = client.get(&place).expect(204);
            let end: usize = reply.header("range").unwrap().strip_prefix("0-").unwrap().parse().unwrap();
            if end + 1 == 700_000 {
                break end + 1;
            }
            std::thread::yield_now();
        };
        // Also after the registry was started anew.
        let registry = registry.restart();
        let client = registry.client();
        let range = format!("{received}-{}", bytes.len() - 1);
        client.send("PATCH", &place, &[("Content-Range", &range)], &bytes[received..]).expect(202);
        let digest = Digest::sha256(&bytes);
        client.put(&format!("{place}?digest={digest}"), OCTETS, b"").expect(201);
        assert!(client.get(&format!("/v2/a/blobs/{digest}")).expect(200).body == bytes);
    }

    #[test]
    fn another_digest_is_refused_and_nothing_is_kept() {
        let (registry, client) = registry();
        let wrong = Digest::sha256(b"right");
        let place = client.begin("a");
        client.put(&format!("{place}?digest={wrong}"), OCTETS, b"wrong").refused(400, "DIGEST_INVALID");
        client.get(&place).refused(404, "BLOB_UPLOAD_UNKNOWN");
        client.post(&format!("/v2/a/blobs/uploads/?digest={wrong}"), b"wrong").refused(400, "DIGEST_INVALID");
        client.head(&format!("/v2/a/blobs/{wrong}")).expect(404);
        assert_eq!(std::fs::read_dir(registry.root().join("blobs/sha256")).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(registry.root().join("repositories/a/_uploads")).unwrap().count(), 0);
    }

    #[test]
    fn sha512_is_kept_as_named() {
        let (_registry, client) = registry();
        let digest = Digest::of(Algorithm::Sha512, b"long");
        let reply = client.post("/v2/a/blobs/uploads/?digest-algorithm=sha512", b"").expect(202);
        let place = reply.header("location").unwrap();
        let reply = client.put(&format!("{place}?digest={digest}"), OCTETS, b"long").expect(201);
        assert_eq!(reply.header("docker-content-digest"), Some(digest.to_string().as_str()));
        assert_eq!(reply.header("location"), Some(format!("/v2/a/blobs/{digest}").as_str()));
        assert_pullable(&client, reply.header("location"), b"long");
        // Without being told first, and in a session that began with another algorithm.
        let digest = Digest::of(Algorithm::Sha512, b"longer");
        client.put(&format!("{}?digest={digest}", client.begin("a")), OCTETS, b"longer").expect(201);
        assert_eq!(
            client.head(&format!("/v2/a/blobs/{digest}")).expect(200).header("content-length"),
            Some("6")
        );
    }

    #[test]
    fn an_upload_belongs_to_its_repository() {
        let (_registry, client) = registry();
        let place = client.begin("a").replace("/v2/a/", "/v2/b/");
        client.get(&place).refused(404, "BLOB_UPLOAD_UNKNOWN");
    }

    #[test]
    fn cancelled() {
        let (registry, client) = registry();
        let place = client.begin("a");
        client.send("PATCH", &place, &[], b"x").expect(202);
        client.delete(&place).expect(204);
        client.get(&place).refused(404, "BLOB_UPLOAD_UNKNOWN");
        assert_eq!(std::fs::read_dir(registry.root().join("repositories/a/_uploads")).unwrap().count(), 0);
    }
}

mod mounting_a_blob {
    use super::*;

    #[test]
    fn from_a_repository_or_from_any() {
        let (_registry, client) = registry();
        let digest = client.push_blob("a/b", b"shared");
        for (target, query) in [("c", format!("mount={digest}&from=a/b")), ("d", format!("mount={digest}"))] {
            let reply = client.post(&format!("/v2/{target}/blobs/uploads/?{query}"), b"").expect(201);
            assert_eq!(reply.header("location"), Some(format!("/v2/{target}/blobs/{digest}").as_str()));
            assert_eq!(reply.header("docker-content-digest"), Some(digest.to_string().as_str()));
            assert_eq!(client.get(&format!("/v2/{target}/blobs/{digest}")).expect(200).body, b"shared");
        }
    }

    #[test]
    fn what_cannot_be_mounted_is_uploaded() {
        let (_registry, client) = registry();
        let (there, missing) = (client.push_blob("a", b"there"), Digest::sha256(b"missing"));
        for query in [
            format!("mount={missing}"),
            format!("mount={missing}&from=a"),
            format!("mount={there}&from=nowhere"),
            format!("mount={there}&from=../a"),
        ] {
            let reply = client.post(&format!("/v2/c/blobs/uploads/?{query}"), b"").expect(202);
            client.get(reply.header("location").unwrap()).expect(204);
        }
    }

    #[test]
    fn as_the_registry_is_set() {
        for (mount, by_name, from_any) in
            [(Mount::Any, 201, 201), (Mount::Named, 201, 202), (Mount::Never, 202, 202)]
        {
            let registry = Registry::with(|settings| settings.mount = mount);
            let client = registry.client();
            let digest = client.push_blob("a", b"shared");
            client.post(&format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), b"").expect(by_name);
            client.post(&format!("/v2/c/blobs/uploads/?mount={digest}"), b"").expect(from_any);
            let there = |status| if status == 201 { 200 } else { 404 };
            client.head(&format!("/v2/b/blobs/{digest}")).expect(there(by_name));
            client.head(&format!("/v2/c/blobs/{digest}")).expect(there(from_any));
        }
    }
}
