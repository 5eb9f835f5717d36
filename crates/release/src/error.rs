//! What can go wrong in a release, and what to do next.

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
}

impl Error {
    /// What to do next, where it is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Rule(refusal) => Some(refusal.hint()),
            Error::Registry(error) => error.hint(),
        }
    }
}
