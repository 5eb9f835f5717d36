//! Bad input and bad luck: a clear message with a next step, the exit code of the interface, nothing half-written.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

#[macro_use]
mod scene;
mod clusters;
mod disk;
mod gate;
mod index;
mod interrupts;
mod locks;
mod packages;
mod registry;
mod settings;
mod together;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");
