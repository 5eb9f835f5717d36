//! Unpacking layers: what the specification asks for, and what strangers may send.

// Helpers of tests, too.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use perijove_oci::report::Silent;
use perijove_oci::{Config, Digest, Platform};
use perijove_runtime::Error;
use perijove_runtime::rootfs::{Limits, Rootfs, prepare, trim};
use support::*;

struct Case {
    folder: tempfile::TempDir,
}

impl Case {
    fn new() -> Case {
        Case { folder: tempfile::tempdir().unwrap() }
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn prepare(&self, layers: &[Layer]) -> Result<Rootfs, Error> {
        self.prepare_within(layers, Limits::default())
    }

    fn prepare_within(&self, layers: &[Layer], limits: Limits) -> Result<Rootfs, Error> {
        let layout = Layout::write(&self.folder.path().join("image"), layers, Config::default());
        let image = layout.source().open(&Platform::host()).unwrap();
        prepare(&image, &self.cache(), limits, &Silent)
    }

    /// The reason why `layers` are refused; nothing may be left in the cache.
    fn refused(&self, layers: &[Layer], limits: Limits) -> String {
        let reason = self.prepare_within(layers, limits).unwrap_err().to_string();
        let left: Vec<_> = fs::read_dir(self.cache().join("rootfs"))
            .unwrap()
            .flatten()
            .map(|e| e.file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".lock"))
            .collect();
        assert!(left.is_empty(), "{reason}: {left:?}");
        reason
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().flatten().map(|e| e.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn modes_times_links_and_every_compression() {
    let case = Case::new();
    let tar = tar_of(&[
        Entry::Dir("usr/", 0o755),
        Entry::Dir("usr/bin/", 0o555),
        Entry::File("usr/bin/tool", 0o4755, b"tool"),
        Entry::Symlink("bin", "/usr/bin"),
        Entry::Hardlink("usr/bin/same", "bin/tool"),
        Entry::File("deep/er/file", 0o600, b"x"),
        Entry::Device("dev-null"),
    ]);
    // Through a link of the layer below, absolute as it is.
    let second = tar_of(&[Entry::File("bin/more", 0o644, b"more")]);
    let third = tar_of(&[Entry::Dir("closed/", 0o000), Entry::File("closed/file", 0o000, b"")]);
    let root = case.prepare(&[Layer::gzip(&tar), Layer::zstd(&second), Layer::plain(&third)]).unwrap();
    let tree = &root.tree;
    assert_eq!(names(tree), ["bin", "closed", "deep", "usr"]);
    assert_eq!(names(&tree.join("usr/bin")), ["more", "same", "tool"]);
    let tool = fs::metadata(tree.join("usr/bin/tool")).unwrap();
    assert_eq!((tool.permissions().mode() & 0o7777, tool.mtime(), tool.nlink()), (0o755, 1_600_000_000, 2));
    let bin = fs::metadata(tree.join("usr/bin")).unwrap();
    assert_eq!((bin.permissions().mode() & 0o7777, bin.mtime()), (0o555, 1_600_000_000));
    assert_eq!(fs::metadata(tree.join("deep/er")).unwrap().permissions().mode() & 0o777, 0o755);
    assert_eq!(fs::metadata(tree.join("closed")).unwrap().permissions().mode() & 0o777, 0);
    assert_eq!(fs::read_link(tree.join("bin")).unwrap(), Path::new("/usr/bin"));
    // Kept: nothing is unpacked again, not even where the layers are gone.
    fs::remove_dir_all(tree.join("deep")).unwrap();
    let again = case.prepare(&[Layer::gzip(&tar), Layer::zstd(&second), Layer::plain(&third)]).unwrap();
    assert!(!again.tree.join("deep").exists());
    assert_eq!(names(&root.mount), [""; 0]);
}

#[test]
fn whiteouts_are_about_the_layers_below() {
    let case = Case::new();
    let first = tar_of(&[
        Entry::Dir("a/", 0o755),
        Entry::File("a/old", 0o644, b"1"),
        Entry::Dir("a/sub/", 0o755),
        Entry::File("a/sub/old", 0o644, b"1"),
        Entry::File("gone", 0o644, b"1"),
        Entry::Dir("tree/", 0o755),
        Entry::File("tree/x", 0o644, b"1"),
        Entry::File("kind", 0o644, b"1"),
        Entry::Dir("swap/", 0o755),
        Entry::File("swap/x", 0o644, b"1"),
    ]);
    let second = tar_of(&[
        Entry::Dir("a/", 0o755),
        Entry::File("a/new", 0o644, b"2"),
        Entry::File("a/sub/new", 0o644, b"2"),
        // After its siblings, and still not about them.
        Entry::File("a/.wh..wh..opq", 0o644, b""),
        Entry::File(".wh.gone", 0o644, b""),
        Entry::File(".wh.tree", 0o644, b""),
        Entry::File(".wh.never", 0o644, b""),
        Entry::File("no/such/.wh.thing", 0o644, b""),
        Entry::File("both", 0o644, b"2"),
        Entry::File(".wh.both", 0o644, b""),
        Entry::Dir("kind/", 0o755),
        Entry::File("swap", 0o644, b"2"),
        Entry::File(".wh..wh.plnk", 0o644, b""),
    ]);
    let tree = case.prepare(&[Layer::gzip(&first), Layer::gzip(&second)]).unwrap().tree;
    assert_eq!(names(&tree), ["a", "both", "kind", "swap"]);
    assert_eq!(names(&tree.join("a")), ["new", "sub"]);
    assert_eq!(names(&tree.join("a/sub")), ["new"]);
    assert!(tree.join("kind").is_dir() && tree.join("swap").is_file());
}

#[test]
fn hostile_names_never_leave_the_root() {
    let outside = tempfile::tempdir().unwrap();
    let victim = outside.path().join("victim");
    fs::write(&victim, "untouched").unwrap();
    let (folder, file) = (outside.path().to_str().unwrap(), victim.to_str().unwrap());
    let up = format!("{}{file}", "../".repeat(12));
    let refused: &[(&[Entry<'_>], &str)] = &[
        (&[Entry::File("../victim", 0o644, b"x")], "`..`"),
        (&[Entry::File("a/../../victim", 0o644, b"x")], "`..`"),
        (&[Entry::File(file, 0o644, b"x")], "absolute"),
        (&[Entry::Hardlink("link", &up)], "`..`"),
        (&[Entry::Hardlink("link", file)], "absolute"),
        (&[Entry::Hardlink("link", "etc/shadow")], "is not there"),
        (&[Entry::Symlink("up", folder), Entry::Hardlink("link", "up/victim")], "is not there"),
        (&[Entry::Dir("d/", 0o755), Entry::Hardlink("link", "d")], "no file"),
        (&[Entry::File(".wh...", 0o644, b"")], "names no entry"),
        (&[Entry::File(".wh..", 0o644, b"")], "names no entry"),
        (&[Entry::File("../.wh.victim", 0o644, b"")], "`..`"),
        (&[Entry::File("file", 0o644, b"x"), Entry::File("file/below", 0o644, b"x")], "Not a directory"),
        (&[Entry::Symlink("loop", "loop"), Entry::File("loop/x", 0o644, b"x")], "symbolic links"),
    ];
    for (entries, want) in refused {
        let case = Case::new();
        let reason = case.refused(&[Layer::gzip(&tar_of(entries))], Limits::default());
        assert!(reason.contains(want), "{want}: {reason}");
    }
    // Links that point out lead to the same path inside.
    let inside: &[&[Entry<'_>]] = &[
        &[Entry::Symlink("up", folder), Entry::File("up/victim", 0o644, b"x")],
        &[Entry::Symlink("up", "../../../../../../.."), Entry::File("up/new/victim", 0o644, b"x")],
        &[Entry::Symlink("up", file), Entry::File("up", 0o644, b"x")],
        &[Entry::Symlink("a", "b"), Entry::Symlink("b", folder), Entry::File("a/.wh.victim", 0o644, b"")],
        &[Entry::Symlink("up", folder), Entry::File("up/.wh..wh..opq", 0o644, b"")],
    ];
    for entries in inside {
        let case = Case::new();
        // A link to a folder that the root does not have is refused, which is as good.
        let _ = case.prepare(&[Layer::gzip(&tar_of(entries))]);
        assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
        assert_eq!(names(outside.path()), ["victim"]);
    }
}

#[test]
fn damaged_and_oversized_layers_are_refused() {
    let tar = tar_of(&[Entry::File("file", 0o644, &[7; 100_000])]);
    let wrong = Layer { diff_id: Digest::sha256(b"other"), ..Layer::gzip(&tar) };
    let mut cut = Layer::gzip(&tar);
    cut.blob.truncate(cut.blob.len() - 20);
    let mut flipped = Layer::zstd(&tar);
    let middle = flipped.blob.len() / 2;
    flipped.blob[middle] ^= 0xff;
    let mut huge = tar_of(&[Entry::File("file", 0o644, b"")]);
    // Base-256 size of 2^62 bytes (GNU), checksum set right.
    huge[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]);
    let sum: u32 = huge[..148].iter().chain(&huge[156..512]).map(|b| u32::from(*b)).sum::<u32>() + 8 * 32;
    huge[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let long_name = {
        let mut bytes = Vec::new();
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::GNULongName);
        header.set_size(2 << 20);
        header.set_cksum();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + (2 << 20), b'a');
        bytes
    };
    let half = &tar[..tar.len() / 2];
    let table = [
        (wrong, "the configuration says"),
        (cut, "cannot be decompressed"),
        (flipped, "the configuration says"),
        (Layer::gzip(&huge), "bytes early"),
        (Layer::gzip(&long_name), "an extension header of 2097152 bytes"),
        (Layer::gzip(half), "bytes early"),
        (Layer::plain(b"this is no tar, and it is longer than nothing at all"), "damaged"),
    ];
    for (layer, want) in table {
        let reason = Case::new().refused(&[layer], Limits::default());
        assert!(reason.contains(want), "{want}: {reason}");
    }
    let limits = Limits { bytes: 50_000, ..Limits::default() };
    assert!(Case::new().refused(&[Layer::gzip(&tar)], limits).contains("more than 50000 bytes"));
    let many = tar_of(&[Entry::Dir("a/", 0o755), Entry::Dir("b/", 0o755), Entry::Dir("c/", 0o755)]);
    let limits = Limits { entries: 2, ..Limits::default() };
    assert!(Case::new().refused(&[Layer::gzip(&many)], limits).contains("more than 2 entries"));
}

#[test]
fn long_names_of_both_kinds() {
    let name = format!("{}/file", ["long-folder-name"; 12].join("/"));
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, &name, &b"gnu"[..]).unwrap();
    let pax = format!("pax-{name}");
    builder.append_pax_extensions([("path", pax.as_bytes())]).unwrap();
    let mut header = tar::Header::new_ustar();
    header.set_size(3);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    builder.append_data(&mut header, "short", &b"pax"[..]).unwrap();
    let tar = builder.into_inner().unwrap();
    let case = Case::new();
    let tree = case.prepare(&[Layer::gzip(&tar)]).unwrap().tree;
    assert_eq!(fs::read_to_string(tree.join(&name)).unwrap(), "gnu");
    assert_eq!(fs::read_to_string(tree.join(&pax)).unwrap(), "pax");
    assert!(!tree.join("short").exists());
}

#[test]
fn two_at_once_and_remains_of_a_killed_one() {
    let case = Case::new();
    let tar = tar_of(&[Entry::File("file", 0o644, &[1; 3_000_000])]);
    let layers = [Layer::gzip(&tar)];
    // What a killed process leaves: a part that nobody holds the lock of.
    let other = case.cache().join("rootfs/sha256-0000.part/tree");
    fs::create_dir_all(&other).unwrap();
    fs::set_permissions(&other, fs::Permissions::from_mode(0o000)).unwrap();
    let layout = Layout::write(&case.folder.path().join("image"), &layers, Config::default());
    let image = layout.source().open(&Platform::host()).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let root = prepare(&image, &case.cache(), Limits::default(), &Silent).unwrap();
                assert_eq!(fs::metadata(root.tree.join("file")).unwrap().len(), 3_000_000);
            });
        }
    });
    assert!(!other.exists());
}

#[test]
fn an_index_gives_the_platforms_own_image() {
    let case = Case::new();
    let layout = Layout::write(&case.folder.path().join("image"), &[], Config::default());
    let mut descriptor = perijove_oci::Descriptor::new(
        perijove_oci::media::MANIFEST,
        layout.digest.clone(),
        fs::metadata(layout.folder.join("blobs/sha256").join(layout.digest.hex())).unwrap().len(),
    );
    descriptor.platform = Some(Platform::host());
    let index = serde_json::to_vec(&perijove_oci::Index::new(vec![descriptor], Default::default())).unwrap();
    let digest = Digest::sha256(&index);
    fs::write(layout.folder.join("blobs/sha256").join(digest.hex()), index).unwrap();
    let mut source = layout.source();
    source.manifest = digest;
    assert_eq!(source.open(&Platform::host()).unwrap().digest, layout.digest);
    let error = source.open(&"linux/riscv64".parse().unwrap()).unwrap_err();
    assert!(error.to_string().starts_with("the image has no linux/riscv64, only: linux/"), "{error}");
    fs::write(layout.folder.join("blobs/sha256").join(layout.digest.hex()), "{}").unwrap();
    let error = layout.source().open(&Platform::host()).unwrap_err();
    assert!(error.to_string().contains("does not match its digest"), "{error}");
}

/// Layers are never dropped because the configuration forgot them.
#[test]
fn a_configuration_that_names_other_layers_is_refused() {
    let case = Case::new();
    let layers = ["a", "b"].map(|name| Layer::gzip(&tar_of(&[Entry::File(name, 0o644, b"x")])));
    let layout = Layout::write(&case.folder.path().join("image"), &layers, Config::default());
    let blobs = layout.folder.join("blobs/sha256");
    let bytes = fs::read(blobs.join(layout.digest.hex())).unwrap();
    let mut manifest: perijove_oci::Manifest = serde_json::from_slice(&bytes).unwrap();
    let (one, two) = (&manifest.layers[..1], &manifest.layers[..]);
    for (count, layers) in [(1, one.to_vec()), (3, [one, two].concat())] {
        manifest.layers = layers;
        let bytes = serde_json::to_vec(&manifest).unwrap();
        let mut source = layout.source();
        source.manifest = Digest::sha256(&bytes);
        fs::write(blobs.join(source.manifest.hex()), bytes).unwrap();
        let error = source.open(&Platform::host()).unwrap_err();
        let said = format!("{count} layers in the manifest, 2 diff_ids in the configuration");
        assert!(error.to_string().contains(&said) && error.hint().is_some(), "{error}");
    }
}

/// An image that holds one file.
fn one(case: &Case, name: &str) -> Rootfs {
    case.prepare(&[Layer::gzip(&tar_of(&[Entry::File(name, 0o644, b"x")]))]).unwrap()
}

#[test]
fn the_least_recently_used_go_and_those_in_use_stay() {
    let case = Case::new();
    let roots = || names(&case.cache().join("rootfs"));
    let used = one(&case, "used");
    let (older, newer) = (one(&case, "older").tree, one(&case, "newer").tree);
    // Used again, so it is the newest now.
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(one(&case, "older").tree, older);
    trim(&case.cache(), 1);
    assert!(used.tree.join("used").exists(), "it is in use");
    assert!(older.exists() && !newer.exists());
    assert_eq!(roots().len(), 4, "two roots with their locks: {:?}", roots());
    drop(used);
    trim(&case.cache(), 1);
    assert!(older.exists());
    assert_eq!(roots().len(), 2, "{:?}", roots());
    trim(&case.cache(), 0);
    assert_eq!(roots(), [""; 0]);
    // What was removed is made again.
    assert!(one(&case, "newer").tree.join("newer").exists());
}

#[test]
fn another_process_keeps_what_it_uses() {
    let case = Case::new();
    let root = one(&case, "shared").tree;
    let lock = root.parent().unwrap().with_extension("lock");
    let mut other = std::process::Command::new("flock")
        .args(["--shared", lock.to_str().unwrap(), "sh", "-c", "echo held; cat"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = [0; 5];
    std::io::Read::read_exact(other.stdout.as_mut().unwrap(), &mut said).unwrap();
    trim(&case.cache(), 0);
    assert!(root.exists(), "another process uses it");
    drop(other.stdin.take());
    other.wait().unwrap();
    trim(&case.cache(), 0);
    assert!(!root.exists());
}
