//! Which branches release, and what. Pure.
//!
//! The default branch releases, and so does each version branch: `5.x`, `4.1.x`, `5`, `v5.2`, `release/5.x`. A
//! version branch releases versions of its own series alone.

use perijove_tags::Tag;

/// Major, and minor where the branch names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Series {
    major: u64,
    minor: Option<u64>,
}

/// What a branch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Branch {
    /// It alone moves `latest`, where the repository names one.
    Default,
    /// It releases one series.
    Version(Series),
    /// It releases by `release-branches`.
    Listed,
    /// It releases nothing.
    Other,
}

impl Series {
    /// Reads the name of a version branch: perhaps `release/` or `release-`, perhaps `v`, a number or two, perhaps
    /// `.x`.
    pub fn of_branch(name: &str) -> Option<Self> {
        let name = ["release/", "release-"].iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name);
        let name = name.strip_prefix(['v', 'V']).unwrap_or(name);
        let name = name.strip_suffix(".x").or_else(|| name.strip_suffix(".X")).unwrap_or(name);
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            text.parse::<u64>().ok().filter(|_| digits)
        };
        match name.split('.').collect::<Vec<_>>()[..] {
            [major] => Some(Series { major: number(major)?, minor: None }),
            [major, minor] => Some(Series { major: number(major)?, minor: Some(number(minor)?) }),
            _ => None,
        }
    }

    /// Whether MAJOR.MINOR.PATCH is one of it, whatever is behind it.
    pub fn has(self, version: &str) -> bool {
        // The rule alone reads versions: what it refuses is of no series.
        let tag = format!("{version}-0");
        if Tag::parse(&tag).is_err() {
            return false;
        }
        let mut numbers = version.trim_start_matches(['v', 'V']).split('.').map(str::parse::<u64>);
        let major = numbers.next().and_then(Result::ok);
        let minor = numbers.next().and_then(Result::ok);
        major == Some(self.major) && (self.minor.is_none() || minor == self.minor)
    }
}

impl std::fmt::Display for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.minor {
            None => write!(f, "{}.x", self.major),
            Some(minor) => write!(f, "{}.{minor}.x", self.major),
        }
    }
}

impl Branch {
    /// What the branch `name` is in a repository whose default branch is `default`; `listed` says whether
    /// `release-branches` names it. Without a default branch, each branch that names no series is as good as it.
    pub fn of(name: Option<&str>, default: Option<&str>, listed: bool) -> Self {
        match (name, default) {
            (Some(name), Some(default)) if name == default => Branch::Default,
            (Some(name), default) => match Series::of_branch(name) {
                Some(series) => Branch::Version(series),
                None if listed => Branch::Listed,
                None if default.is_none() => Branch::Default,
                None => Branch::Other,
            },
            (None, None) => Branch::Default,
            (None, Some(_)) => Branch::Other,
        }
    }

    /// Whether it may move `latest`.
    pub fn moves_latest(&self) -> bool {
        *self == Branch::Default
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_version_branches() {
        for (name, series) in [
            ("5.x", Some("5.x")),
            ("4.1.x", Some("4.1.x")),
            ("5", Some("5.x")),
            ("5.2", Some("5.2.x")),
            ("v5.x", Some("5.x")),
            ("V5.2", Some("5.2.x")),
            ("release/5.x", Some("5.x")),
            ("release-4.1", Some("4.1.x")),
            ("main", None),
            ("x", None),
            ("5.x.x", None),
            ("5.3.0", None),
            ("5.3.0.x", None),
            ("vv5", None),
            ("release/main", None),
            ("+5.x", None),
            ("", None),
            ("99999999999999999999.x", None),
        ] {
            assert_eq!(Series::of_branch(name).map(|s| s.to_string()).as_deref(), series, "{name}");
        }
    }

    #[test]
    fn versions_of_a_series() {
        for (branch, version, has) in [
            ("5.x", "5.3.0", true),
            ("5.x", "5.0.0rc1", true),
            ("5.x", "v5.1.0", true),
            ("5.x", "4.1.6", false),
            ("5.x", "50.1.6", false),
            ("4.1.x", "4.1.6", true),
            ("4.1.x", "4.2.0", false),
            ("4.1.x", "4.1", false),
        ] {
            assert_eq!(Series::of_branch(branch).unwrap().has(version), has, "{branch} {version}");
        }
    }

    #[test]
    fn branches() {
        let version = |text| Branch::Version(Series::of_branch(text).unwrap());
        for (name, default, listed, branch) in [
            (Some("main"), Some("main"), false, Branch::Default),
            (Some("5"), Some("5"), false, Branch::Default),
            (Some("5.x"), Some("main"), false, version("5.x")),
            (Some("fix"), Some("main"), false, Branch::Other),
            (Some("stable"), Some("main"), true, Branch::Listed),
            (None, Some("main"), false, Branch::Other),
            (Some("fix"), None, false, Branch::Default),
            (Some("5.x"), None, false, version("5.x")),
            (None, None, false, Branch::Default),
        ] {
            assert_eq!(Branch::of(name, default, listed), branch, "{name:?} {default:?}");
            assert_eq!(branch.moves_latest(), branch == Branch::Default);
        }
    }
}
