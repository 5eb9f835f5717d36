//! "Content Discovery": tags, referrers; and the catalog.

use super::*;

mod listing_tags {
    use super::*;

    #[test]
    fn sorted_and_in_pages() {
        let (_registry, client) = registry();
        for tag in ["b", "a", "B", "a.1", "_x", "10", "9"] {
            client.put(&format!("/v2/a/b/manifests/{tag}"), MANIFEST, &image(b"{}", &[])).expect(201);
        }
        let tags = |query: &str| {
            let reply = client.get(&format!("/v2/a/b/tags/list{query}")).expect(200);
            let value = reply.json();
            assert_eq!(value["name"], "a/b");
            let tags: Vec<String> = serde_json::from_value(value["tags"].clone()).unwrap();
            (tags.join(" "), reply.header("link").map(str::to_owned))
        };
        assert_eq!(tags(""), ("10 9 B _x a a.1 b".to_owned(), None));
        assert_eq!(tags("?n=0"), (String::new(), None));
        assert_eq!(tags("?n=99").0, "10 9 B _x a a.1 b");
        assert_eq!(tags("?last=_x"), ("a a.1 b".to_owned(), None));
        assert_eq!(tags("?n=2&last=zzz"), (String::new(), None));
        let mut next = Some("?n=3".to_owned());
        let mut pages = Vec::new();
        while let Some(query) = next {
            let (page, link) = tags(&query);
            pages.push(page);
            next = link.map(|link| {
                let target = link.strip_prefix("</v2/a/b/tags/list").unwrap();
                target.strip_suffix(">; rel=\"next\"").unwrap().to_owned()
            });
        }
        assert_eq!(pages, ["10 9 B", "_x a a.1", "b"]);
    }
}

mod listing_referrers {
    use super::*;

    fn about(client: &Client, subject: &Digest, more: &serde_json::Value) -> Digest {
        let mut manifest: serde_json::Value = serde_json::from_slice(&image(b"{}", &[])).unwrap();
        manifest["subject"] = descriptor(MANIFEST, subject, 9);
        for (key, value) in more.as_object().unwrap() {
            manifest[key] = value.clone();
        }
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::sha256(&bytes);
        let media_type = manifest["mediaType"].as_str().unwrap();
        let reply = client.put(&format!("/v2/a/manifests/{digest}"), media_type, &bytes).expect(201);
        assert_eq!(reply.header("oci-subject"), Some(subject.to_string().as_str()));
        digest
    }

    fn list(client: &Client, subject: &Digest, query: &str) -> (Vec<serde_json::Value>, support::Reply) {
        let reply = client.get(&format!("/v2/a/referrers/{subject}{query}")).expect(200);
        assert_eq!(reply.header("content-type"), Some(INDEX));
        let index = reply.json();
        assert_eq!((&index["schemaVersion"], &index["mediaType"]), (&json!(2), &json!(INDEX)));
        (index["manifests"].as_array().unwrap().clone(), reply)
    }

    #[test]
    fn empty_for_what_is_unknown() {
        let (_registry, client) = registry();
        assert!(list(&client, &Digest::sha256(b"unknown"), "").0.is_empty());
    }

    #[test]
    fn with_type_and_annotations_also_of_a_missing_subject() {
        let (_registry, client) = registry();
        for subject in [Digest::sha256(b"missing"), Digest::of(Algorithm::Sha512, b"missing")] {
            let sbom = about(
                &client,
                &subject,
                &json!({ "artifactType": "a/sbom+json", "annotations": { "k": "v" } }),
            );
            let plain = about(&client, &subject, &json!({}));
            let index =
                about(&client, &subject, &json!({ "mediaType": INDEX, "manifests": [], "config": null }));
            let (all, reply) = list(&client, &subject, "");
            assert_eq!(reply.header("oci-filters-applied"), None);
            let by = |digest: &Digest| all.iter().find(|entry| entry["digest"] == json!(digest)).unwrap();
            assert_eq!(all.len(), 3);
            assert_eq!(by(&sbom)["artifactType"], "a/sbom+json");
            assert_eq!(by(&sbom)["annotations"], json!({ "k": "v" }));
            assert_eq!(by(&sbom)["mediaType"], MANIFEST);
            assert_eq!(by(&plain)["artifactType"], "application/vnd.oci.image.config.v1+json");
            assert!(by(&index).get("artifactType").is_none());
            assert_eq!(by(&index)["mediaType"], INDEX);
            for query in ["?artifactType=a/sbom%2Bjson", "?artifactType=a/sbom+json"] {
                let (some, reply) = list(&client, &subject, query);
                assert_eq!(some.len(), 1);
                assert_eq!(some[0]["digest"], json!(sbom));
                assert_eq!(reply.header("oci-filters-applied"), Some("artifactType"));
            }
            assert!(list(&client, &subject, "?artifactType=a/other").0.is_empty());
            client.delete(&format!("/v2/a/manifests/{sbom}")).expect(202);
            assert_eq!(list(&client, &subject, "").0.len(), 2);
        }
    }

    #[test]
    fn in_pages_when_there_are_too_many() {
        let (_registry, client) = registry();
        let subject = Digest::sha256(b"popular");
        for n in 0..5 {
            about(&client, &subject, &json!({ "annotations": { "n": n.to_string().repeat(900_000) } }));
        }
        let (mut seen, mut query) = (0, String::new());
        loop {
            let (page, reply) = list(&client, &subject, &query);
            assert!(!page.is_empty() && reply.body.len() < 4 << 20);
            seen += page.len();
            match reply.header("link") {
                Some(link) => query = link[link.find('?').unwrap()..link.find('>').unwrap()].to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, 5);
    }
}

mod catalog {
    use super::*;

    #[test]
    fn sorted_and_in_pages() {
        let (_registry, client) = registry();
        for name in ["b", "a/c", "a", "a/b/c"] {
            client.push_blob(name, b"x");
        }
        client.begin("only-an-upload");
        let reply = client.get("/v2/_catalog").expect(200);
        assert_eq!(reply.json(), json!({ "repositories": ["a", "a/b/c", "a/c", "b"] }));
        let reply = client.get("/v2/_catalog?n=2&last=a").expect(200);
        assert_eq!(reply.json(), json!({ "repositories": ["a/b/c", "a/c"] }));
        assert_eq!(reply.header("link"), Some("</v2/_catalog?last=a/c&n=2>; rel=\"next\""));
    }
}
