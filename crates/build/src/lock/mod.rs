//! Lock files: Debian packages, Python wheels, npm packages.

pub mod change;
pub mod debs;
