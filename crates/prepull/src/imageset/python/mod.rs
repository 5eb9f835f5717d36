//! As much of the hub's Python as can be read without running it: which settings of the spawner are given a plain
//! value, which images are named, and which settings only running the code would tell.

pub mod effects;
pub mod images;
pub mod literal;
pub mod names;
pub mod shape;
pub mod tokens;

pub use effects::{Effect, Scope};
