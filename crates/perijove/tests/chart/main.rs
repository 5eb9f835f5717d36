//! The chart `charts/perijove` through a real helm: its image set beside `perijove images`, names, rights, the schema,
//! every supported Kubernetes. What a real API server says of it is in `tests/cluster`.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

mod accounts;
mod equality;
mod generated;
mod hooks;
mod limits;
mod linters;
mod names;
mod readme;
mod refusals;
mod scene;
mod settings;
mod twins;
mod versions;
