//! Locks in, image out.
//!
//! `lock/` reads and writes lock files; `locks` and `parts` say what they mean for an image, `part` names it;
//! `unpack/` turns packages into entries and `layer/` packs those into layers; `image` and `sbom` describe the
//! result; `build` runs it all. `dockerfile/` has another program make the layers instead. Decisions are pure; `fetch`, `materialise` and `layer/write` do I/O.

mod blocking;
pub mod build;
pub mod built;
pub mod config;
pub mod dockerfile;
pub mod entry;
pub mod error;
pub mod fetch;
pub mod image;
pub mod layer;
pub mod lock;
pub mod locks;
pub mod materialise;
pub mod owners;
pub mod part;
pub mod parts;
mod pending;
pub mod previous;
pub mod reuse;
pub mod sbom;
pub mod unpack;

pub use blocking::blocking;
pub use build::Builder;
pub use built::{Built, BuiltPlatform};
pub use config::Config;
pub use error::{Error, Result};
pub use fetch::Fetcher;
