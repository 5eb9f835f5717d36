//! Which aliases break the rule: a pure function of tags and digests, over several registries at once.
//!
//! A release is a tag with a build number, or a bare version that never had one. An alias belongs at the greatest
//! release that has it among its candidates (RULE.md 8 to 10), in every registry.

use std::collections::{BTreeMap, BTreeSet};

use perijove_oci::Digest;
use perijove_tags::Tag;
use serde::Serialize;

/// What is wrong with an alias, or with a release.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The alias points at an older release.
    Behind,
    /// The alias points at a newer release than those it is for.
    Ahead,
    /// The alias is not there.
    Missing,
    /// The alias points at what no release is.
    NoRelease,
    /// The release is in another registry, but not in this one.
    NotHere,
    /// The release has another digest in another registry.
    Differs,
}

/// One thing that breaks the rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fault {
    /// The repository, with its registry.
    pub repository: String,
    /// The alias, or the release.
    pub tag: String,
    /// What is wrong.
    pub kind: Kind,
    /// The release that the alias points at now, where it points at one.
    pub points_at: Option<String>,
    /// The release that it should point at; for a release, the repository that has it.
    pub expected: Option<String>,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Fault { repository, tag, points_at, expected, .. } = self;
        let (at, to) = (points_at.as_deref().unwrap_or("?"), expected.as_deref().unwrap_or("nothing"));
        match self.kind {
            Kind::Behind => write!(f, "{repository}:{tag} is behind: it points at {at}, not at {to}"),
            Kind::Ahead => write!(f, "{repository}:{tag} is ahead: it points at {at}, not at {to}"),
            Kind::Missing => write!(f, "{repository}:{tag} is missing: it belongs at {to}"),
            Kind::NoRelease => write!(f, "{repository}:{tag} points at no release: it belongs at {to}"),
            Kind::NotHere => write!(f, "{repository}:{tag} is not there, but in {to}"),
            Kind::Differs => write!(f, "{repository}:{tag} has another digest than in {to}"),
        }
    }
}

/// The tags of one repository that the rule speaks of, with their digests.
pub type Tags = BTreeMap<String, Digest>;

/// The names whose digests decide: releases, and all that are or should be aliases.
pub fn relevant<'a>(names: impl IntoIterator<Item = &'a str> + Clone) -> BTreeSet<String> {
    let releases = releases(names.clone());
    let orphans = names.into_iter().filter(|name| looks_like_alias(name, &releases));
    let names = releases.iter().map(Tag::text).chain(orphans).map(str::to_owned);
    names.chain(expected_of(&releases).into_keys()).collect()
}

/// Where each alias belongs, from the names of all repositories together.
pub fn expected<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeMap<String, String> {
    expected_of(&releases(names))
}

fn expected_of(releases: &[Tag<'_>]) -> BTreeMap<String, String> {
    let mut greatest: BTreeMap<String, Tag<'_>> = BTreeMap::new();
    for release in releases {
        for alias in release.candidates() {
            if alias == release.text() {
                continue;
            }
            let best = greatest.entry(alias).or_insert(*release);
            if *release > *best {
                *best = *release;
            }
        }
    }
    greatest.into_iter().map(|(alias, release)| (alias, release.text().to_owned())).collect()
}

/// Tags with a build number, and bare versions that have none. A bare text that PEP 440 does not read, as that of a pull
/// request's image (`5.3.0-2.pr7`) or of a variant (`5.2.1-0-slim`), is nobody's release: the rule only lets it stand.
fn releases<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Tag<'a>> {
    let tags: BTreeSet<&str> = names.into_iter().collect();
    let tags = tags.into_iter().filter_map(|name| Tag::parse(name).ok());
    let tags: Vec<Tag<'a>> = tags.filter(|tag| tag.build().is_some() || !tag.is_opaque()).collect();
    let built: BTreeSet<&str> = tags.iter().filter(|t| t.build().is_some()).map(Tag::version).collect();
    tags.into_iter().filter(|tag| tag.build().is_some() || !built.contains(tag.version())).collect()
}

/// `latest`, and where some release has the major version 5 also `5`, `5.3`: what the rule made. Of another number nobody
/// can tell: `20240115` may be a date, `17` a pipeline's run.
fn looks_like_alias(name: &str, releases: &[Tag<'_>]) -> bool {
    let number = |text: &str| text.parse().ok().filter(|number: &u64| number.to_string() == text);
    let numbers: Option<Vec<u64>> = name.split('.').map(number).collect();
    let known = |major: u64| releases.iter().any(|release| release.major() == Some(major));
    match numbers.as_deref() {
        Some([major] | [major, _]) => known(*major),
        _ => name == "latest",
    }
}

/// Everything that breaks the rule in `repositories`: the tags of each, by its name.
pub fn faults(repositories: &BTreeMap<String, Tags>) -> Vec<Fault> {
    let names: BTreeSet<&str> =
        repositories.values().flat_map(|tags| tags.keys().map(String::as_str)).collect();
    let expected = expected(names.iter().copied());
    let releases = releases(names.iter().copied());
    let mut faults = Vec::new();
    for (repository, tags) in repositories {
        let fault = |tag: &str, kind, points_at: Option<&str>, expected: Option<&str>| Fault {
            repository: repository.clone(),
            tag: tag.to_owned(),
            kind,
            points_at: points_at.map(str::to_owned),
            expected: expected.map(str::to_owned),
        };
        for release in &releases {
            let others = repositories.iter().filter(|(other, _)| *other != repository);
            let mut theirs = others.filter_map(|(other, tags)| Some((other, tags.get(release.text())?)));
            match tags.get(release.text()) {
                None => {
                    let has = theirs.next().map(|(other, _)| other.as_str());
                    faults.push(fault(release.text(), Kind::NotHere, None, has));
                }
                Some(digest) => {
                    if let Some((other, _)) = theirs.find(|(_, theirs)| *theirs != digest) {
                        faults.push(fault(release.text(), Kind::Differs, None, Some(other)));
                    }
                }
            }
        }
        let orphans =
            tags.keys().filter(|name| looks_like_alias(name, &releases) && !expected.contains_key(*name));
        for (alias, target) in
            expected.iter().map(|(a, t)| (a, Some(t.as_str()))).chain(orphans.map(|name| (name, None)))
        {
            let Some(wanted) = target.map(|target| tags.get(target)) else {
                let at = tags.get(alias).and_then(|digest| holder(&releases, tags, digest));
                faults.push(fault(alias, Kind::NoRelease, at.map(Tag::text), None));
                continue;
            };
            // Where the release itself is not here, that is the fault; the alias follows with it.
            let Some(wanted) = wanted else { continue };
            match tags.get(alias) {
                None => faults.push(fault(alias, Kind::Missing, None, target)),
                Some(digest) if digest == wanted => {}
                Some(digest) => {
                    let at = holder(&releases, tags, digest);
                    let kind = match (at, target.and_then(|t| Tag::parse(t).ok())) {
                        (Some(at), Some(target)) if *at > target => Kind::Ahead,
                        (Some(_), _) => Kind::Behind,
                        (None, _) => Kind::NoRelease,
                    };
                    faults.push(fault(alias, kind, at.map(Tag::text), target));
                }
            }
        }
    }
    faults.sort();
    faults
}

/// The greatest release with this digest.
fn holder<'a, 't>(releases: &'a [Tag<'t>], tags: &Tags, digest: &Digest) -> Option<&'a Tag<'t>> {
    let same = releases.iter().filter(|release| tags.get(release.text()) == Some(digest));
    same.reduce(|best, tag| if tag > best { tag } else { best })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// `5.3.0-1=a 5.3.0=a`: tags with letters for their digests.
    fn tags(text: &str) -> Tags {
        let pairs = text.split_whitespace().map(|pair| pair.split_once('=').unwrap());
        pairs.map(|(tag, mark)| (tag.to_owned(), Digest::sha256(mark.as_bytes()))).collect()
    }

    fn shown(repositories: &[(&str, &str)]) -> Vec<String> {
        let all = repositories.iter().map(|(name, text)| ((*name).to_owned(), tags(text))).collect();
        faults(&all).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn says_what_breaks_the_rule() {
        for (case, text, expected) in [
            ("in order", "5.3.0-0=a 5.3.0-1=b 5.3.0=b 5.3=b 5=b latest=b main=x sha-12=y", &[][..]),
            (
                "behind",
                "5.3.0-0=a 5.3.0-1=b 5.3.0=a 5.3=b 5=b latest=b",
                &["q/r:5.3.0 is behind: it points at 5.3.0-0, not at 5.3.0-1"],
            ),
            (
                "a backport took latest",
                "4.1.6-0=a 4.1.6=a 4.1=a 4=a 5.3.0-1=b 5.3.0=b 5.3=b 5=b latest=a",
                &["q/r:latest is behind: it points at 4.1.6-0, not at 5.3.0-1"],
            ),
            (
                "ahead",
                "4.1.6-0=a 4.1.6=a 4.1=a 4=b 5.3.0-1=b 5.3.0=b 5.3=b 5=b latest=b",
                &["q/r:4 is ahead: it points at 5.3.0-1, not at 4.1.6-0"],
            ),
            ("missing", "5.3.0-0=a 5.3.0=a 5=a latest=a", &["q/r:5.3 is missing: it belongs at 5.3.0-0"]),
            (
                "no release",
                "5.3.0-0=a 5.3.0=a 5.3=z 5=a latest=a",
                &["q/r:5.3 points at no release: it belongs at 5.3.0-0"],
            ),
            (
                "an alias of nothing",
                "5.3.0-0=a 5.3.0=a 5.3=a 5=a latest=a 5.4=a",
                &["q/r:5.4 points at no release: it belongs at nothing"],
            ),
            (
                "numbers that need be no aliases",
                "5.3.0-0=a 5.3.0=a 5.3=a 5=a latest=a 20240115=a 2024.01=z 17=a 5.=a 05=a",
                &[],
            ),
            ("a release candidate has its own alias alone", "5.3.0rc1-0=a 5.3.0rc1=a", &[]),
            ("bare versions from before build numbers", "5.2.0=a 5.2.1=b 5.2=b 5=b latest=b", &[]),
        ] {
            assert_eq!(shown(&[("q/r", text)]), expected, "{case}");
        }
    }

    #[test]
    fn registries_are_compared() {
        let whole = "5.3.0-0=a 5.3.0=a 5.3=a 5=a latest=a";
        assert_eq!(shown(&[("one", whole), ("two", whole)]), [""; 0]);
        assert_eq!(
            shown(&[("one", whole), ("two", "5.2.0-0=c 5.2.0=c 5.2=c 5=c latest=c")]),
            ["one:5.2.0-0 is not there, but in two", "two:5.3.0-0 is not there, but in one",]
        );
        // Neither a pull request's image nor a variant is a release that the other one lacks.
        for bare in ["5.3.0-2.pr7=p", "5.2.1-0-slim=s", "5.0.0-next.1=n"] {
            assert_eq!(shown(&[("one", whole), ("two", &format!("{whole} {bare}"))]), [""; 0], "{bare}");
        }
        let numbered = ["5.0.0-next.1-0=n", "5.0.0rc1=n"];
        for release in numbered {
            let faults = shown(&[("one", whole), ("two", &format!("{whole} {release}"))]);
            assert!(faults[0].starts_with("one:5.0.0"), "{release}: {faults:?}");
        }
        let other = whole.replace("=a", "=b");
        assert_eq!(
            shown(&[("one", whole), ("two", &other)]),
            ["one:5.3.0-0 has another digest than in two", "two:5.3.0-0 has another digest than in one"]
        );
    }

    proptest! {
        /// A repository that was filled by the rule has no fault, whatever was pushed and in which order.
        #[test]
        fn what_the_rule_made_is_in_order(pushed in proptest::collection::vec((3..6u64, 0..3u64, 0..3u64, 0..4u64, any::<bool>()), 1..20)) {
            let mut tags = Tags::new();
            for (major, minor, patch, build, rc) in pushed {
                let tag = format!("{major}.{minor}.{patch}{}-{build}", if rc { "rc1" } else { "" });
                let names: Vec<String> = tags.keys().cloned().collect();
                for name in perijove_tags::aliases(&tag, names.iter().map(String::as_str)).unwrap() {
                    tags.insert(name, Digest::sha256(tag.as_bytes()));
                }
            }
            prop_assert_eq!(faults(&BTreeMap::from([("r".to_owned(), tags)])), vec![]);
        }
    }
}
