//! The images of this repository against their own checks (`perijove.toml`), as `perijove release` runs them before
//! anything is public: built from their locks with the packages of this site, run by the runtime that is here.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

use std::path::Path;

use perijove_oci::Platform;
use perijove_testkit::program::Program;
use perijove_testkit::{has, skip};
use serde_json::Value;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// Runs `perijove test IMAGE`: every check on this machine's platform must pass, and there must be as many as
/// `perijove.toml` has.
fn passes_its_checks(test: &str, image: &str) {
    if !has(test, "uv") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let config = std::fs::read_to_string(root.join("perijove.toml")).unwrap();
    let written = config.lines().filter(|line| *line == format!("[[image.{image}.test]]")).count();
    assert!(written > 0, "{image} has no checks");
    let program = Program::of_this_site(PERIJOVE, &root).args(["test", image, "--format", "json"]);
    let ran = program.run();
    let Ok(result) = serde_json::from_str::<Value>(&ran.stdout) else {
        // No index, no registry or no runtime answers here: the image's checks never ran.
        return skip(test, &ran.stderr);
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
