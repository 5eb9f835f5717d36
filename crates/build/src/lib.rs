//! Locks in, image out.
//!
//! `lock/` reads and writes lock files, `part` names what they lock, `layer/` packs parts into layers,
//! `image` and `sbom` describe the result. Decisions are pure; `fetch` and the layer writer do I/O.

pub mod entry;
pub mod error;
pub mod fetch;
pub mod lock;
pub mod unpack;

pub use error::{Error, Result};
pub use fetch::Fetcher;
