//! Relationship fields (Debian policy, chapter 7): `Depends`, `Pre-Depends`, `Conflicts`, `Breaks`, `Provides`.
//!
//! `a (>= 1), b | c:any` is a list of groups; a group is satisfied by any one of its alternatives. Binary
//! packages in an index have no `[arch]` and `<profile>` restrictions; they are refused rather than guessed.

use std::cmp::Ordering;
use std::fmt;

use super::version;

/// How a version is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=` (and the old `<`)
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=` (and the old `>`)
    LaterOrEqual,
    /// `>>`
    Later,
}

/// The operators as written, longest first.
const OPERATORS: [(&str, Operator); 7] = [
    ("<<", Operator::Earlier),
    ("<=", Operator::EarlierOrEqual),
    (">=", Operator::LaterOrEqual),
    (">>", Operator::Later),
    ("=", Operator::Equal),
    ("<", Operator::EarlierOrEqual),
    (">", Operator::LaterOrEqual),
];

impl Operator {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Operator::Earlier => order.is_lt(),
            Operator::EarlierOrEqual => order.is_le(),
            Operator::Equal => order.is_eq(),
            Operator::LaterOrEqual => order.is_ge(),
            Operator::Later => order.is_gt(),
        }
    }
}

/// One alternative: a name, perhaps an architecture qualifier, perhaps a limit on the version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Relation<'a> {
    /// Package, real or virtual.
    pub name: &'a str,
    /// What stands after the colon: `any`, `native` or an architecture.
    pub qualifier: Option<&'a str>,
    /// The limit.
    pub limit: Option<(Operator, &'a str)>,
}

impl Relation<'_> {
    /// Whether `version` is within the limit.
    pub fn admits(&self, version: &str) -> bool {
        self.limit.is_none_or(|(operator, limit)| operator.holds(version::compare(version, limit)))
    }
}

impl fmt::Display for Relation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        if let Some(qualifier) = self.qualifier {
            write!(f, ":{qualifier}")?;
        }
        let Some((operator, version)) = self.limit else { return Ok(()) };
        let sign = OPERATORS.iter().find(|(_, o)| *o == operator).map_or("", |(s, _)| s);
        write!(f, " ({sign} {version})")
    }
}

/// The groups of a field, in order. The error is the reason, without place.
pub fn groups(field: &str) -> Result<Vec<Vec<Relation<'_>>>, String> {
    let groups = field.split(',').map(str::trim).filter(|g| !g.is_empty());
    groups.map(|group| group.split('|').map(relation).collect()).collect()
}

/// The relations of a field in which alternatives mean nothing (`Provides`, `Conflicts`, `Breaks`).
pub fn list(field: &str) -> Result<Vec<Relation<'_>>, String> {
    field.split(',').map(str::trim).filter(|r| !r.is_empty()).map(relation).collect()
}

fn relation(text: &str) -> Result<Relation<'_>, String> {
    let text = text.trim();
    let bad =
        |why: &str| Err(format!("`{}` is not a relation: {why}", text.chars().take(80).collect::<String>()));
    let (head, limit) = match text.split_once('(') {
        None => (text, None),
        Some((head, rest)) => {
            let Some(inner) = rest.strip_suffix(')') else { return bad("`)` is missing") };
            let inner = inner.trim();
            let Some((sign, operator)) = OPERATORS.iter().find(|(sign, _)| inner.starts_with(sign)) else {
                return bad("expected <<, <=, =, >= or >>");
            };
            let version = inner[sign.len()..].trim();
            if !version::is_version(version) {
                return bad("that is not a version");
            }
            (head.trim_end(), Some((*operator, version)))
        }
    };
    let (name, qualifier) = match head.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier)),
        None => (head, None),
    };
    let word = |q: &str| {
        !q.is_empty() && q.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    if !is_name(name) || !qualifier.is_none_or(word) {
        return bad("expected a package name");
    }
    Ok(Relation { name, qualifier, limit })
}

/// Whether `text` may be a package name (policy, section 5.6.1). Indexes have single-letter names and capitals
/// from outside Debian; only what is dangerous is refused.
pub fn is_name(text: &str) -> bool {
    text.len() <= 256
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_groups() {
        let all =
            groups("libc6 (>= 2.38), python3:any | python (<<3) ,, debconf (>= 0.5) | debconf-2.0,").unwrap();
        let shown: Vec<Vec<String>> =
            all.iter().map(|g| g.iter().map(ToString::to_string).collect()).collect();
        assert_eq!(
            shown,
            [
                vec!["libc6 (>= 2.38)"],
                vec!["python3:any", "python (<< 3)"],
                vec!["debconf (>= 0.5)", "debconf-2.0"]
            ]
        );
        assert_eq!(groups(" ").unwrap(), Vec::<Vec<Relation<'_>>>::new());
    }

    #[test]
    fn limits_versions() {
        let admits = |relation: &str, version: &str| list(relation).unwrap()[0].admits(version);
        for (relation, yes, no) in [
            ("a (<< 2)", "2~rc1", "2"),
            ("a (<= 2)", "2", "2-1"),
            ("a (= 2-1)", "2-1", "2-1+b1"),
            ("a (>= 2)", "2", "2~"),
            ("a (>> 2)", "2.0", "2"),
        ] {
            assert!(admits(relation, yes), "{relation} {yes}");
            assert!(!admits(relation, no), "{relation} {no}");
        }
        assert!(admits("a", "0"));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for bad in [
            "a (>= 1",
            "a (1)",
            "a (>= )",
            "a b",
            "a [amd64]",
            "a <!nocheck>",
            "|a",
            "a:",
            "../a",
            "a (= 1/2)",
        ] {
            assert!(groups(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "[a-c0-9 |,():<>=~:\u{e9}-]{0,24}") {
            if let Ok(all) = groups(&text) {
                for relation in all.iter().flatten() {
                    let shown = relation.to_string();
                    prop_assert_eq!(list(&shown).unwrap(), vec![*relation]);
                }
            }
        }
    }
}
