//! The test kit's cluster does what tests rely on: nodes that pull from our registry, faults that Kubernetes sees, and
//! nothing left, however it ends.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

mod end;
mod faults;
mod nodes;
