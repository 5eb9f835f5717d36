//! Releasing: merge, and the right images with the right tags are out.
//!
//! `plan` (pure) decides from built images and what registries have; `run` carries it out; `referee` says who
//! settles a race for a tag; `record` is what a pipeline gets.
//!
//! `repository` reads what registries have; `faults` (pure) says which aliases break the rule; `verify` looks
//! and repairs.

pub mod error;
pub mod faults;
pub mod plan;
pub mod record;
pub mod referee;
pub mod repository;
pub mod run;
pub mod verify;

pub use error::{Error, Result};
pub use faults::{Fault, Kind};
