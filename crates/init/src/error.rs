//! What can go wrong while a repository is written.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Files are there already and say something else.
    #[error("these files are there already and differ from what would be written:\n{}", listed(.0))]
    Exists(Vec<PathBuf>),
    /// A registry that cannot be one.
    #[error("this cannot be a registry: {0}")]
    Registry(String),
    /// From writing.
    #[error(transparent)]
    Build(#[from] perijove_build::Error),
}

/// With this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Exists(_) => Some(
                "nothing was written; move them away, or give --force to replace them (git keeps what it has committed)"
                    .to_owned(),
            ),
            Error::Registry(_) => {
                Some("a registry is a host with an optional port and a namespace: quay.io/example".to_owned())
            }
            Error::Build(error) => error.hint(),
        }
    }

    /// Whether the command line or what lies in the folder is at fault.
    pub fn is_usage(&self) -> bool {
        match self {
            Error::Exists(_) | Error::Registry(_) => true,
            Error::Build(error) => error.is_usage(),
        }
    }
}

fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("  {}", path.display())).collect::<Vec<_>>().join("\n")
}
