//! OCI words: digests, references, descriptors, manifests, image layouts, and the registry client.
//!
//! Nothing here knows how images are made or served; `perijove-build`, `perijove-registry` and
//! `perijove-runtime` share these types.

pub mod archive;
pub mod auth;
pub mod blob;
pub mod client;
pub mod content;
pub mod digest;
#[cfg(feature = "static")]
mod dns;
pub mod error;
pub mod http;
pub mod layout;
pub mod manifest;
pub mod media;
pub mod pull;
pub mod push;
pub mod reference;
pub mod report;

pub use blob::Blob;
pub use client::Client;
pub use content::ImageContent;
pub use digest::{Algorithm, Digest, Digester};
pub use error::{Error, Result};
pub use manifest::{Config, Descriptor, History, ImageConfig, Index, Manifest, Platform, RootFs};
pub use reference::Reference;
pub use report::{Event, Reporter};
