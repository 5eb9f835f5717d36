//! Images from a Dockerfile, made by real builders: `images`, `failures` and `buildkit`. Nothing is pulled: bases are
//! made here of a static busybox.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

mod buildkit;
mod failures;
mod images;
mod scene;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");
