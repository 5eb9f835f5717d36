//! What a release will do: a pure function of the built images and of what the registries have.

use std::collections::{BTreeMap, BTreeSet};

use perijove_oci::Digest;
use perijove_tags::{Build as Number, Tag, next_build};
use serde::Serialize;

use crate::Result;

/// A built image, as far as the plan needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its name in the image repository.
    pub image: String,
    /// MAJOR.MINOR.PATCH.
    pub version: String,
    /// Digest of what would be pushed.
    pub digest: Digest,
    /// Digest of all that it holds and does, without times and commits.
    pub key: Digest,
    /// The commit; with [`DIRTY`] behind it where the working tree differs from it.
    pub revision: Option<String>,
    /// Digest of what a tag that may move named as this image's base, where it stands on one: all else follows
    /// from the commit.
    pub base: Option<String>,
}

/// Behind the commit of a working tree that differs from it: that is not the commit.
pub const DIRTY: &str = "-dirty";

/// A build that a repository has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// `VERSION-N`.
    pub tag: String,
    /// Its digest.
    pub digest: Digest,
    /// Its key, where it is one of ours.
    pub key: Option<Digest>,
    /// The commit in its annotations.
    pub revision: Option<String>,
    /// The base's digest in its annotations.
    pub base: Option<String>,
}

/// What one repository has of an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// All its tags.
    pub tags: Vec<String>,
    /// Builds of the candidate's version that were looked at, the newest first.
    pub builds: Vec<Build>,
}

/// What happens to one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// Its name.
    pub image: String,
    /// The build's tag.
    pub tag: String,
    /// The aliases that move, longest first.
    pub aliases: Vec<String>,
    /// The digest that the tags name.
    pub digest: Digest,
    /// Whether the build is there already, in some registry.
    pub released: bool,
    /// Why it is released, or not.
    pub why: Why,
    /// The build that it follows, or that it is.
    pub previous: Option<String>,
    /// The commit of the newest build of this version.
    pub previous_revision: Option<String>,
}

/// Why an image is released, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It holds or does something else than the newest build.
    Changed,
    /// Its newest build holds and does the same.
    Unchanged,
    /// Its commit was released already, and what it stands on has not moved since.
    SameCommit,
    /// Its newest build is of a later commit: this is a pipeline that was run again.
    Older,
}

impl Why {
    /// Whether the image gets a new build.
    pub fn is_new(self) -> bool {
        self == Why::Changed
    }
}

/// How the commit that is released stands to one that was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kinship {
    /// It comes after it.
    After,
    /// It comes before it.
    Before,
    /// Neither: a branch that was force-pushed, or another branch.
    Apart,
    /// git does not know the other commit, as in a shallow clone.
    Unknown,
}

/// What the branch may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Whether it may move `latest`.
    pub moves_latest: bool,
}

/// What a plan is made of, besides the images.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// For each image, what every registry has of it.
    pub states: BTreeMap<String, Vec<State>>,
    /// How the commit that is released stands to those of the newest builds, as far as that was asked.
    pub kinships: BTreeMap<String, Kinship>,
}

/// One decision an image.
///
/// An image is not released again when its newest build has the candidate's key, when its commit is one of those
/// of the builds looked at and its base has not moved since, or when its commit comes before that of the newest
/// build. All others get one number: the smallest that is free for each of them, and not below the number under
/// which a part of the same commit went out already (a release that was cut off goes on under its number).
pub fn plan(candidates: &[Candidate], observed: &Observed, branch: Branch) -> Result<Vec<Decision>> {
    let nothing = Vec::new();
    let of = |candidate: &Candidate| observed.states.get(&candidate.image).unwrap_or(&nothing);
    let released: Vec<Option<(&Build, Why)>> =
        candidates.iter().map(|c| released(c, of(c), &observed.kinships)).collect();
    let mut number = String::from("0");
    for (candidate, found) in candidates.iter().zip(&released) {
        let least = match found {
            None => next_build(&candidate.version, names(of(candidate)), false)?,
            Some((build, _)) if build.revision.is_some() && build.revision == candidate.revision => {
                build.tag[candidate.version.len()..].trim_start_matches('-').to_owned()
            }
            Some(_) => continue,
        };
        if Number::new(&least) > Number::new(&number) {
            number = least;
        }
    }
    let mut decisions = Vec::new();
    for (candidate, found) in candidates.iter().zip(released) {
        let why = found.map_or(Why::Changed, |(_, why)| why);
        let found = found.map(|(build, _)| build);
        let tag = found.map_or_else(|| format!("{}-{number}", candidate.version), |build| build.tag.clone());
        let previous = found.map_or_else(|| previous(&tag, names(of(candidate))), |build| Some(&build.tag));
        let mut aliases = perijove_tags::aliases(&tag, names(of(candidate)))?;
        aliases.retain(|alias| *alias != tag && (branch.moves_latest || alias != "latest"));
        decisions.push(Decision {
            image: candidate.image.clone(),
            digest: found.map_or(&candidate.digest, |build| &build.digest).clone(),
            released: found.is_some(),
            why,
            previous: previous.map(str::to_owned),
            previous_revision: newest_build(candidate, of(candidate)).and_then(|b| b.revision.clone()),
            tag,
            aliases,
        });
    }
    Ok(decisions)
}

/// The build that makes another one needless, and why.
fn released<'s>(
    candidate: &Candidate,
    states: &'s [State],
    kinships: &BTreeMap<String, Kinship>,
) -> Option<(&'s Build, Why)> {
    let newest = newest(candidate, states)?;
    let builds = || states.iter().flat_map(|state| &state.builds);
    let mut newest_builds = builds().filter(|build| build.tag == newest);
    if let Some(same) = newest_builds.clone().find(|build| build.key.as_ref() == Some(&candidate.key)) {
        return Some((same, Why::Unchanged));
    }
    let commit = candidate.revision.as_deref().filter(|revision| !revision.ends_with(DIRTY))?;
    let of_commit = |build: &&Build| {
        let moved = candidate.base.is_some() && build.base.is_some() && build.base != candidate.base;
        build.revision.as_deref() == Some(commit) && !moved
    };
    if let Some(same) = newest_builds.clone().find(of_commit) {
        return Some((same, Why::SameCommit));
    }
    // A build of this commit with newer ones above it: they are what is public, whatever made them.
    let newest_build = newest_builds.next()?;
    if newest_build.revision.as_deref() != Some(commit) && builds().any(|build| of_commit(&build)) {
        return Some((newest_build, Why::SameCommit));
    }
    let before = newest_build.revision.as_ref().and_then(|revision| kinships.get(revision));
    (before == Some(&Kinship::Before)).then_some((newest_build, Why::Older))
}

/// The commits that [`plan`] wants the kinship of: those of the newest builds, where they are others.
pub fn commits_to_compare(
    candidates: &[Candidate],
    states: &BTreeMap<String, Vec<State>>,
) -> BTreeSet<String> {
    let newest = candidates.iter().filter_map(|candidate| {
        let build = newest_build(candidate, states.get(&candidate.image)?)?;
        build.revision.clone().filter(|revision| Some(revision) != candidate.revision.as_ref())
    });
    newest.filter(|revision| !revision.ends_with(DIRTY)).collect()
}

fn newest_build<'s>(candidate: &Candidate, states: &'s [State]) -> Option<&'s Build> {
    let newest = newest(candidate, states)?;
    states.iter().flat_map(|state| &state.builds).find(|build| build.tag == newest)
}

/// The greatest build below `tag`: what nodes have that will get `tag`.
fn previous<'s>(tag: &str, names: impl Iterator<Item = &'s str>) -> Option<&'s str> {
    let new = Tag::parse(tag).ok()?;
    let builds = names.filter_map(|name| Tag::parse(name).ok());
    let below = builds.filter(|old| {
        // An opaque tag is compared with those of its own version alone (RULE.md, 7).
        old.build().is_some() && old.partial_cmp(&new) == Some(std::cmp::Ordering::Less)
    });
    below.reduce(|best, tag| if tag > best { tag } else { best }).map(|tag| tag.text())
}

/// The greatest build of the candidate's version in any registry.
fn newest<'s>(candidate: &Candidate, states: &'s [State]) -> Option<&'s str> {
    let tags = names(states).filter_map(|name| Tag::parse(name).ok());
    let builds = tags.filter(|tag| tag.build().is_some() && tag.version() == candidate.version);
    builds.reduce(|best, tag| if tag > best { tag } else { best }).map(|tag| tag.text())
}

fn names(states: &[State]) -> impl Iterator<Item = &str> + Clone {
    states.iter().flat_map(|state| state.tags.iter().map(String::as_str))
}

/// Tags of the newest builds of `version`, the newest first: those worth a look before a plan.
pub fn newest_builds<'s>(
    version: &str,
    tags: impl IntoIterator<Item = &'s str>,
    most: usize,
) -> Vec<&'s str> {
    let tags: BTreeSet<&str> = tags.into_iter().collect();
    let builds = tags.into_iter().filter_map(|name| Tag::parse(name).ok());
    let mut builds: Vec<Tag<'_>> =
        builds.filter(|tag| tag.build().is_some() && tag.version() == version).collect();
    builds.sort_by(|a, b| b.partial_cmp(a).unwrap_or(std::cmp::Ordering::Equal));
    builds.into_iter().take(most).map(|tag| tag.text()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(mark: &str) -> Digest {
        Digest::sha256(mark.as_bytes())
    }

    /// `hub 5.3.0 key commit`.
    fn candidate(text: &str) -> Candidate {
        let words: Vec<&str> = text.split(' ').collect();
        Candidate {
            image: words[0].to_owned(),
            version: words[1].to_owned(),
            digest: digest(&format!("{} {}", words[2], words[3])),
            key: digest(words[2]),
            revision: Some(words[3].to_owned()).filter(|w| w != "none"),
            base: words.get(4).map(|word| (*word).to_owned()),
        }
    }

    /// Tags, and after each `|` one of the newest builds with its key, commit and base.
    fn state(text: &str) -> State {
        let mut parts = text.split('|');
        let tags = parts.next().unwrap_or_default();
        let builds = parts.map(|build| {
            let words: Vec<&str> = build.split_whitespace().collect();
            let (tag, key, commit) = (words[0], words[1], words[2]);
            Build {
                tag: tag.to_owned(),
                digest: digest(&format!("{key} {commit}")),
                key: Some(digest(key)),
                revision: Some(commit.to_owned()),
                base: words.get(3).map(|word| (*word).to_owned()),
            }
        });
        State { tags: tags.split_whitespace().map(str::to_owned).collect(), builds: builds.collect() }
    }

    fn shown(candidates: &[&str], states: &[(&str, &[&str])], moves_latest: bool) -> Vec<String> {
        let candidates: Vec<Candidate> = candidates.iter().map(|text| candidate(text)).collect();
        let states = states.iter().map(|(image, all)| {
            ((*image).to_owned(), all.iter().map(|text| state(text)).collect::<Vec<State>>())
        });
        let observed = Observed { states: states.collect(), kinships: BTreeMap::new() };
        let decisions = plan(&candidates, &observed, Branch { moves_latest }).unwrap();
        let shown = decisions.iter().map(|d| {
            format!("{} {}{} {}", d.image, if d.released { "=" } else { "+" }, d.tag, d.aliases.join(","))
        });
        shown.collect()
    }

    #[test]
    fn a_commit_is_released_once() {
        use Kinship::{After, Apart, Before, Unknown};
        for (case, hub, states, kinship, expected) in [
            (
                "the same commit by a newer Perijove",
                "hub 5.3.0 new c1",
                &["5.3.0-1|5.3.0-1 old c1"][..],
                After,
                (Why::SameCommit, "5.3.0-1"),
            ),
            (
                "in one of two registries",
                "hub 5.3.0 new c1",
                &["", "5.3.0-1|5.3.0-1 old c1"],
                After,
                (Why::SameCommit, "5.3.0-1"),
            ),
            (
                "but its base moved",
                "hub 5.3.0 new c1 b2",
                &["5.3.0-1|5.3.0-1 old c1 b1"],
                After,
                (Why::Changed, "5.3.0-2"),
            ),
            (
                "its base is where it was",
                "hub 5.3.0 new c1 b1",
                &["5.3.0-1|5.3.0-1 old c1 b1"],
                After,
                (Why::SameCommit, "5.3.0-1"),
            ),
            (
                "what it stood on was not written down",
                "hub 5.3.0 new c1 b1",
                &["5.3.0-1|5.3.0-1 old c1"],
                After,
                (Why::SameCommit, "5.3.0-1"),
            ),
            (
                "a newer build above that of the commit",
                "hub 5.3.0 old c1",
                &["5.3.0-0 5.3.0-1|5.3.0-1 new c2|5.3.0-0 old c1"],
                Unknown,
                (Why::SameCommit, "5.3.0-1"),
            ),
            (
                "a changed tree is not its commit",
                "hub 5.3.0 new c1-dirty",
                &["5.3.0-1|5.3.0-1 old c1-dirty"],
                After,
                (Why::Changed, "5.3.0-2"),
            ),
            (
                "nor is the commit a changed tree",
                "hub 5.3.0 new c1",
                &["5.3.0-1|5.3.0-1 old c1-dirty"],
                After,
                (Why::Changed, "5.3.0-2"),
            ),
            (
                "no commit is not the same commit",
                "hub 5.3.0 new none",
                &["5.3.0-1|5.3.0-1 old c1"],
                Before,
                (Why::Changed, "5.3.0-2"),
            ),
            (
                "the next commit",
                "hub 5.3.0 new c2",
                &["5.3.0-1|5.3.0-1 old c1"],
                After,
                (Why::Changed, "5.3.0-2"),
            ),
            (
                "an old pipeline that was run again",
                "hub 5.3.0 new c0",
                &["5.3.0-1|5.3.0-1 old c1"],
                Before,
                (Why::Older, "5.3.0-1"),
            ),
            (
                "a branch that was force-pushed",
                "hub 5.3.0 new c2",
                &["5.3.0-1|5.3.0-1 old c1"],
                Apart,
                (Why::Changed, "5.3.0-2"),
            ),
            (
                "a shallow clone",
                "hub 5.3.0 new c2",
                &["5.3.0-1|5.3.0-1 old c1"],
                Unknown,
                (Why::Changed, "5.3.0-2"),
            ),
            (
                "another version is another line",
                "hub 5.3.1 new c0",
                &["5.3.0-1|5.3.0-1 old c1"],
                Before,
                (Why::Changed, "5.3.1-0"),
            ),
        ] {
            let states = BTreeMap::from([("hub".to_owned(), states.iter().map(|s| state(s)).collect())]);
            let candidates = [candidate(hub)];
            let kinships =
                commits_to_compare(&candidates, &states).into_iter().map(|c| (c, kinship)).collect();
            let decided = plan(&candidates, &Observed { states, kinships }, Branch { moves_latest: true });
            let decision = decided.unwrap().remove(0);
            assert_eq!((decision.why, decision.tag.as_str()), expected, "{case}");
        }
    }

    #[test]
    fn what_nodes_have_is_the_greatest_build_below() {
        for (tag, names, expected) in [
            ("5.3.0-1", "5.3.0-0 5.3.0 5.3.1-0 latest", Some("5.3.0-0")),
            ("4.1.6-0", "5.3.0-0 4.1.5-2 4.1.5-10 4.1.5", Some("4.1.5-10")),
            ("4.1.6-0", "5.3.0-0", None),
            ("5.3.0-next.1-1", "5.3.0-0 5.3.0-next.1-0 junk", Some("5.3.0-next.1-0")),
        ] {
            assert_eq!(previous(tag, names.split(' ')), expected, "{tag}");
        }
    }

    #[test]
    fn plans() {
        let hub = "hub 5.3.0 new c2";
        for (case, candidates, states, latest, expected) in [
            ("the first", &[hub][..], &[][..], true, &["hub +5.3.0-0 5.3.0,5.3,5,latest"][..]),
            (
                "the next",
                &[hub],
                &[("hub", &["5.3.0-0 5.3.0 5.3 5 latest|5.3.0-0 old c1"][..])],
                true,
                &["hub +5.3.0-1 5.3.0,5.3,5,latest"],
            ),
            (
                "nothing changed",
                &[hub],
                &[("hub", &["5.3.0-0 5.3.0 5.3 5 latest|5.3.0-0 new c1"])],
                true,
                &["hub =5.3.0-0 5.3.0,5.3,5,latest"],
            ),
            (
                "one number for all images and registries",
                &[hub, "lab 4.5.0 new c2"],
                &[("hub", &["5.3.0-3|5.3.0-3 old c1", "5.3.0-5"]), ("lab", &["4.5.0-1|4.5.0-1 old c1"])],
                true,
                &["hub +5.3.0-6 5.3.0,5.3,5,latest", "lab +4.5.0-6 4.5.0,4.5,4,latest"],
            ),
            (
                "an image that did not change keeps its build",
                &[hub, "lab 4.5.0 old c2"],
                &[("hub", &["5.3.0-3|5.3.0-3 old c1"]), ("lab", &["4.5.0-7|4.5.0-7 old c1"])],
                true,
                &["hub +5.3.0-4 5.3.0,5.3,5,latest", "lab =4.5.0-7 4.5.0,4.5,4,latest"],
            ),
            (
                "a release that was cut off goes on under its number",
                &[hub, "lab 4.5.0 new c2"],
                &[("hub", &["5.3.0-3|5.3.0-3 new c2"]), ("lab", &["4.5.0-1|4.5.0-1 old c1"])],
                true,
                &["hub =5.3.0-3 5.3.0,5.3,5,latest", "lab +4.5.0-3 4.5.0,4.5,4,latest"],
            ),
            (
                "back to what was before the newest build is a release",
                &["hub 5.3.0 old c3"],
                &[("hub", &["5.3.0-0 5.3.0-1|5.3.0-1 new c2"])],
                true,
                &["hub +5.3.0-2 5.3.0,5.3,5,latest"],
            ),
            (
                "a backport takes no newer alias",
                &["hub 4.1.6 new c2"],
                &[("hub", &["5.3.0-0 5.3.0 5.3 5 latest 4.1.5-0"])],
                true,
                &["hub +4.1.6-0 4.1.6,4.1,4"],
            ),
            (
                "another branch than the default never takes latest",
                &["hub 4.1.6 new c2"],
                &[("hub", &[])],
                false,
                &["hub +4.1.6-0 4.1.6,4.1,4"],
            ),
        ] {
            assert_eq!(shown(candidates, states, latest), expected, "{case}");
        }
    }

    #[test]
    fn the_newest_builds_come_first() {
        let tags = ["5.3.0-2", "5.3.0-10", "5.3.0", "5.3.0-9", "5.3.1-0", "main", "5.3.0-10"];
        assert_eq!(newest_builds("5.3.0", tags, 2), ["5.3.0-10", "5.3.0-9"]);
    }
}
