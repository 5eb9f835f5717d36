//! Runs an image: docker, podman, runc or the built-in runtime.
//!
//! [`Engine::choose`] picks the runtime, [`Engine::start`] gives a [`Container`], [`check`] runs an image's own
//! checks. Every runtime is driven by a supervisor process over a socket ([`init`]): whoever is killed, the
//! others end, and nothing is left. The supervisor is this very program, so `main` begins with
//!
//! ```no_run
//! # fn main() -> std::process::ExitCode {
//! if let Some(code) = perijove_runtime::init::maybe_run() {
//!     return code;
//! }
//! # std::process::ExitCode::SUCCESS
//! # }
//! ```
//!
//! before any thread is started.

mod archive;
mod brought;
mod builtin;
pub mod check;
mod choice;
mod client;
mod container;
mod error;
mod image;
pub mod init;
mod lines;
mod protocol;
pub mod rootfs;
mod run;
mod signal;
mod spec;
mod trial;
mod user;

pub use choice::{Engine, Runtime, Settings, Wanted};
pub use container::Container;
pub use error::Error;
pub use image::{Image, ImageSource};
pub use run::Output;
pub use spec::{ExitStatus, LineSink, Mount, Network, Spec, Stream};
