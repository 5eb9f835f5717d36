//! kill -9 in a loop while clients push and delete and the collector runs: what was answered is so, and what is there
//! is whole.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use perijove_oci::Digest;
use serde_json::Value;
use support::{Client, MANIFEST, PATIENCE, Process, image};

const ROUNDS: usize = 10;
const CLIENTS: usize = 4;

/// The collector runs all the time. What it takes is at least an hour old, and so is all of the rounds before.
const COLLECT: [&str; 6] =
    ["--collect-first-ms", "0", "--collect-every-ms", "5", "--blob-grace-ms", "3600000"];

/// What clients were told.
#[derive(Default)]
struct Told {
    /// Tags that are there, and their manifests.
    there: BTreeMap<String, Vec<u8>>,
    /// Tags whose manifests are gone.
    gone: BTreeSet<String>,
}

/// A client pushes images until the registry is gone; notes what it was told is there. The layers of each second
/// round are those of the round before: of images that are deleted meanwhile, and collected.
fn push(client: &Client, round: usize, number: usize, told: &Mutex<Told>, count: &AtomicUsize) {
    for n in 0.. {
        let layer = format!("{}-{number}-{n} ", round / 2).repeat(1 + n * 700 % 40_000);
        let tag = format!("r{round}-{number}-{n}");
        let config = format!("{{\"round\":{round}}}");
        let manifest = image(config.as_bytes(), &[layer.as_bytes()]);
        let pushed = (|| {
            for blob in [config.as_bytes(), layer.as_bytes()] {
                let place = client.try_send("POST", "/v2/a/blobs/uploads/", &[], b"")?;
                let place = place.header("location").unwrap_or_default().to_owned();
                let (first, rest) = blob.split_at(blob.len() / 2);
                client.try_send("PATCH", &place, &[], first)?;
                let path = format!("{place}?digest={}", Digest::sha256(blob));
                client.try_send("PUT", &path, &[], rest)?.expect(201);
            }
            let headers = [("Content-Type", MANIFEST)];
            let path = format!("/v2/a/manifests/{}?tag={tag}&tag=moving", Digest::sha256(&manifest));
            client.try_send("PUT", &path, &headers, &manifest)?.expect(201);
            Ok::<(), std::io::Error>(())
        })();
        if pushed.is_err() {
            return;
        }
        told.lock().unwrap().there.insert(tag, manifest);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// A client deletes each second image of the rounds before, until the registry is gone.
fn delete(client: &Client, told: &Mutex<Told>) {
    let all: Vec<(String, Vec<u8>)> =
        told.lock().unwrap().there.iter().step_by(2).map(|(t, m)| (t.clone(), m.clone())).collect();
    for (tag, manifest) in all {
        let path = format!("/v2/a/manifests/{}", Digest::sha256(&manifest));
        // Killed before its answer, the one or the other may be true.
        told.lock().unwrap().there.remove(&tag);
        let Ok(reply) = client.try_send("DELETE", &path, &[], b"") else { return };
        reply.expect(202);
        told.lock().unwrap().gone.insert(tag);
    }
}

/// Makes all files that a round left look two days old.
fn age(folder: &Path) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
        } else {
            let then = SystemTime::now() - Duration::from_secs(48 * 3600);
            fs::File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        }
    }
}

/// Names of the contents that are there.
fn contents(root: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(root.join("blobs/sha256")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Every content has the digest that its name says; nothing half-written is left under a name.
fn check_files(root: &Path) {
    for name in contents(root) {
        match fs::read(root.join("blobs/sha256").join(&name)) {
            Ok(bytes) => assert_eq!(Digest::sha256(&bytes).hex(), name),
            // It was collected meanwhile.
            Err(e) => assert_eq!(e.kind(), std::io::ErrorKind::NotFound, "{name}: {e}"),
        }
    }
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0, "left-overs are removed at the start");
}

/// Digests of what a manifest refers to.
fn blobs(manifest: &Value) -> impl Iterator<Item = Digest> {
    let entries = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]);
    entries.map(|entry| entry["digest"].as_str().unwrap().parse().unwrap())
}

/// Names of the contents that manifests refer to, whether they have a tag or not.
fn referred(root: &Path) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for entry in fs::read_dir(root.join("repositories/a/_manifests")).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let manifest = serde_json::from_str(text.split_once('\n').unwrap().1).unwrap();
        all.extend(blobs(&manifest).map(|digest| digest.hex().to_owned()));
    }
    all
}

/// Every tag that is listed names a whole manifest, whose blobs are there.
fn check_tags(client: &Client, told: &Told) {
    let list = client.get("/v2/a/tags/list").expect(200).json();
    let tags: Vec<String> = serde_json::from_value(list["tags"].clone()).unwrap();
    for tag in &tags {
        let reply = client.get(&format!("/v2/a/manifests/{tag}")).expect(200);
        let digest = Digest::sha256(&reply.body).to_string();
        assert_eq!(reply.header("docker-content-digest"), Some(digest.as_str()), "{tag}");
        for digest in blobs(&reply.json()) {
            let blob = client.get(&format!("/v2/a/blobs/{digest}")).expect(200).body;
            assert_eq!(Digest::sha256(&blob), digest);
        }
    }
    for tag in &told.gone {
        assert!(!tags.contains(tag), "{tag} was deleted with 202 and is there");
    }
    for (tag, manifest) in &told.there {
        assert!(tags.contains(tag), "{tag} was answered with 201 and is gone");
        assert_eq!(client.get(&format!("/v2/a/manifests/{tag}")).expect(200).body, *manifest);
    }
}

#[test]
fn killed_at_any_moment() {
    let root = tempfile::tempdir().unwrap();
    let told = Mutex::new(Told::default());
    for round in 0..ROUNDS {
        let registry = Process::start(root.path(), &COLLECT);
        check_files(root.path());
        if round > 0 {
            check_tags(&registry.client(), &told.lock().unwrap());
        }
        let count = AtomicUsize::new(0);
        let client = registry.client();
        let gone = || told.lock().unwrap().gone.len();
        let gone_before = gone();
        std::thread::scope(|scope| {
            scope.spawn(|| delete(&client, &told));
            for number in 0..CLIENTS {
                let (client, told, count) = (client.clone(), &told, &count);
                scope.spawn(move || push(&client, round, number, told, count));
            }
            // Not after a time but after some work: each round ends in the middle of something else.
            while count.load(Ordering::Relaxed) < 3 + round || (round > 0 && gone() == gone_before) {
                std::thread::yield_now();
            }
            registry.kill();
        });
        age(root.path());
    }
    let registry = Process::start(root.path(), &COLLECT);
    check_files(root.path());
    let told = told.into_inner().unwrap();
    check_tags(&registry.client(), &told);
    assert!(told.there.len() + told.gone.len() >= ROUNDS * 3);
    // What no image has any more is collected, and nothing else.
    let (wanted, start) = (referred(root.path()), Instant::now());
    while contents(root.path()) != wanted {
        assert!(start.elapsed() < PATIENCE, "{:?} and not {wanted:?}", contents(root.path()));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_store_is_open_once() {
    let root = tempfile::tempdir().unwrap();
    let _first = Process::start(root.path(), &[]);
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_perijove-registry"))
        .args(["--listen", "127.0.0.1:0", "--root"])
        .arg(root.path())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    let message = String::from_utf8(second.stderr).unwrap();
    assert!(message.contains("in use by another registry") && message.contains("hint:"), "{message}");
}

#[test]
fn a_folder_of_something_else_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("letter.txt"), "dear").unwrap();
    let refused = std::process::Command::new(env!("CARGO_BIN_EXE_perijove-registry"))
        .args(["--listen", "127.0.0.1:0", "--root"])
        .arg(root.path())
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("letter.txt"));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}
