//! The pipelines that `perijove init` writes, run as GitHub would run them: real git, real registries, a package index
//! on loopback. `replay` does it for years.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and print what they measured"
)]

mod linters;
mod oracle;
mod publish;
mod pull_request;
mod refresh;
mod release;
mod replay;
mod scene;
