//! What a node must pull at each of JupyterHub's nine real freezes of its Python packages.
//!
//! Each is locked with hashes, in the place of the one before, as a maintainer would; then built.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and print what they measured"
)]

use std::collections::BTreeSet;

use perijove_testkit::freezes::{freezes, tiny_base};
use perijove_testkit::program::Program;
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;
use serde_json::Value;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// The bounds of the median and of the sum over the eight steps, in bytes. One layer of Python: 25.3 and 202 MB; a
/// layer a package: 9.5 and 80; only the changed files: 4.4 and 32.
const MEDIAN: u64 = 6_400_000;
const SUM: u64 = 43_000_000;

/// Digest and size of every layer.
fn layers(result: &Value) -> BTreeSet<(String, u64)> {
    let layers = result["images"][0]["platforms"][0]["layers"].as_array().unwrap();
    let of = |l: &Value| (l["digest"].as_str().unwrap().to_owned(), l["size_bytes"].as_u64().unwrap());
    layers.iter().map(of).collect()
}

fn size(layers: &BTreeSet<(String, u64)>) -> u64 {
    layers.iter().map(|(_, size)| size).sum()
}

#[test]
fn refreezes_move_few_bytes() {
    let Some(freezes) = freezes("refreezes_move_few_bytes") else { return };
    let registry = Registry::start(PERIJOVE);
    let repository = Repository::new(&format!(
        "[repository]\nplatforms = [\"linux/amd64\"]\n[image.hub]\nversion-from = \"jupyterhub\"\n\
         base = {{ image = \"{}\" }}\npython = \"requirements.txt\"\npython-version = \"3.13\"\nglibc = \"2.41\"\n",
        tiny_base(PERIJOVE, &registry)
    ));
    let program = |arguments: &[&str]| {
        let program = Program::of_this_site(PERIJOVE, repository.path()).args(["--format", "json"]);
        program.args(arguments.iter().copied()).run().json()
    };
    let mut steps = Vec::new();
    let mut before: Option<BTreeSet<(String, u64)>> = None;
    for freeze in &freezes {
        // upstream's freezes name the hub's own packages; jupyterhub itself is in them.
        repository.write("images/hub/requirements.in", &std::fs::read_to_string(freeze).unwrap());
        program(&["lock"]);
        let now = layers(&program(&["build"]));
        assert!(now.len() <= 60, "{} layers", now.len());
        let name = freeze.file_stem().unwrap().to_string_lossy().into_owned();
        match &before {
            None => eprintln!("{name}: {} layers, {} bytes", now.len(), size(&now)),
            Some(before) => {
                let new: BTreeSet<_> = now.difference(before).cloned().collect();
                eprintln!("{name}: {} of {} layers are new, {} bytes", new.len(), now.len(), size(&new));
                steps.push(size(&new));
            }
        }
        before = Some(now);
    }
    let sum: u64 = steps.iter().sum();
    steps.sort_unstable();
    let median = u64::midpoint(steps[3], steps[4]);
    eprintln!("median {median} bytes, sum {sum} bytes");
    assert!(median <= MEDIAN, "median {median}");
    assert!(sum <= SUM, "sum {sum}");
}
