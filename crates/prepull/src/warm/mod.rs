//! Brings images to nodes from outside of the cluster, and leaves nothing behind.
//!
//! `survey` says before it starts what each node is missing, how many bytes that is, whether its disk takes it and how
//! long it will be (`plan`, `disk`: pure). `run` makes a puller for each group of nodes, wave by wave (`waves`: pure),
//! has the [`crate::awaiter`] wait for each wave, and deletes what it has made however it ends.

mod cluster;
pub mod disk;
pub mod plan;
mod registry;
mod run;
mod survey;
pub mod waves;

pub use cluster::Cluster;
pub use disk::{Disk, Fit};
pub use plan::{Have, ImagePlan, NodePlan};
pub use run::{Options, Warmed, run};
pub use survey::{Rate, Survey, SurveyedNode, survey};
pub use waves::Waves;
