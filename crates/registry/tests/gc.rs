//! Garbage collection: what goes, what stays, and what stays while pushes run.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use perijove_oci::Digest;
use perijove_registry::Collect;
use perijove_registry::store::Collected;
use support::{Client, MANIFEST, PATIENCE, Registry, image};

const HOUR: Duration = Duration::from_secs(3600);

/// Makes every file of the store look old.
fn age(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
        } else {
            let then = SystemTime::now() - 48 * HOUR;
            File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        }
    }
}

fn has(client: &Client, repository: &str, digest: &Digest) -> bool {
    client.get(&format!("/v2/{repository}/blobs/{digest}")).status == 200
}

#[test]
fn only_old_blobs_without_a_manifest_go() {
    let registry = Registry::start();
    let client = registry.client();
    client.push_image("a", "t", b"kept");
    let orphan = client.push_blob("a", b"orphan");
    let shared = client.push_blob("a", b"shared");
    client.push_image("b", "t", b"shared");
    assert_eq!(registry.store.collect(HOUR, HOUR).unwrap(), Collected::default(), "all is young");

    age(&registry.root());
    let young = client.push_blob("a", b"young");
    let collected = registry.store.collect(HOUR, HOUR).unwrap();
    // `orphan` and `shared` leave repository a; `shared` is still in b.
    assert_eq!(collected, Collected { uploads: 0, links: 2, blobs: 1, bytes: 6 });
    assert!(!has(&client, "a", &orphan) && !has(&client, "a", &shared));
    assert!(
        has(&client, "b", &shared)
            && has(&client, "a", &young)
            && has(&client, "a", &Digest::sha256(b"kept"))
    );
}

#[test]
fn deleted_manifests_free_their_blobs() {
    let registry = Registry::start();
    let client = registry.client();
    let (_, digest) = client.push_image("a", "t", b"layer");
    client.delete(&format!("/v2/a/manifests/{digest}")).expect(202);
    age(&registry.root());
    let collected = registry.store.collect(HOUR, HOUR).unwrap();
    assert_eq!((collected.links, collected.blobs), (2, 2));
    assert_eq!(std::fs::read_dir(registry.root().join("blobs/sha256")).unwrap().count(), 0);
    // The same blobs can be pushed again.
    client.push_image("a", "t", b"layer");
    assert!(has(&client, "a", &Digest::sha256(b"layer")));
}

#[test]
fn what_a_push_was_told_is_there_stays() {
    let registry = Registry::start();
    let client = registry.client();
    let seen = client.push_blob("a", b"seen");
    let mounted = client.push_blob("a", b"mounted");
    let repeated = client.push_blob("a", b"repeated");
    let named = client.push_blob("a", b"named");
    age(&registry.root());
    client.head(&format!("/v2/a/blobs/{seen}")).expect(200);
    client.post(&format!("/v2/b/blobs/uploads/?mount={mounted}&from=a"), b"").expect(201);
    client.push_blob("a", b"repeated");
    client.put("/v2/a/manifests/t", MANIFEST, &image(b"named", &[])).expect(201);
    assert_eq!(registry.store.collect(HOUR, HOUR).unwrap(), Collected::default());
    assert!(has(&client, "a", &seen) && has(&client, "b", &mounted) && has(&client, "a", &repeated));
    assert!(has(&client, "a", &named));
}

#[test]
fn uploads_under_way_stay_and_forgotten_ones_go() {
    let registry = Registry::start();
    let client = registry.client();
    let (active, forgotten) = (client.begin("a"), client.begin("a"));
    for place in [&active, &forgotten] {
        client.send("PATCH", place, &[], b"abc").expect(202);
    }
    // A session that memory knows is alive, however old its file looks.
    age(&registry.root());
    assert_eq!(registry.store.collect(HOUR, HOUR).unwrap().uploads, 0);
    // Started anew, the registry goes by the file's time; one session is taken up again.
    let registry = registry.restart();
    let client = registry.client();
    client.get(&active).expect(204);
    assert_eq!(registry.store.collect(HOUR, HOUR).unwrap().uploads, 1);
    client.get(&forgotten).expect(404);
    let digest = Digest::sha256(b"abcdef");
    client.put(&format!("{active}?digest={digest}"), "application/octet-stream", b"def").expect(201);
    assert!(has(&client, "a", &digest));
}

/// Old blobs without a manifest lie there; clients push images of them, skipping each upload whose blob the
/// registry says to have, while the collector runs all the time. No pushed image may miss a blob.
#[test]
fn pushes_win_against_the_collector() {
    const IMAGES: usize = 40;
    const CLIENTS: usize = 3;
    let registry = Registry::start();
    let layers: Vec<Vec<u8>> = (0..IMAGES).map(|n| format!("layer {n}").into_bytes()).collect();
    let client = registry.client();
    for layer in &layers {
        client.push_blob("a", layer);
    }
    age(&registry.root());
    let done = AtomicBool::new(false);
    let (collected, skipped) = std::thread::scope(|scope| {
        let collector = scope.spawn(|| {
            let mut collected = 0;
            while !done.load(Ordering::Relaxed) {
                collected += registry.store.collect(HOUR, HOUR).unwrap().links;
            }
            collected
        });
        let pushers: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (client, layers) = (&client, &layers);
                scope.spawn(move || {
                    let mut skipped = 0;
                    // From the far end: the collector meets the first ones first.
                    for n in (0..IMAGES).rev().filter(|n| n % CLIENTS == number) {
                        let digest = Digest::sha256(&layers[n]);
                        if client.head(&format!("/v2/a/blobs/{digest}")).status == 200 {
                            skipped += 1;
                        } else {
                            client.push_blob("a", &layers[n]);
                        }
                        let manifest = image(b"{}", &[&layers[n]]);
                        client.put(&format!("/v2/a/manifests/t{n}"), MANIFEST, &manifest).expect(201);
                    }
                    skipped
                })
            })
            .collect();
        let skipped: usize = pushers.into_iter().map(|pusher| pusher.join().unwrap()).sum();
        done.store(true, Ordering::Relaxed);
        (collector.join().unwrap(), skipped)
    });
    assert_eq!(collected + skipped, IMAGES, "each old blob was collected or promised, never both");
    registry.store.collect(HOUR, HOUR).unwrap();
    for layer in &layers {
        assert_eq!(client.get(&format!("/v2/a/blobs/{}", Digest::sha256(layer))).expect(200).body, *layer);
    }
}

/// A registry that is started now and then, as the demo's, collects while it runs.
#[test]
fn a_server_collects_soon_after_its_start_and_then_now_and_then() {
    let collect = Collect { first: Duration::ZERO, every: HOUR, blob_grace: HOUR, upload_grace: HOUR };
    let registry = Registry::start();
    let old = registry.client().push_blob("a", b"old");
    age(&registry.root());
    let registry = registry.restart_with(|settings| settings.collect = Some(collect));
    until(|| !has(&registry.client(), "a", &old));

    let often = Collect { every: Duration::from_millis(1), ..collect };
    let registry = registry.restart_with(|settings| settings.collect = Some(often));
    // The second one goes in a later run than the first one's.
    for content in [&b"first"[..], b"second"] {
        let old = registry.client().push_blob("a", content);
        age(&registry.root());
        until(|| !has(&registry.client(), "a", &old));
    }
}

/// Waits for what a server does by itself.
fn until(done: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "it does not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}
