//! The embedded OCI registry: HTTP in front, a content-addressed store behind.
//!
//! [`Server::bind`] opens the store and the address, [`Server::run`] serves until told to stop. It follows the
//! OCI distribution specification 1.1 and what its main branch adds (several tags in one PUT, upload cancel).
//!
//! - `http/`: requests to calls of the store, errors to OCI error bodies; no file is touched there.
//! - [`store`]: files. Everything is written to the side, synced, and renamed into place.
//! - [`create_only`], `http/{router,query,range,page}`: decisions without I/O.

pub mod auth;
mod clients;
pub mod create_only;
mod error;
mod http;
pub mod names;
mod server;
mod settings;
pub mod store;
mod summary;
mod tls;

pub use error::Error;
pub use server::{Server, serve};
pub use settings::{Collect, Limits, Mount, Report, Settings, TlsFiles};
