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
