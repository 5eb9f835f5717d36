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
    /// The commit.
    pub revision: Option<String>,
}

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
}

/// What the branch may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Whether it may move `latest`.
    pub moves_latest: bool,
}

/// One decision an image. `states` holds, for each candidate, what every registry has of it.
///
/// An image whose newest build has the candidate's key is not released again. All others get one number: the
/// smallest that is free for each of them, and not below the number under which a part of the same commit went out
/// already (a release that was cut off goes on under its number).
pub fn plan(
    candidates: &[Candidate],
    states: &BTreeMap<String, Vec<State>>,
    branch: Branch,
) -> Result<Vec<Decision>> {
    let nothing = Vec::new();
    let of = |candidate: &Candidate| states.get(&candidate.image).unwrap_or(&nothing);
    let released: Vec<Option<&Build>> = candidates.iter().map(|c| released(c, of(c))).collect();
    let mut number = String::from("0");
    for (candidate, found) in candidates.iter().zip(&released) {
        let least = match found {
            None => next_build(&candidate.version, names(of(candidate)), false)?,
            Some(build) if build.revision.is_some() && build.revision == candidate.revision => {
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
        let tag = found.map_or_else(|| format!("{}-{number}", candidate.version), |build| build.tag.clone());
        let mut aliases = perijove_tags::aliases(&tag, names(of(candidate)))?;
        aliases.retain(|alias| *alias != tag && (branch.moves_latest || alias != "latest"));
        decisions.push(Decision {
            image: candidate.image.clone(),
            digest: found.map_or(&candidate.digest, |build| &build.digest).clone(),
            released: found.is_some(),
            tag,
            aliases,
        });
    }
    Ok(decisions)
}

/// The build that holds what the candidate holds, if nothing newer of its version is there.
fn released<'s>(candidate: &Candidate, states: &'s [State]) -> Option<&'s Build> {
    let newest = newest(candidate, states)?;
    let builds = states.iter().flat_map(|state| &state.builds);
    let mut same = builds.filter(|build| build.tag == newest);
    same.find(|build| build.key.as_ref() == Some(&candidate.key))
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
            revision: Some(words[3].to_owned()),
        }
    }

    /// Tags, and after `|` the newest build with its key and commit.
    fn state(text: &str) -> State {
        let (tags, build) = text.split_once('|').unwrap_or((text, ""));
        let words: Vec<&str> = build.split_whitespace().collect();
        let builds = match words[..] {
            [tag, key, commit] => vec![Build {
                tag: tag.to_owned(),
                digest: digest(&format!("{key} {commit}")),
                key: Some(digest(key)),
                revision: Some(commit.to_owned()),
            }],
            _ => Vec::new(),
        };
        State { tags: tags.split_whitespace().map(str::to_owned).collect(), builds }
    }

    fn shown(candidates: &[&str], states: &[(&str, &[&str])], moves_latest: bool) -> Vec<String> {
        let candidates: Vec<Candidate> = candidates.iter().map(|text| candidate(text)).collect();
        let states = states.iter().map(|(image, all)| {
            ((*image).to_owned(), all.iter().map(|text| state(text)).collect::<Vec<State>>())
        });
        let decisions = plan(&candidates, &states.collect(), Branch { moves_latest }).unwrap();
        let shown = decisions.iter().map(|d| {
            format!("{} {}{} {}", d.image, if d.released { "=" } else { "+" }, d.tag, d.aliases.join(","))
        });
        shown.collect()
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
