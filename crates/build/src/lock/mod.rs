//! Lock files: Debian packages, Python wheels, npm packages.

pub mod change;
pub mod debs;
pub mod image;
pub mod index;
pub mod journal;
pub mod npm;
pub mod program;
pub mod requirements;
pub mod sdist;
pub mod wheels;

pub use change::{Change, summary};
pub use npm::{LockedNpm, Npm, NpmLock};
pub use requirements::RequirementsLock;
