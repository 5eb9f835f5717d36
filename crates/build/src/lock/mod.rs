//! Lock files: Debian packages, Python wheels, npm packages.

pub mod change;
pub mod debs;
pub mod image;
pub mod index;
pub mod npm;
pub mod program;
pub mod requirements;
pub mod sdist;
pub mod wheels;
pub mod write;

pub use change::{Change, summary};
pub use npm::{LockedNpm, Npm, NpmLock};
pub use requirements::RequirementsLock;
pub use write::write_all;
