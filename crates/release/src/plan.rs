//! What a release will do: a pure function of the built images and of what the registries have.

use std::collections::{BTreeMap, BTreeSet};

use perijove_oci::Digest;
use perijove_tags::Tag;
use serde::Serialize;

use crate::{Result, number};

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
    /// It holds or does something else than the newest build, or that one has not the number of its release.
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
    /// Images and tags that this very run claimed.
    pub claimed: BTreeSet<(String, String)>,
}

impl Observed {
    /// What every registry has of an image.
    pub(crate) fn of(&self, candidate: &Candidate) -> &[State] {
        self.states.get(&candidate.image).map_or(&[], Vec::as_slice)
    }
}

/// One decision an image.
///
/// An image is not released again when its newest build has the candidate's key, when its commit is one of those
/// of the builds looked at and its base has not moved since, or when its commit comes before that of the newest
/// build. All others get one number: the smallest that is free for each of them, and not below the number under
/// which a part of the same commit went out already (a release that was cut off goes on under its number). Where
/// that part cannot have the number, because another release took it, all get the next one: [`mod@crate::number`].
pub fn plan(candidates: &[Candidate], observed: &Observed, branch: Branch) -> Result<Vec<Decision>> {
    let mut found: Vec<number::Found<'_>> =
        candidates.iter().map(|c| released(c, observed.of(c), &observed.kinships)).collect();
    let number = number::common(candidates, observed, &mut found)?;
    let mut decisions = Vec::new();
    for (candidate, found) in candidates.iter().zip(found) {
        let states = observed.of(candidate);
        let why = found.map_or(Why::Changed, |(_, why)| why);
        let found = found.map(|(build, _)| build);
        let tag = found.map_or_else(|| format!("{}-{number}", candidate.version), |build| build.tag.clone());
        let previous =
            found.map_or_else(|| previous(&tag, others(candidate, states)), |build| Some(&build.tag));
        let mut aliases = perijove_tags::aliases(&tag, names(states))?;
        aliases.retain(|alias| *alias != tag && (branch.moves_latest || alias != "latest"));
        decisions.push(Decision {
            image: candidate.image.clone(),
            digest: found.map_or(&candidate.digest, |build| &build.digest).clone(),
            released: found.is_some(),
            why,
            previous: previous.map(str::to_owned),
            previous_revision: newest_build(candidate, states).and_then(|b| b.revision.clone()),
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

/// All tags of an image, those that name the candidate itself left out.
fn others<'s>(candidate: &Candidate, states: &'s [State]) -> impl Iterator<Item = &'s str> {
    let builds = states.iter().flat_map(|state| &state.builds);
    let same = builds.filter(|build| build.digest == candidate.digest);
    let same: BTreeSet<&str> = same.map(|build| build.tag.as_str()).collect();
    names(states).filter(move |name| !same.contains(name))
}

/// All tags of an image.
pub(crate) fn names(states: &[State]) -> impl Iterator<Item = &str> + Clone {
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
mod tests;
