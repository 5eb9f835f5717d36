//! What a call of the store can fail with; `http/errors.rs` turns each into a status and an OCI error.

use std::io;
use std::path::{Path, PathBuf};

use perijove_oci::Digest;

/// Why a call of the store failed. Nothing is half-written in any case.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No space, or no quota, is left.
    #[error("no space left in the store while writing {path}")]
    Full {
        /// The file that was written.
        path: PathBuf,
    },
    /// The system refused something else.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// What was uploaded has another digest than the client says.
    #[error("the content's digest is {actual}, not {expected}")]
    Digest {
        /// The client's digest.
        expected: Digest,
        /// The digest of what was received.
        actual: Digest,
    },
    /// There is no such upload session.
    #[error("no such upload session")]
    NoUpload,
    /// Another request is using the upload session.
    #[error("another request is using this upload session")]
    UploadBusy,
    /// A create-only tag names another digest already.
    #[error("tag `{tag}` is create-only and names {existing} already")]
    TagTaken {
        /// The tag.
        tag: String,
        /// What it names.
        existing: Digest,
    },
    /// The repository has other tags than those that the client decided upon.
    #[error("the repository has other tags by now")]
    TagsChanged,
}

impl StoreError {
    /// Makes an error of the system's, with what was tried and where.
    pub(super) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                StoreError::Full { path: path.to_owned() }
            }
            _ => StoreError::File { action, path: path.to_owned(), source },
        }
    }
}
