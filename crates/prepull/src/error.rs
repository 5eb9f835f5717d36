//! What can be wrong with the values of a hub.

use std::fmt;

use perijove_oci::reference::ReferenceError;

/// Where something stands in the values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file as it was named.
    pub file: String,
    /// The line, from 1; 0 where there is none, as for a default of the chart.
    pub line: u32,
    /// `singleuser.profileList[0].kubespawner_override.image`.
    pub key_path: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.key_path),
            line => write!(f, "{}:{line}: {}", self.file, self.key_path),
        }
    }
}

/// Why values cannot be used. Each names its place.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{file}: {reason}")]
    Unreadable {
        /// The file as it was named.
        file: String,
        /// What the system says.
        reason: String,
    },
    /// The file is larger than values can be.
    #[error("{file}: larger than {} MB", limit / 1_000_000)]
    Large {
        /// The file as it was named.
        file: String,
        /// Bytes that are read.
        limit: u64,
    },
    /// The file is not text.
    #[error("{file}:{line}: not UTF-8 text")]
    Encoding {
        /// The file as it was named.
        file: String,
        /// The line, from 1.
        line: u32,
    },
    /// The file is not YAML.
    #[error("{file}:{line}: not YAML: {reason}")]
    Yaml {
        /// The file as it was named.
        file: String,
        /// The line, from 1.
        line: u32,
        /// What the parser says.
        reason: String,
    },
    /// Nested deeper than any values are.
    #[error("{file}:{line}: more than {limit} levels of nesting")]
    Deep {
        /// The file as it was named.
        file: String,
        /// The line, from 1.
        line: u32,
        /// Levels that are read.
        limit: usize,
    },
    /// With its aliases written out, the file is larger than values can be.
    #[error("{file}:{line}: more than {limit} values once its aliases are written out")]
    Aliases {
        /// The file as it was named.
        file: String,
        /// The line, from 1.
        line: u32,
        /// Values that are read.
        limit: usize,
    },
    /// The file is YAML of another shape.
    #[error("{file}:{line}: {found} where the values of a chart are a mapping")]
    NotMapping {
        /// The file as it was named.
        file: String,
        /// The line, from 1.
        line: u32,
        /// What stands there.
        found: &'static str,
    },
    /// A value of another type.
    #[error("{place}: {found} where {expected} is expected")]
    Type {
        /// Where.
        place: Place,
        /// What the chart or KubeSpawner takes.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// A text that names no image.
    #[error("{place}: {error}")]
    Reference {
        /// Where.
        place: Place,
        /// What is wrong with it.
        error: ReferenceError,
    },
    /// A release of the chart whose defaults are not known.
    #[error("the defaults of Zero to JupyterHub {version} are not known")]
    Release {
        /// As it was named.
        version: String,
        /// Those that are, oldest first.
        known: Vec<&'static str>,
    },
}

impl Error {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Error::Unreadable { .. } => "name a readable file with Helm values, or `-` for stdin".to_owned(),
            Error::Large { .. } => "Helm itself keeps a release within 1 MB: name the values file".to_owned(),
            Error::Encoding { .. } => "save it as UTF-8".to_owned(),
            Error::Yaml { .. } => {
                "Helm does not render templates in values files, nor does it decrypt them: give what Helm is given"
                    .to_owned()
            }
            Error::Deep { .. } | Error::Aliases { .. } => "give the values with fewer anchors and levels".to_owned(),
            Error::NotMapping { .. } => "name the file that is given to `helm upgrade -f`".to_owned(),
            Error::Type { expected, found, .. } => match (*expected, *found) {
                ("text", "a number" | "true or false") => {
                    "write it in quotes: YAML reads 3.10 as the number 3.1, and `off`, `y` and `no` as booleans".to_owned()
                }
                ("a list of profiles", "text") => {
                    "Python belongs into hub.extraConfig; singleuser.profileList is a YAML list".to_owned()
                }
                _ => format!("write {expected} there"),
            },
            Error::Reference { .. } => "write it as [registry/]repository[:tag][@digest]".to_owned(),
            Error::Release { known, .. } => format!("known: {}", known.join(", ")),
        }
    }
}
