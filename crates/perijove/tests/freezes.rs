//! What a node must pull at each of JupyterHub's nine real freezes of its Python packages.
//!
//! The freezes lie in `conformance/freezes` of the folder that PERIJOVE_SHARED names, else `../shared` beside the
//! workspace. Each is locked with hashes, in the place of the one before, as a maintainer would; then built.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and print what they measured"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use perijove_testkit::packages::Packages;
use perijove_testkit::program::Program;
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;
use perijove_testkit::{has, skip};
use serde_json::Value;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// The bounds of the median and of the sum over the eight steps, in bytes. One layer of Python: 25.3 and 202 MB; a
/// layer a package: 9.5 and 80; only the changed files: 4.4 and 32.
const MEDIAN: u64 = 6_400_000;
const SUM: u64 = 43_000_000;

fn freezes() -> Vec<PathBuf> {
    let shared = std::env::var_os("PERIJOVE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let entries = std::fs::read_dir(shared.join("conformance/freezes")).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "txt"));
    files.sort();
    files
}

/// An image without anything in a registry, for the freezes to stand on: only their layers count.
fn tiny_base(registry: &Registry) -> String {
    let repository = Repository::new(
        "[repository]\nplatforms = [\"linux/amd64\"]\n[image.base]\nversion = \"1\"\nbase = { debian = \"trixie\" }\n",
    );
    repository.lock_debs("base", &[]);
    let cache = tempfile::tempdir().unwrap();
    let target = format!("{}/base:1", registry.address);
    let program =
        Program::new(PERIJOVE, repository.path(), cache.path()).envs(Packages::serve().environment());
    let result = program.args(["build", "--format", "json", "--push", &target]).run().json();
    format!("{}/base@{}", registry.address, result["images"][0]["digest"].as_str().unwrap())
}

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
    let test = "refreezes_move_few_bytes";
    let freezes = freezes();
    if freezes.len() != 9 {
        return skip(
            test,
            "the nine freezes are not there; set PERIJOVE_SHARED to the folder that holds conformance/freezes",
        );
    }
    if !has(test, "uv") {
        return;
    }
    let registry = Registry::start(PERIJOVE);
    let repository = Repository::new(&format!(
        "[repository]\nplatforms = [\"linux/amd64\"]\n[image.hub]\nversion-from = \"jupyterhub\"\n\
         base = {{ image = \"{}\" }}\npython = \"requirements.txt\"\npython-version = \"3.13\"\nglibc = \"2.41\"\n",
        tiny_base(&registry)
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
