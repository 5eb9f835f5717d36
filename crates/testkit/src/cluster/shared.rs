//! One cluster for a whole test program, and the program that is its supervisor.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::{Cluster, Options, Version, lacking};

/// The clusters that a whole test program shares: one for each version, up with the first test that asks.
static SHARED: [OnceLock<RwLock<Cluster>>; 2] = [OnceLock::new(), OnceLock::new()];

/// The test program's cluster of three nodes, together with other tests: each has a namespace of its own, and hurts
/// nothing that is not in it. `None` where `test` is skipped.
pub fn shared(test: &str, version: Version) -> Option<RwLockReadGuard<'static, Cluster>> {
    Some(lock(test, version)?.read().unwrap_or_else(PoisonError::into_inner))
}

/// The same cluster for a test that hurts it: no other test has it meanwhile.
pub fn alone(test: &str, version: Version) -> Option<RwLockWriteGuard<'static, Cluster>> {
    Some(lock(test, version)?.write().unwrap_or_else(PoisonError::into_inner))
}

fn lock(test: &str, version: Version) -> Option<&'static RwLock<Cluster>> {
    let options = Options { kubernetes: version, ..Options::default() };
    if let Some(why) = lacking(&options) {
        crate::skip(test, &why);
        return None;
    }
    let place = Version::ALL.iter().position(|v| *v == version).unwrap();
    Some(SHARED[place].get_or_init(|| RwLock::new(Cluster::start(&options))))
}

/// The program `cluster` of this crate, built if its sources are newer: a test of another crate does not have it.
pub(super) fn supervisor_program() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    if own.file_name().is_some_and(|n| n == "cluster") {
        return own;
    }
    // Tests are in TARGET/PROFILE/deps.
    let profile = own.ancestors().find(|f| f.file_name().is_some_and(|n| n == "deps")).and_then(Path::parent);
    let profile = profile.unwrap_or(own.parent().unwrap());
    let program = profile.join("cluster");
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let sources = ["testkit", "registry", "oci"].map(|name| crates.join(name).join("src"));
    let newest = sources.iter().flat_map(|s| crate::layout::files_below(s)).filter_map(|f| changed(&f)).max();
    if changed(&program) < newest {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["build", "--quiet", "--locked", "--package", "perijove-testkit", "--bin", "cluster"]);
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.current_dir(crates).status().unwrap().success(), "the program `cluster` is not built");
        // Cargo leaves a program alone that is as it was; the next look need not ask again.
        std::fs::File::open(&program).and_then(|f| f.set_modified(std::time::SystemTime::now())).unwrap();
    }
    program
}

fn changed(file: &Path) -> Option<std::time::SystemTime> {
    file.metadata().ok()?.modified().ok()
}
