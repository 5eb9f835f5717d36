//! One number for all images of a release (pure), also where another release took it for one of them half-way.
//!
//! What was claimed under a number that not all images can have stays there, for a build's tag is never moved; the
//! same image is claimed once more, under the number that all of them get. So the registries alone tell a later run
//! how far a release came that was cut off.

use perijove_tags::{Build as Number, next_build};

use crate::Result;
use crate::plan::{self, Build, Candidate, DIRTY, Kinship, Observed, Why};

/// A build that makes another one needless, and why.
pub(crate) type Found<'s> = Option<(&'s Build, Why)>;

/// The number of this release: the smallest that is free for each image that gets a new build, and not below those
/// under which other images of the same release went out. Those of them that have another number are taken out of
/// `found`: they get this one too.
pub(crate) fn common<'s>(
    candidates: &[Candidate],
    observed: &'s Observed,
    found: &mut [Found<'s>],
) -> Result<String> {
    let ours = |candidate: &Candidate| {
        let builds = observed.of(candidate).iter().flat_map(|state| &state.builds);
        let ours = builds.filter(|build| is_ours(candidate, build, observed));
        ours.max_by_key(|build| number(candidate, build))
    };
    for (candidate, found) in candidates.iter().zip(found.iter_mut()) {
        // Another release has the same number in another registry, and perhaps more of them came since.
        let split = ours(candidate).is_some_and(|build| is_split(candidate, build, observed));
        if split && found.is_some_and(|(build, _)| may_follow(build, observed)) {
            *found = None;
        }
    }
    let last = |candidate: &Candidate| {
        let whole = ours(candidate).filter(|build| !is_split(candidate, build, observed));
        whole.map(|build| number(candidate, build))
    };
    // Up to here the release of this commit was whole, and what is done now is another: a base has moved since.
    let new = candidates.iter().zip(&*found).filter(|(_, found)| found.is_none());
    let whole = match new.map(|(candidate, _)| last(candidate)).min() {
        Some(whole) => whole,
        None if agree(candidates, observed) => return Ok(String::from("0")),
        None => None,
    };
    let mut common = String::from("0");
    let mut shares = Vec::new();
    for (candidate, found) in candidates.iter().zip(&*found) {
        let last = last(candidate);
        let (least, share) = match found {
            Some((build, _)) if is_ours(candidate, build, observed) || may_be_ours(candidate, build) => {
                (Some(number(candidate, build).to_string()), last > whole)
            }
            // Another release came over this one, and now this one over that, unless that is of a later commit.
            Some((build, _)) if last <= whole || !may_follow(build, observed) => (None, false),
            _ => (Some(next_build(&candidate.version, plan::names(observed.of(candidate)), false)?), true),
        };
        shares.push(share);
        if let Some(least) = least.filter(|least| Number::new(least) > Number::new(&common)) {
            common = least;
        }
    }
    for ((candidate, found), share) in candidates.iter().zip(found.iter_mut()).zip(shares) {
        let stands = |(build, _): (&Build, Why)| number(candidate, build) == Number::new(&common);
        if share && !found.is_some_and(stands) {
            *found = None;
        }
    }
    Ok(common)
}

/// Whether there is a number under which all that this release has put out went out. There is none where it took
/// the next number after one was lost, and a registry without a referee let others overwrite a tag of that one.
fn agree(candidates: &[Candidate], observed: &Observed) -> bool {
    let numbers = candidates.iter().map(|candidate| {
        let builds = observed.of(candidate).iter().flat_map(|state| &state.builds);
        let ours = builds.filter(|build| is_ours(candidate, build, observed));
        let whole = ours.filter(|build| !is_split(candidate, build, observed));
        whole.map(|build| number(candidate, build)).collect::<Vec<_>>()
    });
    let all = numbers.filter(|numbers| !numbers.is_empty());
    let common = all.reduce(|a, b| a.into_iter().filter(|number| b.contains(number)).collect());
    common.is_none_or(|common| !common.is_empty())
}

fn number<'b>(candidate: &Candidate, build: &'b Build) -> Number<'b> {
    Number::new(build.tag[candidate.version.len()..].trim_start_matches('-'))
}

/// Whether a build is of the release that is planned: of its commit, or claimed by this very run.
fn is_ours(candidate: &Candidate, build: &Build, observed: &Observed) -> bool {
    let commit = candidate.revision.as_deref().filter(|commit| !commit.ends_with(DIRTY));
    let claimed = || observed.claimed.contains(&(candidate.image.clone(), build.tag.clone()));
    (commit.is_some() && build.revision.as_deref() == commit)
        || (build.digest == candidate.digest && claimed())
}

/// Whether it is of a tree that differed from the same commit: perhaps this one.
fn may_be_ours(candidate: &Candidate, build: &Build) -> bool {
    build.revision.is_some() && build.revision == candidate.revision
}

/// Whether a build has its tag in one registry, and another build has it in another.
fn is_split(candidate: &Candidate, build: &Build, observed: &Observed) -> bool {
    let mut builds = observed.of(candidate).iter().flat_map(|state| &state.builds);
    builds.any(|other| other.tag == build.tag && other.digest != build.digest)
}

fn may_follow(build: &Build, observed: &Observed) -> bool {
    let kinship = build.revision.as_ref().and_then(|revision| observed.kinships.get(revision));
    kinship != Some(&Kinship::Before)
}
