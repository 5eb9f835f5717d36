//! What is done to a cluster, on real ones: three nodes each, the newest Kubernetes and an old one.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

mod chart;
mod own;
mod warm;
