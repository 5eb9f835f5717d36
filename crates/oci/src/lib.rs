//! OCI words: digests, references, descriptors, manifests, image layouts, and the registry client.
//!
//! Nothing here knows how images are made or served; `perijove-build`, `perijove-registry` and
//! `perijove-runtime` share these types.

pub mod digest;
pub mod manifest;
pub mod http;
pub mod media;
pub mod reference;
pub mod report;

pub use digest::{Algorithm, Digest, Digester};
pub use manifest::{Config, Descriptor, History, ImageConfig, Index, Manifest, Platform, RootFs};
pub use reference::Reference;
pub use report::{Event, Reporter};
