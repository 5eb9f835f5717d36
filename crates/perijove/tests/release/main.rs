//! Releases against real registries: numbers, aliases, races, crashes, branches, commits, bad luck.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and print what they measured"
)]

mod bases;
mod branches;
mod claims;
mod commits;
mod counts;
mod credentials;
mod luck;
mod merges;
mod numbers;
mod plans;
mod pull_requests;
mod referees;
mod scene;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");
