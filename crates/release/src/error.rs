//! What can go wrong in a release, and what to do next.

use perijove_oci::Digest;

/// Shorthand.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a release, or a look at one, failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tag rule refuses.
    #[error(transparent)]
    Rule(#[from] perijove_tags::Refusal),
    /// A registry.
    #[error(transparent)]
    Registry(#[from] perijove_oci::Error),
    /// Other releases came first, again and again.
    #[error("other releases took the number {number} times")]
    Races {
        /// How often.
        number: usize,
    },
    /// A build's tag names something else now: two releases took it, and the registry let them.
    #[error("{tag} was overwritten: it names {found}, and {expected} was released")]
    Overwritten {
        /// The tag.
        tag: String,
        /// What it names.
        found: Digest,
        /// What was put there.
        expected: Digest,
    },
}

impl Error {
    /// What to do next, where it is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Rule(refusal) => Some(refusal.hint()),
            Error::Registry(error) => error.hint(),
            Error::Races { .. } => Some("is a release running in a loop? run it again".to_owned()),
            Error::Overwritten { .. } => Some(
                "run it again: it takes the next number. Where registries differ about a tag that is out, `perijove tags verify` shows where, and one of the two has to be deleted; immutable tags keep this from happening"
                    .to_owned(),
            ),
        }
    }
}
