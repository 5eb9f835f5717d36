//! The images of this repository against their own checks (`perijove.toml`), as `perijove release` runs them before
//! anything is public: built from their locks with the packages of this site, run by the runtime that is here. And what
//! must not be in them.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say how long the checks took"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use perijove_oci::Platform;
use perijove_testkit::layout::Layout;
use perijove_testkit::program::Program;
use perijove_testkit::{has, index_answers};
use serde_json::Value;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// This repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whether the programs are here that build the images, and a package index answers.
fn can_build(test: &str) -> bool {
    ["uv", "npm", "apt-get"].iter().all(|program| has(test, program)) && index_answers(test)
}

/// Runs `perijove test IMAGE`: every check on this machine's platform must pass, and there must be as many as
/// `perijove.toml` has.
fn passes_its_checks(test: &str, image: &str) {
    if !can_build(test) {
        return;
    }
    let root = root();
    let config = std::fs::read_to_string(root.join("perijove.toml")).unwrap();
    let written = config.lines().filter(|line| *line == format!("[[image.{image}.test]]")).count();
    assert!(written > 0, "{image} has no checks");
    let program = Program::of_this_site(PERIJOVE, &root).args(["test", image, "--format", "json"]);
    let ran = program.run();
    let Ok(result) = serde_json::from_str::<Value>(&ran.stdout) else {
        panic!("exit {:?}: the checks never ran: {}", ran.code, ran.stderr);
    };
    let host = Platform::host().to_string();
    let mut passed = 0;
    for check in result["checks"].as_array().unwrap().iter().filter(|c| c["platform"] == host.as_str()) {
        let (name, reason) = (&check["check"], &check["reason"]);
        eprintln!("{image}: {} {name} ({:.1} s)", check["result"], check["seconds"].as_f64().unwrap());
        assert_eq!(check["result"], "passed", "{name}: {reason}\n{}", ran.stderr);
        passed += 1;
    }
    assert_eq!((passed, ran.code), (written, Some(0)), "{}", ran.stderr);
}

#[test]
fn hub_passes_its_checks() {
    passes_its_checks("hub_passes_its_checks", "hub");
}

#[test]
fn proxy_passes_its_checks() {
    passes_its_checks("proxy_passes_its_checks", "proxy");
}

#[test]
fn lab_passes_its_checks() {
    passes_its_checks("lab_passes_its_checks", "lab");
}

/// Programs by which somebody who got in would go on, in any folder of the image; and the proxy.
const UNWANTED: &[&str] = &[
    "sh",
    "bash",
    "dash",
    "ash",
    "ksh",
    "zsh",
    "busybox",
    "perl",
    "gcc",
    "g++",
    "cc",
    "c++",
    "clang",
    "tcc",
    "as",
    "ld",
    "make",
    "apt",
    "apt-get",
    "dpkg",
    "uv",
    "npm",
    "node",
    "nodejs",
    "curl",
    "wget",
    "configurable-http-proxy",
];

/// Whether a path of an image is such a program: by its name, also with a version or a platform at either end, or pip.
fn is_unwanted(path: &str) -> bool {
    let mut parents = path.split('/').rev();
    let name = parents.next().unwrap_or_default();
    let is_pip = |name: &str| {
        name.strip_prefix("pip").is_some_and(|rest| rest.bytes().all(|b| b".0123456789".contains(&b)))
    };
    let base = name.rsplit_once('-').map_or(name, |(base, version)| {
        if version.bytes().all(|b| b".0123456789".contains(&b)) { base } else { name }
    });
    let last = base.rsplit_once("-linux-gnu-").map_or(base, |(_, last)| last);
    let in_programs = path.split('/').any(|folder| ["bin", "sbin", "libexec", "games"].contains(&folder));
    is_pip(name)
        || path
            .split('/')
            .any(|folder| folder == "pip" || folder.starts_with("pip-") && folder.ends_with(".dist-info"))
        || in_programs && UNWANTED.contains(&last)
}

/// What is unwanted in an image, on these platforms.
fn unwanted(image: &str, platforms: &str) -> BTreeSet<String> {
    let out = tempfile::tempdir().unwrap();
    let layout = Layout(out.path().join("layout"));
    let program = Program::of_this_site(PERIJOVE, &root());
    let program = program.args(["build", image, "--platform", platforms, "--format", "json", "--output"]);
    let result = program.args([format!("oci:{}", layout.0.display())]).run().json();
    let mut found = BTreeSet::new();
    for platform in result["images"][0]["platforms"].as_array().unwrap() {
        let files = layout.files(platform["digest"].as_str().unwrap());
        assert!(files.len() > 1000, "{image}: only {} files", files.len());
        found.extend(files.into_keys().filter(|path| is_unwanted(path)));
    }
    found
}

/// The hub has no shell, no compiler, no installer and no proxy. Those that need one show that they would be found.
#[test]
fn the_hub_image_holds_nothing_to_go_on_with() {
    let test = "the_hub_image_holds_nothing_to_go_on_with";
    if !can_build(test) {
        return;
    }
    assert_eq!(unwanted("hub", "linux/amd64,linux/arm64"), BTreeSet::new());
    let names = |image: &str| -> BTreeSet<String> {
        unwanted(image, &Platform::host().to_string())
            .iter()
            .filter_map(|path| path.rsplit('/').next())
            .map(str::to_owned)
            .collect()
    };
    let lab = names("lab");
    assert!(["bash", "pip"].iter().all(|&name| lab.contains(name)), "{lab:?}");
    let proxy = names("proxy");
    assert!(["node", "configurable-http-proxy"].iter().all(|&name| proxy.contains(name)), "{proxy:?}");
}

#[test]
fn names_of_what_is_unwanted() {
    for (path, wanted) in [
        ("bin/sh", true),
        ("usr/bin/bash", true),
        ("usr/bin/x86_64-linux-gnu-gcc-14", true),
        ("usr/bin/gcc-14", true),
        ("usr/local/bin/pip3.13", true),
        ("usr/lib/python3/dist-packages/pip/__init__.py", true),
        ("usr/lib/python3/dist-packages/pip-25.1.dist-info/RECORD", true),
        ("usr/local/lib/node_modules/configurable-http-proxy/bin/configurable-http-proxy", true),
        ("usr/bin/python3.13", false),
        ("usr/bin/jupyterhub", false),
        ("usr/share/doc/bash/copyright", false),
        ("usr/lib/python3/dist-packages/pipeline.py", false),
    ] {
        assert_eq!(is_unwanted(path), wanted, "{path}");
    }
}
