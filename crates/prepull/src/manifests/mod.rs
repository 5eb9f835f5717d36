//! The pullers as Kubernetes' objects: pure functions from images and where they land.
//!
//! A puller is a DaemonSet for a group of nodes, with one container for each image, so that each has a status of its
//! own and a bad one stops no other. Fields are those of Kubernetes 1.20, but for volumes made of images, which need
//! 1.35. The pods pass the restricted Pod Security Standard.

mod daemonset;
mod name;

pub use daemonset::{Component, Mode, Puller, PullerImage, daemonset};
pub use name::{hash, name};

#[cfg(test)]
mod tests;
