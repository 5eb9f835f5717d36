//! The built program before an API server that does what a test says: old and new ones, slow ones, broken ones.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say what they measured"
)]

mod end;
mod faults;
mod memory;
mod noop;
mod objects;
mod server;
mod token;
