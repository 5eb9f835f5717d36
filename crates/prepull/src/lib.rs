//! What has to be on a node before anyone asks, and whether it is there.
//!
//! [`imageset`] answers which images users can start, and where a pod with each of them can land: read from a hub's
//! Helm values. [`manifests`] makes pullers of them, and [`awaiter`] waits in a cluster until pullers have brought the images to the nodes. [`warm`]
//! does both from outside of the cluster, having said what that takes.

pub mod awaiter;
#[cfg(feature = "imageset")]
pub mod error;
#[cfg(feature = "imageset")]
pub mod imageset;
#[cfg(feature = "imageset")]
pub mod manifests;
#[cfg(feature = "imageset")]
pub mod warm;

#[cfg(feature = "imageset")]
pub use error::{Error, Place};
#[cfg(feature = "imageset")]
pub use imageset::{Group, Image, ImageSet, Note, Options, Placement, Role, Unknown, ValuesFile, image_set};
