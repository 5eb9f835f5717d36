//! The client, layouts and archives against real programs (docker-registry, podman) and a server that misbehaves.

#![allow(clippy::unwrap_used, clippy::print_stderr)] // clippy.toml's allowance reaches test functions, not what they call.

mod archives;
mod auth;
mod cutter;
mod downloads;
mod fake;
mod layouts;
mod manifests;
mod packages;
mod registry;
mod support;
mod uploads;
