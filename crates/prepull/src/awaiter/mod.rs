//! Waits until pullers have their images on the nodes.
//!
//! `watch` (one stream a kind) → `model` (what is read of the API's objects) → `index` (what was observed so far) →
//! `judge` (what follows; pure, with `reasons`, the table of everything that can be said) → `report`. `run` is the
//! loop around them, `end` what is done last.

mod adopt;
pub(crate) mod api;
mod end;
mod entries;
mod error;
pub mod images;
pub mod index;
pub(crate) mod items;
mod judge;
mod lines;
pub mod matrix;
pub mod model;
pub(crate) mod nodes;
mod policy;
mod progress;
pub(crate) mod pulled;
pub mod reasons;
mod refusals;
mod report;
mod run;
mod stand;
#[cfg(test)]
mod tests;
pub(crate) mod watch;

pub use adopt::Belonging;
pub use api::connect;
pub use end::Target;
pub use error::Error;
pub use judge::judge;
pub use matrix::{Decision, Finding, ImageState, NodeState, Verdict};
pub use policy::{Policy, Quorum, Waits};
pub use progress::{Changes, Progress};
pub use pulled::Pulled;
pub use reasons::{Outlook, Reason};
pub use report::{Outcome, Report, within};
pub use run::{Options, run};
