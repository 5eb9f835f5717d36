//! What is on the disk before a push is answered, as the kernel is asked for it (strace): the bytes of each blob, manifest
//! and tag, and then the folders that hold their names.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod support;

use std::path::{Path, PathBuf};

use perijove_oci::Digest;
use perijove_testkit::has;
use support::{Client, MANIFEST, Process, image};

/// What of the registry's system calls matters here.
#[derive(Debug, PartialEq, Eq)]
enum Call {
    /// The bytes, or the names, of this file or folder are on the disk.
    Sync(PathBuf),
    /// The first name became the second.
    Rename(PathBuf, PathBuf),
    /// A client was answered with this status.
    Answer(u16),
}

/// A registry under strace, and the record of what it did.
struct Traced {
    registry: Process,
    record: tempfile::NamedTempFile,
}

impl Traced {
    fn start(root: &Path) -> Self {
        let record = tempfile::NamedTempFile::new().unwrap();
        // All threads, descriptors with their paths, whole paths; only calls that came back.
        let calls = "trace=fsync,fdatasync,sync_file_range,syncfs,sync,?rename,renameat,renameat2,write,writev,sendto,sendmsg";
        let words = ["strace", "-f", "-y", "-qq", "-s", "256", "-e", "signal=none", "-e", calls, "-o"];
        let mut words: Vec<String> = words.map(str::to_owned).to_vec();
        words.push(record.path().display().to_string());
        Traced { registry: Process::start_under(&words, root, &[]), record }
    }

    fn client(&self) -> Client {
        self.registry.client()
    }

    /// Ends the registry; gives what it did, in order.
    fn end(self) -> Vec<Call> {
        self.registry.kill();
        let text = std::fs::read_to_string(self.record.path()).unwrap();
        calls(&text)
    }
}

/// Reads strace's lines, with those put together that were cut by another thread's.
fn calls(text: &str) -> Vec<Call> {
    let mut open = std::collections::BTreeMap::new();
    let mut all = Vec::new();
    for line in text.lines() {
        let Some((thread, call)) = line.trim_start().split_once(char::is_whitespace) else { continue };
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            open.insert(thread, start.trim_end().to_owned());
            // An answer is out from its first byte on.
            all.extend(answer(start));
        } else if let Some((_, rest)) = call.strip_prefix("<... ").and_then(|c| c.split_once(" resumed>")) {
            let whole = open.remove(thread).unwrap_or_default() + rest;
            all.extend(done(&whole));
        } else {
            all.extend(answer(call).or_else(|| done(call)));
        }
    }
    all
}

/// `writev(9<socket:[1]>, [{iov_base="HTTP/1.1 201 Created\r\n…`
fn answer(call: &str) -> Option<Call> {
    let is_written = ["write", "sendto", "sendmsg"].iter().any(|name| call.starts_with(name));
    let (_, rest) = call.split_once("\"HTTP/1.1 ")?;
    Some(Call::Answer(rest.get(..3)?.parse().ok()?)).filter(|_| is_written)
}

/// `fdatasync(9</folder/file>) = 0`, `rename("/a", "/b") = 0`
fn done(call: &str) -> Option<Call> {
    let (name, rest) = call.split_once('(')?;
    let (arguments, result) = rest.rsplit_once(')')?;
    if result.split_whitespace().nth(1) != Some("0") {
        return None;
    }
    match name {
        "fsync" | "fdatasync" => {
            let path = arguments.split_once('<')?.1.strip_suffix('>')?;
            Some(Call::Sync(PathBuf::from(path)))
        }
        "rename" | "renameat" | "renameat2" => {
            let mut paths = arguments.split('"').skip(1).step_by(2).map(PathBuf::from);
            Some(Call::Rename(paths.next()?, paths.next()?))
        }
        _ => None,
    }
}

/// The calls between the `n`th answer of status 201 and the one before it, whatever status that had.
fn before_created(calls: &[Call], n: usize) -> &[Call] {
    let answers: Vec<usize> = (0..calls.len()).filter(|at| matches!(calls[*at], Call::Answer(_))).collect();
    let created = answers.iter().copied().filter(|at| calls[*at] == Call::Answer(201)).nth(n).unwrap();
    let start = answers.iter().copied().take_while(|at| *at < created).last().map_or(0, |at| at + 1);
    &calls[start..created]
}

/// The file that became `target`: its bytes were synced under its old name, before.
#[track_caller]
fn synced_and_named(calls: &[Call], target: &Path) {
    let renamed = calls.iter().position(|call| matches!(call, Call::Rename(_, to) if to == target));
    let renamed = renamed.unwrap_or_else(|| panic!("{} got no name: {calls:?}", target.display()));
    let Call::Rename(from, _) = &calls[renamed] else { unreachable!() };
    let synced = calls[..renamed].iter().any(|call| matches!(call, Call::Sync(path) if path == from));
    assert!(synced, "{} has its name and is not synced: {calls:?}", target.display());
}

/// The folder was synced, after `target` got its name where it is given.
#[track_caller]
fn folder_synced(calls: &[Call], folder: &Path, target: Option<&Path>) {
    let named = |call: &Call| matches!(call, Call::Rename(_, to) if Some(&**to) == target);
    let from = calls.iter().position(named).unwrap_or(0);
    let synced = calls[from..].iter().any(|call| matches!(call, Call::Sync(path) if path == folder));
    assert!(synced, "{} is not synced: {calls:?}", folder.display());
}

#[test]
fn each_blob_and_manifest_is_synced_before_its_answer() {
    if !has("each_blob_and_manifest_is_synced_before_its_answer", "strace") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("store");
    let traced = Traced::start(&root);
    let (_, manifest) = traced.client().push_image("a", "t", &[7; 300_000]);
    let calls = traced.end();
    let repository = root.join("repositories/a");
    let contents = root.join("blobs/sha256");
    for (n, blob) in [&b"{}"[..], &[7; 300_000]].into_iter().enumerate() {
        synced_and_named(before_created(&calls, n), &contents.join(Digest::sha256(blob).hex()));
    }
    let calls = before_created(&calls, 2);
    let stored = repository.join("_manifests").join(format!("sha256-{}", manifest.hex()));
    let tag = repository.join("_tags/t");
    for named in [&stored, &tag] {
        synced_and_named(calls, named);
        folder_synced(calls, named.parent().unwrap(), Some(named));
    }
    // The names of its blobs, and all folders above.
    for folder in [&contents, &repository.join("_blobs"), &repository, &root.join("repositories"), &root] {
        folder_synced(calls, folder, None);
    }
    folder_synced(calls, root.parent().unwrap(), None);
}

/// A registry that was killed had told nobody that its blobs are there for good. The next one does, and syncs their
/// names once though it did not write them.
#[test]
fn what_a_killed_registry_left_is_synced_before_it_is_relied_on() {
    if !has("what_a_killed_registry_left_is_synced_before_it_is_relied_on", "strace") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap().join("store");
    let (layer, repository) = ([8; 1000], root.join("repositories/a"));
    let manifest = image(b"{}", &[&layer]);
    let registry = Process::start(&root, &[]);
    for blob in [&b"{}"[..], &layer] {
        registry.client().push_blob("a", blob);
    }
    registry.kill();

    // The blobs are known and not written again, whether the client sends or looks for them.
    let traced = Traced::start(&root);
    traced.client().push_blob("a", b"{}");
    traced.client().head(&format!("/v2/a/blobs/{}", Digest::sha256(&layer))).expect(200);
    for _ in 0..2 {
        traced.client().put("/v2/a/manifests/t", MANIFEST, &manifest).expect(201);
    }
    let calls = traced.end();
    let wrote = |call: &Call| matches!(call, Call::Rename(_, to) if to.starts_with(root.join("blobs")));
    assert!(!calls.iter().any(wrote), "{calls:?}");
    let contents = root.join("blobs/sha256");
    let old = [&contents, &repository.join("_blobs"), &repository, &root.join("repositories"), &root];
    for folder in old {
        folder_synced(before_created(&calls, 1), folder, None);
    }
    let again = before_created(&calls, 2);
    for folder in old {
        assert!(!again.contains(&Call::Sync(folder.clone())), "{} once more: {again:?}", folder.display());
    }

    // A tag that names the manifest already is not written again, and relied on.
    let traced = Traced::start(&root);
    traced.client().put("/v2/a/manifests/t", MANIFEST, &manifest).expect(201);
    let calls = traced.end();
    let calls = before_created(&calls, 0);
    assert!(!calls.iter().any(|call| matches!(call, Call::Rename(_, to) if to.ends_with("_tags/t"))));
    for folder in ["_tags", "_manifests", "_blobs"] {
        folder_synced(calls, &repository.join(folder), None);
    }
}

#[test]
fn lines_of_strace_are_understood() {
    let text = "\
10 fdatasync(9</s/_uploads/1>)   = 0
11 rename(\"/s/_uploads/1\", \"/s/blobs/x\" <unfinished ...>
10 fsync(10</s/blobs>) = -1 EIO (Input/output error)
11 <... rename resumed>)             = 0
12 writev(7<socket:[5]>, [{iov_base=\"HTTP/1.1 201 Created\\r\\n\", iov_len=22}], 1) = 22
12 sendto(7<socket:[5]>, \"HTTP/1.1 404 Not Found\\r\\n\"..., 20, MSG_NOSIGNAL, NULL, 0 <unfinished ...>
12 <... sendto resumed>) = 20
12 write(1<pipe:[6]>, \"127.0.0.1:5000\\n\", 15) = 15
";
    let wanted = [
        Call::Sync("/s/_uploads/1".into()),
        Call::Rename("/s/_uploads/1".into(), "/s/blobs/x".into()),
        Call::Answer(201),
        Call::Answer(404),
    ];
    assert_eq!(calls(text), wanted);
    assert_eq!(before_created(&wanted, 0), &wanted[..2]);
}
