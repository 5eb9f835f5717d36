//! What a new lock changes, for the summary that `lock` prints.

/// One package that is new, gone, or at another version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    /// Package name.
    pub name: String,
    /// Version in the old lock; `None` for a new package.
    pub old: Option<String>,
    /// Version in the new lock; `None` for a package that is gone.
    pub new: Option<String>,
}
