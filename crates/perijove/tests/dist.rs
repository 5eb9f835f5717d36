//! What people install: the wheel and the static program that `make dist` made in the folder `PERIJOVE_DIST`.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use perijove_testkit::program::{Program, Ran};
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;
use perijove_testkit::{has, is_root, skip};

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// The file of `make dist` whose name ends so; the test is skipped where nothing was made.
fn made(test: &str, end: &str) -> Option<PathBuf> {
    let Some(folder) = std::env::var_os("PERIJOVE_DIST").map(PathBuf::from) else {
        skip(test, "PERIJOVE_DIST names no folder that `make dist` wrote");
        return None;
    };
    let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    Some(files.find(|path| path.to_string_lossy().ends_with(end)).unwrap())
}

fn version() -> String {
    format!("perijove {}", env!("CARGO_PKG_VERSION"))
}

fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A root file system with the program, a temporary folder and nothing else.
fn empty_root(program: &Path) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    std::fs::copy(program, root.path().join("perijove")).unwrap();
    std::fs::create_dir_all(root.path().join("tmp")).unwrap();
    root
}

fn in_root(root: &Path, folder: &str, arguments: &[&str]) -> Ran {
    let root = root.display().to_string();
    let command = ["chroot", &root, "/perijove", "--directory", folder];
    Program::new("/usr/bin/env", Path::new("/"), Path::new("/tmp"))
        .args(["--ignore-environment", "HOME=/tmp", "PATH=/usr/sbin:/usr/bin"])
        .args(command.iter().chain(arguments).copied())
        .run()
}

#[test]
fn the_program_needs_no_library() {
    let test = "the_program_needs_no_library";
    let Some(program) = made(test, "/perijove") else { return };
    if !has(test, "readelf") {
        return;
    }
    let headers = run("readelf", &["--program-headers", "--dynamic", "--wide", &program.to_string_lossy()]);
    assert!(!headers.contains("INTERP") && !headers.contains("(NEEDED)"), "{headers}");
    assert_eq!(run(&program, &["--version"]).trim(), version());
}

#[test]
fn an_empty_root_is_enough_to_build_push_and_release() {
    let test = "an_empty_root_is_enough_to_build_push_and_release";
    let Some(program) = made(test, "/perijove") else { return };
    if !is_root() {
        return skip(test, "chroot needs root");
    }
    let registry = Registry::start(PERIJOVE);
    let root = empty_root(&program);
    let repository = Repository::new(
        "[repository]\nplatforms = [\"linux/amd64\"]\n[image.hub]\nversion = \"5.3.0\"\nbase = { debian = \"trixie\" }\nfiles = \"rootfs\"\ncommand = [\"/bin/hub\"]\n",
    );
    repository.lock_debs("hub", &[]);
    repository.write("images/hub/rootfs/etc/hub", "one\n");
    run(
        "cp",
        &["-a", &repository.path().to_string_lossy(), &root.path().join("repository").to_string_lossy()],
    );
    let team = format!("{}/team", registry.address);
    let released = in_root(
        root.path(),
        "/repository",
        &["release", "--registry", &team, "--branch", "main", "--revision", "c1"],
    );
    assert_eq!(released.code, Some(0), "{}", released.stderr);
    assert!(released.stdout.starts_with("hub 5.3.0-0 "), "{}", released.stdout);
    let next = in_root(root.path(), "/", &["tags", "next", "5.3.0", "--repo", &format!("{team}/hub")]);
    assert_eq!(next.stdout, "5.3.0-1\n", "{}", next.stderr);
}

#[test]
fn names_are_looked_up_without_the_c_library() {
    let test = "names_are_looked_up_without_the_c_library";
    let Some(program) = made(test, "/perijove") else { return };
    if !is_root() {
        return skip(test, "chroot needs root");
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let repo = format!("hub.test:{port}/team/hub");
    let ask = |root: &Path| in_root(root, "/", &["tags", "next", "5.3.0", "--repo", &repo]);
    let root = empty_root(&program);
    let nowhere = ask(root.path());
    assert_eq!(nowhere.code, Some(1), "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("resolv.conf"), "{}", nowhere.stderr);

    std::fs::create_dir(root.path().join("etc")).unwrap();
    std::fs::write(root.path().join("etc/resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
    std::fs::write(root.path().join("etc/hosts"), "127.0.0.1 hub.test\n::1 hub.test\n").unwrap();
    let came = std::thread::spawn(move || drop(listener.accept().unwrap()));
    assert_eq!(ask(root.path()).code, Some(1), "nobody there speaks TLS");
    came.join().unwrap();
}

#[test]
fn the_wheel_brings_the_program() {
    let test = "the_wheel_brings_the_program";
    let Some(wheel) = made(test, ".whl") else { return };
    if !has(test, "uv") {
        return;
    }
    let name = wheel.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.contains("-py3-none-manylinux") && name.starts_with("perijove-"), "{name}");
    let folder = tempfile::tempdir().unwrap();
    let venv = folder.path().join("venv").display().to_string();
    let wheel = wheel.display().to_string();
    run("uv", &["venv", "--quiet", &venv]);
    let python = format!("{venv}/bin/python");
    run("uv", &["pip", "install", "--quiet", "--offline", "--no-index", "--python", &python, &wheel]);
    assert_eq!(run(format!("{venv}/bin/perijove"), &["--version"]).trim(), version());
    let files = run("uv", &["pip", "show", "--files", "--python", &python, "perijove"]);
    assert!(files.contains("LICENSE") && !files.contains(".so"), "{files}");
    // As pip does it, which `uv venv` brings from the index.
    let seeded = folder.path().join("seeded").display().to_string();
    run("uv", &["venv", "--quiet", "--seed", &seeded]);
    let pip = ["-m", "pip", "install", "--quiet", "--no-index", "--disable-pip-version-check", &wheel];
    run(format!("{seeded}/bin/python"), &pip);
    assert_eq!(run(format!("{seeded}/bin/perijove"), &["--version"]).trim(), version());
    let once = ["tool", "run", "--quiet", "--offline", "--isolated", "--no-index", "--from", &wheel];
    assert_eq!(run("uv", &[&once[..], &["perijove", "--version"]].concat()).trim(), version());
}
