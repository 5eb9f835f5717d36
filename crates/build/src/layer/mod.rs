//! Layers: parts packed so that what changes together lies together.

pub mod compress;
pub mod contents;
pub mod piece;
pub mod plan;
pub mod tarball;
pub mod write;

pub use compress::Compression;
pub use contents::Contents;
pub use piece::{Class, PartInfo};
