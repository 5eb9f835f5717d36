//! What differs between two locks: a line for each name, for people.

use std::collections::{BTreeMap, BTreeSet};

/// One name whose version changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The package.
    pub name: String,
    /// Its version before; `None` when it is new. Several versions are joined with `, `.
    pub old: Option<String>,
    /// Its version now; `None` when it is gone.
    pub new: Option<String>,
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => write!(f, "{} {old} → {new}", self.name),
            (None, Some(new)) => write!(f, "{} {new} (new)", self.name),
            (Some(old), None) => write!(f, "{} {old} (removed)", self.name),
            (None, None) => write!(f, "{}", self.name),
        }
    }
}

/// The changes from `old` to `new`, each a list of `(name, version)`; sorted by name.
pub fn summary<'a>(
    old: impl IntoIterator<Item = (&'a str, String)>,
    new: impl IntoIterator<Item = (&'a str, String)>,
) -> Vec<Change> {
    let mut names: BTreeMap<&str, [BTreeSet<String>; 2]> = BTreeMap::new();
    for (name, version) in old {
        names.entry(name).or_default()[0].insert(version);
    }
    for (name, version) in new {
        names.entry(name).or_default()[1].insert(version);
    }
    let joined = |set: BTreeSet<String>| {
        Some(set.into_iter().collect::<Vec<_>>().join(", ")).filter(|text| !text.is_empty())
    };
    names
        .into_iter()
        .filter(|(_, [old, new])| old != new)
        .map(|(name, [old, new])| Change { name: name.to_owned(), old: joined(old), new: joined(new) })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_changed() {
        let old =
            [("a", "1".to_owned()), ("b", "1".to_owned()), ("c", "1".to_owned()), ("d", "1".to_owned())];
        let new = [
            ("a", "1".to_owned()),
            ("b", "2".to_owned()),
            ("d", "1".to_owned()),
            ("d", "2".to_owned()),
            ("e", "3".to_owned()),
        ];
        let lines: Vec<String> = summary(old, new).iter().map(ToString::to_string).collect();
        assert_eq!(lines, ["b 1 → 2", "c 1 (removed)", "d 1 → 1, 2", "e 3 (new)"]);
    }
}
