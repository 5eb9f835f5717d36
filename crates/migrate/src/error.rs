//! Why a file could not be read as what it is.

/// A file that does not parse.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// YAML 1.2.2 has no such text.
    #[error("line {line}: not YAML: {reason}")]
    Yaml {
        /// From 1.
        line: usize,
        /// The parser's words.
        reason: String,
    },
    /// More levels inside each other than anybody writes.
    #[error("line {line}: more than {limit} levels of YAML inside each other")]
    Deep {
        /// From 1.
        line: usize,
        /// How many are read.
        limit: usize,
    },
    /// The Dockerfile reference knows no such instruction.
    #[error("line {line}: not a Dockerfile: {reason}")]
    Dockerfile {
        /// From 1.
        line: usize,
        /// The parser's words.
        reason: String,
    },
    /// An image repository's settings do not parse.
    #[error("perijove.toml: {reason}")]
    Repository {
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        match self {
            Error::Yaml { .. } | Error::Deep { .. } => {
                "mend the file, or leave it out; its lines were looked at one by one and nothing is written there"
            }
            Error::Dockerfile { .. } => {
                "mend the file, or leave it out; its lines were looked at one by one and nothing is written there"
            }
            Error::Repository { .. } => "mend it: docs/configuration.md lists every key",
        }
    }
}
