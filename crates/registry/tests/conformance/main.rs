//! The distribution specification (1.1 and what its main branch adds), section by section, against a real
//! registry over TCP. A file a chapter.
#![allow(clippy::unwrap_used, reason = "a test fails by it")]

mod determining_support;
mod discovery;
mod management;
mod pull;
mod push_blobs;
mod push_manifests;
#[path = "../support/mod.rs"]
mod support;

use std::io::Write as _;

use perijove_oci::{Algorithm, Digest};
use serde_json::json;
use support::{Client, INDEX, MANIFEST, Registry, descriptor, image, image_by};

const OCTETS: &str = "application/octet-stream";

fn registry() -> (Registry, Client) {
    let registry = Registry::start();
    let client = registry.client();
    (registry, client)
}
