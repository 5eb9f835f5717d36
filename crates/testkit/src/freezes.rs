//! JupyterHub's nine real freezes of its Python packages, and a base for them to stand on.
//!
//! They lie in `conformance/freezes` of the folder that PERIJOVE_SHARED names, else `../shared` beside the workspace.

use std::path::{Path, PathBuf};

use crate::packages::Packages;
use crate::program::Program;
use crate::registry::Registry;
use crate::repository::Repository;
use crate::{has, skip};

/// The freezes, oldest first; none where `test` is to be skipped: without them, or without uv.
pub fn freezes(test: &str) -> Option<Vec<PathBuf>> {
    let shared = std::env::var_os("PERIJOVE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let entries = std::fs::read_dir(shared.join("conformance/freezes")).into_iter().flatten();
    let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "txt"));
    files.sort();
    if files.len() != 9 {
        skip(
            test,
            "the nine freezes are not there; set PERIJOVE_SHARED to the folder that holds conformance/freezes",
        );
        return None;
    }
    has(test, "uv").then_some(files)
}

/// Builds an image without anything into the registry, by its digest: what stands on it has layers of its own alone.
pub fn tiny_base(perijove: &str, registry: &Registry) -> String {
    let repository = Repository::new(
        "[repository]\nplatforms = [\"linux/amd64\"]\n[image.base]\nversion = \"1\"\nbase = { debian = \"trixie\" }\n",
    );
    repository.lock_debs("base", &[]);
    let cache = tempfile::tempdir().unwrap();
    let target = format!("{}/base:1", registry.address);
    let program =
        Program::new(perijove, repository.path(), cache.path()).envs(Packages::serve().environment());
    let result = program.args(["build", "--format", "json", "--push", &target]).run().json();
    format!("{}/base@{}", registry.address, result["images"][0]["digest"].as_str().unwrap())
}
