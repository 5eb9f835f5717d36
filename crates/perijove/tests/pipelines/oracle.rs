//! The tag rule once more, by trying everything: what the tags of a repository must be, after its history.

use std::collections::{BTreeMap, BTreeSet};

use perijove_testkit::program::Program;

use crate::scene::{PERIJOVE, tags};

/// Major, minor, patch; the number of the candidate, the greatest there is for a final; the build.
type Order = (u64, u64, u64, u64, u64);

/// Of the tags that the replays make: `6.1.0-3`, `6.1.0rc1-0`.
fn order(tag: &str) -> Option<Order> {
    let (version, build) = tag.rsplit_once('-')?;
    let (numbers, candidate) = version.split_once("rc").map_or((version, None), |(n, c)| (n, Some(c)));
    let mut numbers = numbers.split('.').map(|number| number.parse().ok());
    let candidate = candidate.map_or(Some(u64::MAX), |number| number.parse().ok())?;
    let order = (numbers.next()??, numbers.next()??, numbers.next()??, candidate, build.parse().ok()?);
    numbers.next().is_none().then_some(order)
}

/// RULE.md 8: what a tag may be called besides.
fn names(tag: &str) -> Vec<String> {
    let (version, _) = tag.rsplit_once('-').unwrap();
    let mut names = vec![version.to_owned()];
    if let (major, minor, _, u64::MAX, _) = order(tag).unwrap() {
        names.extend([format!("{major}.{minor}"), major.to_string(), "latest".to_owned()]);
    }
    names
}

/// Follows one repository.
pub struct Oracle {
    repository: String,
    seen: BTreeMap<String, String>,
}

impl Oracle {
    /// An empty one.
    pub fn new(repository: &str) -> Self {
        Oracle { repository: repository.to_owned(), seen: BTreeMap::new() }
    }

    /// Reads the repository after a release of `version`, or after none was to be made, and fails the test unless
    /// exactly that has happened.
    pub fn check(&mut self, version: &str, released: bool) {
        let tags = tags(&self.repository);
        let builds: BTreeMap<&String, &String> =
            tags.iter().filter(|(tag, _)| order(tag).is_some()).collect();
        for (tag, digest) in &self.seen {
            assert_eq!(builds.get(tag), Some(&digest), "{tag} is what it was");
        }
        let new: Vec<&&String> = builds.keys().filter(|tag| !self.seen.contains_key(**tag)).collect();
        if released {
            let before = |build: &u64| self.seen.contains_key(&format!("{version}-{build}"));
            let next = format!("{version}-{}", (0..).find(|build| !before(build)).unwrap());
            assert_eq!(new, [&&next], "the next number, and one release");
        } else {
            assert!(new.is_empty(), "{new:?} where nothing was to be released");
        }
        // I2: every alias points at the greatest tag of its set, and there are no others.
        let aliases: BTreeSet<String> = builds.keys().flat_map(|tag| names(tag)).collect();
        let mut wanted: BTreeMap<String, String> =
            builds.iter().map(|(tag, digest)| ((*tag).clone(), (*digest).clone())).collect();
        for alias in aliases {
            let greatest =
                builds.keys().filter(|tag| names(tag).contains(&alias)).max_by_key(|tag| order(tag));
            wanted.insert(alias, builds[*greatest.unwrap()].clone());
        }
        assert_eq!(tags, wanted);
        self.seen = builds.into_iter().map(|(tag, digest)| (tag.clone(), digest.clone())).collect();
    }

    /// `perijove tags verify` has nothing to say.
    pub fn verify(&self) {
        let folder = tempfile::tempdir().unwrap();
        let program = Program::new(PERIJOVE, folder.path(), folder.path());
        let ran = program.args(["tags", "verify", &self.repository]).run();
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
    }

    /// How many releases there are.
    pub fn releases(&self) -> usize {
        self.seen.len()
    }
}
