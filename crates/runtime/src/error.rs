//! What can go wrong, with what to do next.

use std::path::PathBuf;

/// Every failure of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image on disk is not what it should be.
    #[error("image: {place}: {reason}")]
    Image {
        /// File or digest.
        place: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The index has no image for the platform.
    #[error("the image has no {wanted}, only: {}", have.join(", "))]
    NoPlatform {
        /// The platform asked for.
        wanted: String,
        /// What the index has.
        have: Vec<String>,
    },
    /// A layer cannot be applied: damaged, hostile, or over a limit.
    #[error("layer {layer}: {}{reason}", entry.as_ref().map(|e| format!("`{e}`: ")).unwrap_or_default())]
    Layer {
        /// Digest of the layer's blob.
        layer: String,
        /// Path of the entry, where one is at fault.
        entry: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or folder of the cache cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The runtime asked for is not installed, or does not answer.
    #[error("{runtime} cannot be used: {reason}")]
    Unavailable {
        /// Its name.
        runtime: &'static str,
        /// Why not.
        reason: String,
        /// What to do next.
        hint: String,
    },
    /// The command, user or folder asked for cannot be had in this image.
    #[error("the container cannot start: {0}")]
    Spec(String),
    /// The runtime failed before the command ran.
    #[error("{runtime}: the container did not start: {reason}")]
    Start {
        /// The runtime's name.
        runtime: &'static str,
        /// What it said.
        reason: String,
        /// What to do next, where it is known.
        hint: Option<String>,
    },
    /// The runtime ended without saying how the command ended.
    #[error("{runtime}: the container was lost: {reason}")]
    Lost {
        /// The runtime's name.
        runtime: &'static str,
        /// What is known.
        reason: String,
    },
}

impl Error {
    /// What to do next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Image { .. } | Error::Layer { .. } => Some("build the image again".to_owned()),
            Error::NoPlatform { .. } => {
                Some("add the platform to `platforms` in perijove.toml and build again".to_owned())
            }
            Error::Io { source, .. } => match source.kind() {
                std::io::ErrorKind::StorageFull => {
                    Some("free some disk space, or move XDG_CACHE_HOME".to_owned())
                }
                std::io::ErrorKind::PermissionDenied => Some("check who owns the cache folder".to_owned()),
                _ => None,
            },
            Error::Unavailable { hint, .. } => Some(hint.clone()),
            Error::Start { hint, .. } => hint.clone(),
            Error::Spec(_) | Error::Lost { .. } => None,
        }
    }

    pub(crate) fn io(path: impl Into<PathBuf>, source: impl Into<std::io::Error>) -> Self {
        Error::Io { path: path.into(), source: source.into() }
    }
}
