//! Folders of plain files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use perijove_build::Error;
use perijove_build::entry::{EPOCH, Kind};
use perijove_build::unpack::files;

use crate::collect::Collect;

fn walk(folder: &Path) -> (perijove_build::Result<()>, Collect) {
    let mut sink = Collect::default();
    (files(folder, &mut sink), sink)
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_folder_is_walked_in_order_whatever_its_rights() {
    let made = |umask_like: u32, times: bool| {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        let mut names = ["b/x", "a.txt", "b/run", "a/z"];
        if times {
            names.reverse();
        }
        for name in names {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), name).unwrap();
            chmod(&at(name), if name == "b/run" { 0o777 & !umask_like } else { 0o666 & !umask_like });
        }
        symlink("../a/z", at("b/link")).unwrap();
        symlink("/usr/bin/python3", at("b/absolute")).unwrap();
        chmod(&at("b"), 0o777 & !umask_like);
        let (result, sink) = walk(root.path());
        result.unwrap();
        sink.entries
    };
    let first = made(0o022, false);
    assert_eq!(first, made(0o077, true));
    assert_eq!(first, made(0o002, true));
    let listed: Vec<_> = first.iter().map(|(e, _)| (e.path.as_str(), e.mode)).collect();
    assert_eq!(
        listed,
        [
            ("a", 0o755),
            ("a/z", 0o644),
            ("a.txt", 0o644),
            ("b", 0o755),
            ("b/absolute", 0o777),
            ("b/link", 0o777),
            ("b/run", 0o755),
            ("b/x", 0o644),
        ]
    );
    assert!(first.iter().all(|(e, _)| (e.uid, e.gid, e.mtime) == (0, 0, EPOCH)));
    assert_eq!(first[5].0.kind, Kind::Symlink { target: "../a/z".into() });
}

#[test]
fn what_no_image_can_hold_is_refused_by_path() {
    let refused = |make: &dyn Fn(&Path), expected: &str| {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("etc")).unwrap();
        make(&root.path().join("etc"));
        match walk(root.path()).0 {
            Err(Error::Input { place, reason, hint }) => {
                assert!(place.contains("/etc/") && reason.contains(expected), "{place}: {reason}");
                assert!(!hint.is_empty());
            }
            other => panic!("{expected}: {other:?}"),
        }
    };
    refused(&|etc| drop(UnixListener::bind(etc.join("s")).unwrap()), "a socket");
    refused(
        &|etc| assert!(std::process::Command::new("mkfifo").arg(etc.join("p")).status().unwrap().success()),
        "a named pipe",
    );
    refused(&|etc| symlink("../../x", etc.join("l")).unwrap(), "leaves the root");
    refused(&|etc| fs::write(etc.join("a\nb"), "").unwrap(), "control character");
    refused(
        &|etc| {
            use std::os::unix::ffi::OsStrExt as _;
            fs::write(etc.join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "").unwrap();
        },
        "UTF-8",
    );
}

#[test]
fn a_missing_folder_is_an_error_with_its_path() {
    match walk(Path::new("no/such/folder")).0 {
        Err(Error::Io { path, .. }) => assert_eq!(path, Path::new("no/such/folder")),
        other => panic!("{other:?}"),
    }
}
