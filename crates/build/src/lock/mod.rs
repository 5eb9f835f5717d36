//! Lock files: Debian packages, Python wheels, npm packages.

pub mod change;
pub mod debs;
pub mod index;
pub mod program;
pub mod requirements;
pub mod wheels;
pub mod write;

pub use change::{Change, summary};
pub use requirements::RequirementsLock;
pub use write::write_all;
