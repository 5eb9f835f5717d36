//! The built program before an API server that does what a test says: old and new ones, slow ones, broken ones.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

mod faults;
mod memory;
mod noop;
mod objects;
mod server;
