//! Package archives into entries: made archives, hostile ones, and real ones beside the real tools.

// clippy.toml allows both in `#[test]` functions; here the helpers beside them are tests too.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod archives;
mod collect;
mod deb;
mod files;
mod never_panic;
mod npm;
mod real_debs;
mod real_npm;
mod real_root;
mod real_wheels;
mod tools;
mod wheel;
mod zips;
