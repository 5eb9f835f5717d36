//! Real servers and made packages for the tests.
//!
//! `web` answers as a test says, `front` stands between a client and a registry; `packages` makes wheels and Debian packages and serves them as an index and a
//! mirror would; `repository` is an image repository with locks of such packages; `program` runs the built
//! binary in an environment that the test decides; `registry` is the embedded registry as a process and `peer` Debian's; `layout`
//! reads what was built; `cluster` is a real Kubernetes; `workflow` runs workflows of GitHub Actions as GitHub would.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

pub mod cluster;
pub mod freezes;
pub mod front;
pub mod layout;
pub mod packages;
pub mod peer;
pub mod program;
pub mod registry;
pub mod repository;
pub mod web;
pub mod workflow;

/// Says that `test` is skipped and why; where `CI` is `true` everything must be there, and it fails instead.
pub fn skip(test: &str, why: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{test} must not be skipped in CI: {why}");
    eprintln!("skipped: {test}: {why}");
}

/// Whether `program --version` works; if not, the test is skipped by name.
pub fn has(test: &str, program: &str) -> bool {
    let there =
        std::process::Command::new(program).arg("--version").output().is_ok_and(|o| o.status.success());
    if !there {
        skip(test, &format!("{program} is not installed"));
    }
    there
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
