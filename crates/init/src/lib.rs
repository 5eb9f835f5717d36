//! A working image repository, written once: `perijove.toml`, two images, pipelines, and a page for the maintainers.
//!
//! [`facts`] is what can be found out (asked of git), [`templates`] turns facts into files (pure), [`place`] decides
//! what of them is to be written and writes all of it or nothing.

mod error;
pub mod facts;
pub mod place;
pub mod templates;

pub use error::{Error, Result};
pub use facts::Facts;
