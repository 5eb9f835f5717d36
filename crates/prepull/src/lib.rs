//! What has to be on a node before anyone asks, read from a hub's Helm values.
//!
//! [`imageset`] answers which images users can start, and where a pod with each of them can land.

pub mod error;
pub mod imageset;

pub use error::{Error, Place};
pub use imageset::{Group, Image, ImageSet, Note, Options, Role, Unknown, ValuesFile, image_set};
