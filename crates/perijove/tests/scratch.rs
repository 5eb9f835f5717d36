//! Images of nothing but files: `base = "scratch"`, with a folder for each architecture. The pre-puller's image is one;
//! `make await-image` makes it, and `PERIJOVE_AWAIT_IMAGE` names its layout.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say what they measured"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use perijove_oci::Platform;
use perijove_testkit::layout::Layout;
use perijove_testkit::program::Program;
use perijove_testkit::repository::Repository;
use perijove_testkit::{has, skip};
use serde_json::{Value, json};

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");
/// Bytes that a node pulls.
const LIMIT: u64 = 4_000_000;

/// Architecture and manifest of each platform of a layout's image.
fn manifests(layout: &Layout) -> Vec<(String, String)> {
    let read =
        |path: &str| serde_json::from_slice::<Value>(&std::fs::read(layout.0.join(path)).unwrap()).unwrap();
    let root = read("index.json")["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let index = layout.json(&root);
    let images = index["manifests"].as_array().unwrap().iter();
    let images = images.filter(|m| m["platform"]["os"] == "linux");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    images.map(|m| (text(&m["platform"]["architecture"]), text(&m["digest"]))).collect()
}

fn config(layout: &Layout, manifest: &str) -> Value {
    layout.json(layout.json(manifest)["config"]["digest"].as_str().unwrap())["config"].clone()
}

#[test]
fn an_image_of_files_alone_has_those_of_its_architecture() {
    let repository = Repository::new(
        "[repository]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\n\
         [image.tool]\nversion = \"1.0\"\nbase = \"scratch\"\nfiles = \"rootfs.{arch}\"\nuser = \"65534:65534\"\n\
         entrypoint = [\"/tool\"]\n",
    );
    repository.write("images/tool/rootfs.amd64/tool", "for amd64");
    let cache = tempfile::tempdir().unwrap();
    let build = || {
        let program = Program::new(PERIJOVE, repository.path(), cache.path());
        program.args(["build", "--format", "json", "--output", "oci:out"]).run()
    };
    let refused = build();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("`files` names images/tool/rootfs.arm64, which is no folder"),
        "{}",
        refused.stderr
    );
    repository.write("images/tool/rootfs.arm64/tool", "for arm64");
    assert_eq!(build().code, Some(0));
    let layout = Layout(repository.join("out"));
    let manifests = manifests(&layout);
    assert_eq!(manifests.len(), 2);
    for (architecture, manifest) in &manifests {
        let files = layout.files(manifest);
        assert_eq!(files.keys().map(String::as_str).collect::<Vec<_>>(), ["tool"]);
        assert_eq!(String::from_utf8_lossy(&files["tool"].content), format!("for {architecture}"));
        assert_eq!(config(&layout, manifest)["User"], "65534:65534");
    }
}

/// Owner and mode of each folder, as the layers leave it.
fn folders(layout: &Layout, manifest: &str) -> BTreeMap<String, (u64, u64, u32)> {
    let mut found = BTreeMap::new();
    for layer in layout.json(manifest)["layers"].as_array().unwrap() {
        let blob = layout.blob(layer["digest"].as_str().unwrap());
        let mut archive = tar::Archive::new(flate2::read::MultiGzDecoder::new(&blob[..]));
        for entry in archive.entries().unwrap().map(Result::unwrap) {
            let header = entry.header();
            if header.entry_type().is_dir() {
                let path = entry.path().unwrap().display().to_string();
                let facts = (header.uid().unwrap(), header.gid().unwrap(), header.mode().unwrap());
                found.insert(path.trim_end_matches('/').to_owned(), facts);
            }
        }
    }
    found
}

/// The image says whose a folder is, also where its own files lie in it.
#[test]
fn folders_are_whose_the_image_says() {
    let repository = Repository::new(
        "[repository]\nplatforms = [\"linux/amd64\"]\n\
         [image.base]\nversion = \"1.0\"\nbase = \"scratch\"\nfiles = \"rootfs\"\nuser = \"1000:1000\"\n\
         workdir = \"/srv/hub\"\ndirectories = [{ path = \"/srv/data\", owner = \"7:8\", mode = \"0700\" }]\n\
         [image.child]\nversion = \"1.0\"\nbase = { parent = \"base\" }\nfiles = \"rootfs\"\n",
    );
    repository.write("images/base/rootfs/srv/hub/config.py", "c");
    repository.write("images/base/rootfs/srv/data/sub/x", "x");
    repository.write("images/child/rootfs/srv/data/y", "y");
    let cache = tempfile::tempdir().unwrap();
    for image in ["base", "child"] {
        let out = format!("oci:{image}");
        let program = Program::new(PERIJOVE, repository.path(), cache.path());
        let ran = program.args(["build", image, "--output", &out]).run();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let layout = Layout(repository.join(image));
        let folders = folders(&layout, &manifests(&layout)[0].1);
        assert_eq!(folders["srv/hub"], (1000, 1000, 0o755), "{image}");
        assert_eq!(folders["srv/data"], (7, 8, 0o700), "{image}");
        assert_eq!(folders["srv/data/sub"], (0, 0, 0o755), "{image}");
        assert_eq!(folders["srv"], (0, 0, 0o755), "{image}");
    }
}

/// The layout of `make await-image`; the test is skipped where nothing was made.
fn awaiter(test: &str) -> Option<Layout> {
    let Some(folder) = std::env::var_os("PERIJOVE_AWAIT_IMAGE").map(PathBuf::from) else {
        skip(test, "PERIJOVE_AWAIT_IMAGE names no layout that `make await-image` wrote");
        return None;
    };
    Some(Layout(folder))
}

/// The program of an architecture, in a folder of its own.
fn program(layout: &Layout, manifest: &str) -> (tempfile::TempDir, PathBuf) {
    let mut files = layout.files(manifest);
    let content = files.remove("perijove-awaiter").unwrap().content;
    assert!(files.is_empty(), "nothing else: {:?}", files.keys());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("perijove-awaiter");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    (folder, path)
}

#[test]
fn the_awaiters_image_is_small_for_both_architectures() {
    let Some(layout) = awaiter("the_awaiters_image_is_small_for_both_architectures") else { return };
    let manifests = manifests(&layout);
    let mut architectures: Vec<&str> =
        manifests.iter().map(|(architecture, _)| architecture.as_str()).collect();
    architectures.sort_unstable();
    assert_eq!(architectures, ["amd64", "arm64"]);
    for (architecture, manifest) in &manifests {
        let layers = layout.json(manifest)["layers"].as_array().unwrap().clone();
        let bytes: u64 = layers.iter().map(|layer| layer["size"].as_u64().unwrap()).sum();
        eprintln!("{architecture}: {bytes} bytes");
        assert!(bytes <= LIMIT, "{architecture}: {bytes}");
        let config = config(&layout, manifest);
        assert_eq!(
            (&config["User"], &config["Entrypoint"]),
            (&json!("65534:65534"), &json!(["/perijove-awaiter"]))
        );
    }
}

#[test]
fn the_awaiters_program_runs_on_both_architectures() {
    let test = "the_awaiters_program_runs_on_both_architectures";
    let Some(layout) = awaiter(test) else { return };
    for (architecture, manifest) in manifests(&layout) {
        let (folder, path) = program(&layout, &manifest);
        let mut words = vec![path.display().to_string()];
        if architecture != Platform::host().architecture {
            let qemu = if architecture == "arm64" { "qemu-aarch64-static" } else { "qemu-x86_64-static" };
            if !has(test, qemu) {
                continue;
            }
            words.insert(0, qemu.to_owned());
        }
        let run = |more: &[&str]| {
            let output = Command::new(&words[0]).args(&words[1..]).args(more).output().unwrap();
            assert!(output.status.success(), "{architecture}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(run(&["--version"]), format!("perijove-awaiter {}\n", env!("CARGO_PKG_VERSION")));
        assert!(run(&["await", "--help"]).contains("--on-deadline"));
        let installed = folder.path().join("noop");
        run(&["noop", "--install", installed.to_str().unwrap()]);
        assert_eq!(std::fs::read(&installed).unwrap(), std::fs::read(&path).unwrap());
    }
}

/// Each pulled image costs a node such a process.
#[test]
fn a_sleeping_noop_is_next_to_nothing() {
    let Some(layout) = awaiter("a_sleeping_noop_is_next_to_nothing") else { return };
    let host = Platform::host().architecture;
    let (_, manifest) =
        manifests(&layout).into_iter().find(|(architecture, _)| *architecture == host).unwrap();
    let (_folder, path) = program(&layout, &manifest);
    let mut noop = Command::new(path).arg("noop").spawn().unwrap();
    std::thread::sleep(Duration::from_millis(500));
    let status = std::fs::read_to_string(format!("/proc/{}/status", noop.id())).unwrap();
    noop.kill().unwrap();
    noop.wait().unwrap();
    let kilobytes = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    };
    let (all, own) = (kilobytes("VmRSS:"), kilobytes("RssAnon:"));
    eprintln!("noop: {own} kB of its own, {all} kB with the program's pages");
    // The program's pages are the page cache's: the kernel maps them around each that is touched, and takes them back
    // when it needs them.
    assert!(own < 1000 && all < 2000, "{status}");
}
