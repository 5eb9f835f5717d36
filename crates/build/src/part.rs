//! Parts: what an image is made of, each named by a key that nothing but its own bytes and options decide.

use std::collections::BTreeMap;
use std::path::PathBuf;

use perijove_oci::Digest;
use serde::{Deserialize, Serialize};

use crate::entry::Entry;
use crate::lock::debs::LockedDeb;
use crate::lock::npm::LockedNpm;
use crate::lock::wheels::WheelChoice;
use crate::unpack::WheelOptions;

/// Version of the layer format. Raise it when the same part would become other bytes: it is in every key.
pub const FORMAT: u32 = 2;

/// Kinds of parts, in the order in which their layers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartKind {
    /// What maintainer scripts would have done.
    Effects,
    /// A Debian package.
    Deb,
    /// An npm package.
    Npm,
    /// A Python wheel.
    Wheel,
    /// The image's own files.
    Files,
}

/// One part of an image for one platform.
#[derive(Clone, Debug)]
pub struct Part {
    /// Package URL (purl specification), the same for every build of the part.
    pub purl: String,
    /// Name as its ecosystem writes it.
    pub name: String,
    /// Version as its ecosystem writes it; empty for files.
    pub version: String,
    /// What it is.
    pub kind: PartKind,
    /// Digest of everything that decides the part's bytes in a layer.
    pub key: Digest,
    /// Bytes of the package's file, 0 where the lock does not say.
    pub size_bytes: u64,
    /// How often the lock's history changed it.
    pub changes: u32,
    /// Glob patterns of files that the image does without.
    pub without: Vec<String>,
    /// Where its bytes come from.
    pub source: Source,
}

/// Where a part's bytes come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A Debian package from the archive.
    Deb(LockedDeb),
    /// The CA bundle, made from the certificates in a Debian package.
    CaBundle(LockedDeb),
    /// A wheel from the index or from the image's folder.
    Wheel {
        /// The locked file.
        wheel: WheelChoice,
        /// The image's folder, for wheels that were built when the lock was written.
        folder: PathBuf,
        /// Where it goes.
        options: WheelOptions,
    },
    /// An npm package.
    Npm {
        /// The locked package.
        package: LockedNpm,
        /// The image's folder: npm's settings in it count.
        folder: PathBuf,
        /// The folder that holds `node_modules`, relative to the root.
        prefix: String,
        /// Whether its commands are linked into `usr/local/bin`.
        linked: bool,
    },
    /// A folder of plain files.
    Files {
        /// The folder.
        folder: PathBuf,
        /// Paths in the image of the files in it.
        paths: Vec<String>,
        /// Folders whose owner and mode the image says, wherever they come from.
        declared: Vec<Entry>,
    },
    /// Entries written down in the code, with the content of the files.
    Data(Vec<(Entry, Vec<u8>)>),
}

/// A part's key: the digest of the format's version, the kind and the `inputs` that decide its bytes.
pub fn key(kind: PartKind, inputs: &BTreeMap<&str, String>) -> Digest {
    let text = serde_json::json!({ "format": FORMAT, "kind": kind, "inputs": inputs });
    Digest::sha256(text.to_string().as_bytes())
}
