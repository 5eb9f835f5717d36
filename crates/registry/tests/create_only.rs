//! Create-only tags over HTTP: the second digest is refused, and of many at once exactly one wins.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};

use perijove_oci::Digest;
use perijove_registry::create_only::CreateOnly;
use support::{MANIFEST, Registry, image};

fn registry() -> Registry {
    Registry::with(|settings| settings.create_only = CreateOnly::matching(r"\d+\.\d+\.\d+-\d+").unwrap())
}

#[test]
fn a_claimed_tag_stays() {
    let registry = registry();
    let client = registry.client();
    let (first, second) = (image(b"{}", &[b"1"]), image(b"{}", &[b"2"]));
    let path = "/v2/hub/manifests/5.3.1-2";
    client.put(path, MANIFEST, &first).expect(201);
    client.put(path, MANIFEST, &first).expect(201);
    let reply = client.put(path, MANIFEST, &second).expect(409);
    assert_eq!(reply.code(), "DENIED");
    let detail = &reply.json()["errors"][0]["detail"];
    assert_eq!(detail["digest"], Digest::sha256(&first).to_string());
    assert_eq!(detail["tag"], "5.3.1-2");
    assert_eq!(client.get(path).expect(200).body, first);
    // The refused manifest was not stored under its digest either.
    client.get(&format!("/v2/hub/manifests/{}", Digest::sha256(&second))).expect(404);
    // Other tags move; so does the same one in another repository, once.
    client.put("/v2/hub/manifests/latest", MANIFEST, &first).expect(201);
    client.put("/v2/hub/manifests/latest", MANIFEST, &second).expect(201);
    client.put("/v2/lab/manifests/5.3.1-2", MANIFEST, &second).expect(201);
}

#[test]
fn several_tags_are_set_all_or_none() {
    let registry = registry();
    let client = registry.client();
    let (first, second) = (image(b"{}", &[b"1"]), image(b"{}", &[b"2"]));
    client.put("/v2/hub/manifests/1.0.0-1", MANIFEST, &first).expect(201);
    client.put("/v2/hub/manifests/latest", MANIFEST, &first).expect(201);
    let path = format!("/v2/hub/manifests/{}?tag=latest&tag=1.0.0-1&tag=1.0.0-2", Digest::sha256(&second));
    client.put(&path, MANIFEST, &second).refused(409, "DENIED");
    assert_eq!(client.get("/v2/hub/manifests/latest").expect(200).body, first);
    client.get("/v2/hub/manifests/1.0.0-2").expect(404);
}

/// A list of tags says all of them as one digest, and a PUT that brings it holds only while they are the tags.
#[test]
fn tags_move_only_while_they_are_as_the_client_knows() {
    let registry = registry();
    let client = registry.client();
    let manifests = [b"1", b"2", b"3"].map(|layer| image(b"{}", &[layer]));
    let seen = |count: &str| {
        let list = client.get(&format!("/v2/hub/tags/list{count}")).expect(200);
        list.header("perijove-tags").unwrap().to_owned()
    };
    let put = |number: usize, tags: &str, seen: &str| {
        let path = format!("/v2/hub/manifests/{}?{tags}", Digest::sha256(&manifests[number]));
        let headers = [("Content-Type", MANIFEST), ("Perijove-Tags", seen)];
        client.send("PUT", &path, &headers, &manifests[number])
    };
    client.put("/v2/hub/manifests/5.3", MANIFEST, &manifests[0]).expect(201);
    let before = seen("");
    assert_eq!(before, seen("?n=1"), "of all tags, whatever the page");
    put(1, "tag=5.3.1-0&tag=5.3", &before).expect(201);
    assert_ne!(seen(""), before);
    // Somebody came first: nothing is written.
    put(2, "tag=5.3.2-0&tag=5.3", &before).refused(412, "DENIED");
    assert_eq!(client.get("/v2/hub/manifests/5.3").expect(200).body, manifests[1]);
    for gone in ["5.3.2-0", Digest::sha256(&manifests[2]).to_string().as_str()] {
        client.get(&format!("/v2/hub/manifests/{gone}")).expect(404);
    }
    // The request whose answer was lost, again; and a tag that is another's, which no look can mend.
    put(1, "tag=5.3.1-0&tag=5.3", &before).expect(201);
    put(2, "tag=5.3.1-0&tag=5.3", &before).refused(409, "DENIED");
    put(2, "tag=5.3.2-0&tag=5.3", &seen("")).expect(201);
    put(2, "tag=5.3.2-0", "x").refused(400, "DIGEST_INVALID");
    assert_eq!(client.get("/v2/hub/manifests/5.3").expect(200).body, manifests[2]);
}

/// Taking a build away is a person's decision: its tag is free afterwards, and nothing else of the rule changes.
#[test]
fn a_deleted_tag_can_be_created_again() {
    let registry = registry();
    let client = registry.client();
    let (first, second, third) = (image(b"{}", &[b"1"]), image(b"{}", &[b"2"]), image(b"{}", &[b"3"]));
    let path = "/v2/hub/manifests/5.3.1-2";
    client.put(path, MANIFEST, &first).expect(201);
    client.delete(path).expect(202);
    client.put(path, MANIFEST, &second).expect(201);
    client.put(path, MANIFEST, &first).refused(409, "DENIED");
    // Its tags go with a manifest that is deleted.
    client.delete(&format!("/v2/hub/manifests/{}", Digest::sha256(&second))).expect(202);
    client.get(path).expect(404);
    client.put(path, MANIFEST, &third).expect(201);
    client.put(path, MANIFEST, &first).refused(409, "DENIED");
    assert_eq!(client.get(path).expect(200).body, third);
}

#[test]
fn of_many_at_once_one_wins() {
    const CLIENTS: usize = 12;
    let registry = registry();
    for round in 0..8 {
        let path = format!("/v2/hub/manifests/1.0.0-{round}");
        let start = Barrier::new(CLIENTS);
        let outcomes: Vec<(u16, Vec<u8>)> = std::thread::scope(|scope| {
            let one = |n: usize| {
                let (client, path, start) = (registry.client(), &path, &start);
                scope.spawn(move || {
                    let manifest = image(b"{}", &[format!("{round}-{n}").as_bytes()]);
                    start.wait();
                    (client.put(path, MANIFEST, &manifest).status, manifest)
                })
            };
            let threads: Vec<_> = (0..CLIENTS).map(one).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<_> = outcomes.iter().filter(|(status, _)| *status == 201).collect();
        assert_eq!(winners.len(), 1, "{:?}", outcomes.iter().map(|(status, _)| status).collect::<Vec<_>>());
        assert!(outcomes.iter().all(|(status, _)| matches!(status, 201 | 409)));
        assert_eq!(registry.client().get(&path).expect(200).body, winners[0].1);
    }
}

#[test]
fn readers_never_see_a_tag_go_back() {
    let registry = Registry::start();
    let client = registry.client();
    let manifests: Vec<Vec<u8>> = (0..60).map(|n: u32| image(b"{}", &[&n.to_be_bytes()])).collect();
    client.put("/v2/hub/manifests/latest", MANIFEST, &manifests[0]).expect(201);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for manifest in &manifests {
                client.put("/v2/hub/manifests/latest", MANIFEST, manifest).expect(201);
                // What was answered is what is read, cache or not.
                assert_eq!(client.get("/v2/hub/manifests/latest").expect(200).body, *manifest);
            }
            done.store(true, Ordering::Relaxed);
        });
        for _ in 0..3 {
            scope.spawn(|| {
                let mut newest = 0;
                while !done.load(Ordering::Relaxed) {
                    let body = client.get("/v2/hub/manifests/latest").expect(200).body;
                    let seen = manifests.iter().position(|manifest| *manifest == body).unwrap();
                    assert!(seen >= newest, "{seen} after {newest}");
                    newest = seen;
                }
            });
        }
    });
}
