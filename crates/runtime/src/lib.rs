//! Runs an image: docker, podman, runc or the built-in runtime.
mod archive;
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
mod user;

pub use choice::{Engine, Runtime, Settings, Wanted};
pub use container::Container;
pub use error::Error;
pub use image::{Image, ImageSource};
pub use run::Output;
pub use spec::{ExitStatus, LineSink, Mount, Network, Spec, Stream};
