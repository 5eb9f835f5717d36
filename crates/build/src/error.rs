//! What can go wrong between a lock file and an image, and what to do about it.

use std::path::PathBuf;

use perijove_oci::Digest;

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Errors, named after what the user meets.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file's text is not what it must be. `place` is `file:line` or `file: key path`.
    #[error("{place}: {reason}")]
    Input {
        /// Where.
        place: String,
        /// What is wrong.
        reason: String,
        /// What to do next.
        hint: String,
    },
    /// A server did not give what was asked for.
    #[error("{url}: {reason}")]
    Fetch {
        /// The address, without credentials.
        url: String,
        /// What happened.
        reason: String,
        /// What to do next.
        hint: String,
    },
    /// Bytes came, but not the locked ones.
    #[error("{what}: the bytes have digest {found}, the lock says {expected}")]
    Hash {
        /// File name or address.
        what: String,
        /// What the lock says.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// An archive holds something that no image gets.
    #[error("{archive}: {reason}")]
    Archive {
        /// The archive's file name.
        archive: String,
        /// What is wrong, with the entry's name.
        reason: String,
    },
    /// A registry or an image layout.
    #[error(transparent)]
    Oci(#[from] perijove_oci::Error),
    /// A program that does part of the work is missing or failed.
    #[error("{program}: {reason}")]
    Program {
        /// Its name.
        program: String,
        /// What happened, with its own last words.
        reason: String,
        /// What to do next.
        hint: String,
    },
    /// The input is readable, but the answer is no: no such package, a hash that may not be, two owners of a file.
    #[error("{reason}")]
    Refused {
        /// What and why.
        reason: String,
        /// What to do next.
        hint: String,
    },
}

impl Error {
    /// For `map_err` on file operations.
    pub fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { path, source }
    }

    /// What to do next, where it is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Input { hint, .. }
            | Error::Fetch { hint, .. }
            | Error::Program { hint, .. }
            | Error::Refused { hint, .. } => Some(hint.clone()).filter(|h| !h.is_empty()),
            Error::Hash { .. } => Some(
                "the file was changed after it was locked, or something on the way changed it; \
                 `perijove lock --upgrade-package NAME` locks it again if you trust the new bytes"
                    .to_owned(),
            ),
            Error::Archive { .. } => Some("the package is broken or hostile: do not use it".to_owned()),
            Error::Oci(error) => error.hint(),
            Error::Io { source, .. } => perijove_oci::error::io_hint(source).map(str::to_owned),
        }
    }

    /// Whether the fault is in what the user wrote (exit code 2) rather than in the work (exit code 1).
    pub fn is_usage(&self) -> bool {
        matches!(self, Error::Input { .. })
    }
}
