//! What can go wrong before the registry serves: one enum, each variant with a hint what to do next.
//!
//! What goes wrong while it serves is a [`crate::store::StoreError`] and becomes an OCI error body
//! (`http/errors.rs`).

use std::net::SocketAddr;
use std::path::PathBuf;

/// Why the registry does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An address that others can reach, without TLS or without users.
    #[error("refusing to listen on {address} without {missing}")]
    Exposed {
        /// The address asked for.
        address: SocketAddr,
        /// What is missing.
        missing: &'static str,
    },
    /// Another process has the store open.
    #[error("the store {root} is in use by another registry")]
    InUse {
        /// The store's folder.
        root: PathBuf,
    },
    /// The folder holds something else, or a store of another version.
    #[error("{root} is not a store that this version can open: {reason}")]
    Format {
        /// The store's folder.
        root: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A file or folder of the store or of the settings.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried: `read`, `create`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A line of the users' file or of the rules' file.
    #[error("{path}:{line}: {reason}")]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The certificate or its key.
    #[error("cannot use certificate {path}: {reason}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Error {
    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::Listen { source, .. } if source.kind() == std::io::ErrorKind::AddrInUse => Some(
                "another program has this port: stop it, or choose another address (port 0 takes a free one)",
            ),
            Error::Listen { .. } => Some("choose an address of this machine, 127.0.0.1:5000 for example"),
            Error::Exposed { .. } => Some(
                "listen on a loopback address, or give a certificate, its key and an htpasswd file \
                 (or say that a proxy in front does both)",
            ),
            Error::InUse { .. } => Some("stop the other registry, or choose another folder"),
            Error::Format { .. } => Some("choose an empty folder, or one made by this version"),
            Error::File { .. } => Some("check that the path exists and that this user may use it"),
            Error::Line { .. } => {
                Some("users: `htpasswd -B FILE NAME` writes such lines; rules: `USER REPOSITORY read|write`")
            }
            Error::Certificate { .. } => {
                Some("give a PEM file with the certificate chain, leaf first, and its key")
            }
        }
    }
}
