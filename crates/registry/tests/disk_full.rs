//! A full disk: the client hears of it, and nothing is corrupted. Needs root, for a small file system.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::path::Path;
use std::process::Command;

use perijove_oci::Digest;
use perijove_testkit::skip;
use support::{MANIFEST, Process, image};

/// A file system of one megabyte, gone when dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mount = ["-t", "tmpfs", "-o", "size=1m", "tmpfs"];
        let mounted = Command::new("mount").args(mount).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then(|| Small(folder))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn an_error_and_nothing_corrupted() {
    let Some(disk) = Small::mount() else {
        return skip("an_error_and_nothing_corrupted", "a tmpfs cannot be mounted, root is needed");
    };
    let registry = Process::start(&disk.path().join("store"), &[]);
    let client = registry.client();
    let (kept, _) = client.push_image("a", "t", &[1; 100_000]);

    // A blob larger than what is left, in one piece and in chunks.
    let large = vec![2; 4 << 20];
    let digest = Digest::sha256(&large);
    let place = client.begin("a");
    let reply =
        client.put(&format!("{place}?digest={digest}"), "application/octet-stream", &large).expect(507);
    assert_eq!(reply.code(), "DENIED");
    assert!(reply.json()["errors"][0]["message"].as_str().unwrap().contains("no space is left"));
    client.get(&place).refused(404, "BLOB_UPLOAD_UNKNOWN");
    client.head(&format!("/v2/a/blobs/{digest}")).expect(404);
    let place = client.begin("a");
    client.send("PATCH", &place, &[], &large[..200_000]).expect(202);
    client.send("PATCH", &place, &[], &large).refused(507, "DENIED");

    // The space is free again: a smaller one fits.
    let small = client.push_blob("a", &[3; 300_000]);

    // No room for even a manifest: the tag stays what it was.
    let hog = disk.path().join("hog");
    let _full = std::fs::write(&hog, vec![0; 2 << 20]).unwrap_err();
    let mut manifest = image(b"{}", &[&[4; 10]]);
    manifest.extend(b" ".repeat(5000));
    client.put("/v2/a/manifests/t", MANIFEST, &manifest).refused(507, "DENIED");
    assert_eq!(client.get("/v2/a/manifests/t").expect(200).body, kept);
    client.put("/v2/a/manifests/new", MANIFEST, &manifest).refused(507, "DENIED");
    client.get("/v2/a/manifests/new").expect(404);

    std::fs::remove_file(&hog).unwrap();
    client.put("/v2/a/manifests/t", MANIFEST, &manifest).expect(201);
    assert_eq!(client.get("/v2/a/manifests/t").expect(200).body, manifest);
    for digest in [Digest::sha256(&[1; 100_000]), small] {
        let body = client.get(&format!("/v2/a/blobs/{digest}")).expect(200).body;
        assert_eq!(Digest::sha256(&body), digest);
    }
    registry.kill();
}
