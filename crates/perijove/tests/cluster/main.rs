//! What is done to a cluster, on real ones: three nodes each, the newest Kubernetes and an old one. The tests share a
//! cluster for each version, and each has a namespace of its own.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

mod argo;
mod awaiter;
mod awaiting;
mod chaos;
mod chart;
mod continuous;
mod faults;
mod hook;
mod hub;
mod inside;
mod own;
mod picture;
mod screen;
mod warm;
