//! What needs a real Kubernetes: the tests share a cluster for each version, and each has a namespace of its own.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

mod awaiter;
