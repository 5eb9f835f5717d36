//! Releasing: merge, and the right images with the right tags are out.
//!
//! `repository` reads what registries have; `faults` (pure) says which aliases break the rule; `verify` looks
//! and repairs.

pub mod error;
pub mod faults;
pub mod repository;
pub mod verify;

pub use error::{Error, Result};
pub use faults::{Fault, Kind};
