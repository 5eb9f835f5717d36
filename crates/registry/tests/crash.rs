//! kill -9 in a loop under load: what was answered is there, and what is there is whole.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use perijove_oci::Digest;
use support::{Client, MANIFEST, Process, image};

const ROUNDS: usize = 10;
const CLIENTS: usize = 4;

/// A client pushes images until the registry is gone; notes what it was told is there.
fn push(
    client: &Client,
    round: usize,
    number: usize,
    told: &Mutex<BTreeMap<String, Vec<u8>>>,
    count: &AtomicUsize,
) {
    for n in 0.. {
        let layer = format!("{round}-{number}-{n} ").repeat(1 + n * 700 % 40_000);
        let tag = format!("r{round}-{number}-{n}");
        let manifest = image(b"{}", &[layer.as_bytes()]);
        let pushed = (|| {
            for blob in [&b"{}"[..], layer.as_bytes()] {
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
        told.lock().unwrap().insert(tag, manifest);
        count.fetch_add(1, Ordering::Relaxed);
    }
}

/// Every content has the digest that its name says; nothing half-written is left under a name.
fn check_files(root: &Path) {
    for entry in fs::read_dir(root.join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let digest = Digest::sha256(&fs::read(&path).unwrap());
        assert_eq!(Some(digest.hex()), path.file_name().unwrap().to_str());
    }
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0, "left-overs are removed at the start");
}

/// Every tag that is listed names a whole manifest.
fn check_tags(client: &Client, told: &BTreeMap<String, Vec<u8>>) {
    let list = client.get("/v2/a/tags/list").expect(200).json();
    let tags: Vec<String> = serde_json::from_value(list["tags"].clone()).unwrap();
    for tag in &tags {
        let reply = client.get(&format!("/v2/a/manifests/{tag}")).expect(200);
        let digest = Digest::sha256(&reply.body).to_string();
        assert_eq!(reply.header("docker-content-digest"), Some(digest.as_str()), "{tag}");
        let manifest = reply.json();
        for entry in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]) {
            let digest = entry["digest"].as_str().unwrap();
            let blob = client.get(&format!("/v2/a/blobs/{digest}")).expect(200).body;
            assert_eq!(Digest::sha256(&blob).to_string(), digest);
        }
    }
    for (tag, manifest) in told {
        assert!(tags.contains(tag), "{tag} was answered with 201 and is gone");
        assert_eq!(client.get(&format!("/v2/a/manifests/{tag}")).expect(200).body, *manifest);
    }
}

#[test]
fn killed_at_any_moment() {
    let root = tempfile::tempdir().unwrap();
    let told = Mutex::new(BTreeMap::new());
    for round in 0..ROUNDS {
        let registry = Process::start(root.path(), &[]);
        check_files(root.path());
        if round > 0 {
            check_tags(&registry.client(), &told.lock().unwrap());
        }
        let count = AtomicUsize::new(0);
        let client = registry.client();
        std::thread::scope(|scope| {
            for number in 0..CLIENTS {
                let (client, told, count) = (client.clone(), &told, &count);
                scope.spawn(move || push(&client, round, number, told, count));
            }
            // Not after a time but after some work: each round ends in the middle of something else.
            while count.load(Ordering::Relaxed) < 3 + round {
                std::thread::yield_now();
            }
            registry.kill();
        });
    }
    let registry = Process::start(root.path(), &[]);
    check_files(root.path());
    check_tags(&registry.client(), &told.lock().unwrap());
    assert!(told.lock().unwrap().len() >= ROUNDS * 3);
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
