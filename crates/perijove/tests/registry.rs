//! `perijove registry serve`: where its store is, and what it collects while it serves.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use perijove_testkit::program::{Program, Running};

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// Longer than anything takes that is not broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Serves from `folder` with these arguments; it is ready.
fn serve(folder: &Path, before: &[&str], arguments: &[&str]) -> Running {
    let home = folder.join("home");
    let program = Program::new(PERIJOVE, folder, &home).args(before.iter().copied());
    let program = program.args(["registry", "serve", "--listen", "127.0.0.1:0"]);
    let mut running = program.args(arguments.iter().copied()).start();
    let mut line = String::new();
    BufReader::new(running.stdout()).read_line(&mut line).unwrap();
    assert!(line.starts_with("http://127.0.0.1:"), "{line:?} {}", running.end().stderr);
    running
}

/// Every store below `folder`.
fn stores(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.join("format").is_file() => {
                    found.push(path.strip_prefix(folder).unwrap().to_owned());
                }
                true => open.push(path),
                false => {}
            }
        }
    }
    found
}

#[test]
fn its_store_is_the_image_repositorys() {
    for (from, before, arguments, wanted) in [
        (".", &[][..], &[][..], ".perijove/registry"),
        ("images/hub", &[], &[], ".perijove/registry"),
        (".", &["-C", "images/hub"], &[], ".perijove/registry"),
        // What is named is meant as it is written.
        ("images/hub", &[], &["--root", "store"], "images/hub/store"),
        (".", &["-C", "images/hub"], &["--root", "store"], "images/hub/store"),
        // No image repository.
        ("../elsewhere", &[], &[], "../elsewhere/.perijove/registry"),
    ] {
        let site = tempfile::tempdir().unwrap();
        let repository = site.path().join("repository");
        std::fs::create_dir_all(repository.join("images/hub")).unwrap();
        std::fs::create_dir_all(site.path().join("elsewhere")).unwrap();
        std::fs::write(repository.join("perijove.toml"), "[repository]\n").unwrap();
        drop(serve(&repository.join(from).canonicalize().unwrap(), before, arguments));
        let wanted = Path::new("repository").join(wanted);
        let wanted = wanted.strip_prefix("repository/..").unwrap_or(&wanted);
        assert_eq!(stores(site.path()), [wanted], "{from} {before:?} {arguments:?}");
    }
}

#[test]
fn old_blobs_go_soon_after_the_start() {
    let folder = tempfile::tempdir().unwrap();
    drop(serve(folder.path(), &[], &["--root", "store"]));
    let contents = folder.path().join("store/blobs/sha256");
    let blob = |hours: u64| {
        let path = contents.join(perijove_oci::Digest::sha256(&hours.to_be_bytes()).hex());
        std::fs::write(&path, hours.to_be_bytes()).unwrap();
        let then = SystemTime::now() - Duration::from_secs(hours * 3600);
        File::options().write(true).open(&path).unwrap().set_modified(then).unwrap();
        path
    };
    let (young, old, oldest) = (blob(1), blob(3), blob(30));
    let gone = |path: &Path| {
        let start = Instant::now();
        while path.exists() {
            assert!(start.elapsed() < PATIENCE, "{} stays", path.display());
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    // A day, where nothing else is said.
    let registry = serve(folder.path(), &[], &["--root", "store", "--collect-first", "0"]);
    gone(&oldest);
    assert!(young.exists() && old.exists());
    drop(registry);
    let arguments = ["--root", "store", "--collect-first", "0", "--collect-after", "2"];
    let _registry = serve(folder.path(), &[], &arguments);
    gone(&old);
    assert!(young.exists());
}
