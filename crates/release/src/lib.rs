//! Releasing: merge, and the right images with the right tags are out.
//!
//! `branch` (pure) says which branch releases what; `observe` reads what registries have; `plan` (pure) decides from
//! that and the built images, `number` which number all of them get; `run` carries it out, `settle` the part with tags; `referee` says who settles a race
//! for a tag. `compare` (pure) is what a build changes for nodes, `record` what a pipeline gets, `markdown` (pure)
//! what people read of both. `pull_request` is all that a pull request may do.
//!
//! `repository` reads digests; `faults` (pure) says which aliases break the rule; `verify` looks
//! and repairs.

pub mod branch;
pub mod compare;
pub mod error;
pub mod faults;
pub mod markdown;
mod number;
pub mod observe;
pub mod plan;
pub mod pull_request;
pub mod record;
pub mod referee;
pub mod repository;
pub mod run;
mod settle;
pub mod units;
pub mod verify;

pub use error::{Error, Result};
pub use faults::{Fault, Kind};
