//! Which versions are locked, and of what: wheels, or a source that is built.
//!
//! uv may take sources everywhere. One that turns out to be pure Python is built; where one is not, its project
//! is asked again by its wheels alone, so that an older version that has some makes do. What was asked for by
//! name is not moved back in silence, and what has compiled code and never had a wheel is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use futures_util::stream;
use pep440_rs::{Version, VersionSpecifiers};
use perijove_oci::{Digest, Event};

use super::compile::{Question, Resolution};
use super::filename::{WheelName, sdist_version};
use super::input::Input;
use super::merge::{Merged, merge};
use super::tags::Tags;
use super::target::PythonTarget;
use crate::lock::index::{Index, IndexFile};
use crate::lock::requirements::LockedWheel;
use crate::lock::sdist::{self, Built};
use crate::{Error, Result};

/// How many pages or lengths are asked for at once.
const ABREAST: usize = 12;

/// What a lock is resolved from.
pub struct Resolver<'a> {
    /// Where packages come from.
    pub index: &'a Index,
    /// The Python and the platforms.
    pub target: &'a PythonTarget,
    /// What runs on each of the platforms, in their order.
    pub tags: Vec<Tags>,
    /// What uv is asked.
    pub question: Question<'a>,
    /// The `requirements.in`.
    pub input: &'a Input,
    /// The image's folder, where wheels that were built before lie.
    pub folder: &'a Path,
}

/// A pin and all files that it names.
pub struct Found {
    /// The version.
    pub merged: Merged,
    /// Its wheels in the index, best first.
    pub wheels: Vec<LockedWheel>,
    /// The wheel that was built because those do not run everywhere.
    pub built: Option<Built>,
}

/// Projects whose sources cannot be taken → why.
type Refused = BTreeMap<String, Error>;

impl Resolver<'_> {
    /// Every pin, sorted by name and version. Fails when there are no versions that agree, or when one of them has
    /// only a source that is not pure Python and no version of its project has wheels that do.
    pub async fn resolve(&self) -> Result<Vec<Found>> {
        let (mut refused, mut built, mut newest) = (Refused::new(), BTreeMap::new(), None);
        // A project is refused once, so this ends.
        loop {
            let answers = match self.ask(&refused).await {
                Ok(answers) => answers,
                Err(error) => match sdist::unreadable(&error) {
                    Some(name) if !refused.contains_key(&name) => {
                        let error = sdist::explain(error);
                        self.refuse(name, error, &self.everywhere(), &mut refused).await?;
                        continue;
                    }
                    // Asked by their wheels alone they do not agree: the cause is the source, not the question.
                    _ => return Err(refused.into_values().next().unwrap_or(error)),
                },
            };
            let found = self.with_wheels(merge(&answers)).await?;
            let first =
                newest.get_or_insert_with(|| if refused.is_empty() { answers.clone() } else { Vec::new() });
            let mut again = false;
            for Found { merged, wheels, .. } in &found {
                let missing = self.missing(merged, wheels);
                let key = (merged.name.clone(), merged.version.clone());
                if missing.is_empty() || built.contains_key(&key) {
                    continue;
                }
                match sdist::wheel(self.index, merged, self.target, self.question.old, self.folder).await {
                    Ok(made) => {
                        built.insert(key, made);
                    }
                    Err(error @ Error::Refused { .. }) if !refused.contains_key(&merged.name) => {
                        self.refuse(merged.name.clone(), error, &missing, &mut refused).await?;
                        again = true;
                    }
                    Err(error) => return Err(error),
                }
            }
            if !again {
                self.warn(first, &answers, &refused).await?;
                return Ok(found
                    .into_iter()
                    .map(|f| Found {
                        built: built.remove(&(f.merged.name.clone(), f.merged.version.clone())),
                        ..f
                    })
                    .collect());
            }
        }
    }

    async fn ask(&self, refused: &Refused) -> Result<Vec<Resolution>> {
        let only_wheels: BTreeSet<&str> = refused.keys().map(String::as_str).collect();
        try_join_all(self.target.platforms.iter().map(|p| self.question.ask(self.index, p, &only_wheels)))
            .await
    }

    /// Marks `name` as one whose wheels alone count; with `error` when it has none for `platforms`.
    async fn refuse(
        &self,
        name: String,
        error: Error,
        platforms: &[usize],
        refused: &mut Refused,
    ) -> Result<()> {
        let files = self.index.files(&name).await?;
        let usable = files.iter().filter(|f| self.takes_python(f) && f.yanked.is_none());
        let names: Vec<WheelName> = usable.filter_map(|f| f.filename.parse().ok()).collect();
        if !platforms.iter().all(|at| names.iter().any(|n| self.tags[*at].rank(n).is_some())) {
            return Err(error);
        }
        self.report(Event::Note(format!("{error}: an older version with wheels is looked for")));
        refused.insert(name, error);
        Ok(())
    }

    /// Names what `requirements.in` asks for and now is older than without the refused sources: than in the
    /// `first` answers, or, where a refusal came before any answer, than the newest that the index has.
    async fn warn(&self, first: &[Resolution], last: &[Resolution], refused: &Refused) -> Result<()> {
        let Some(why) = refused.values().next() else { return Ok(()) };
        for (name, specifiers) in self.input.wanted() {
            let Some(now) = version_in(last, name) else { continue };
            let stays = self
                .question
                .old
                .is_some_and(|old| old.pins.iter().any(|pin| pin.name == name && pin.version == *now));
            let best = match version_in(first, name) {
                Some(version) => Some(version.clone()),
                None if first.is_empty() && !stays => self.newest(name, specifiers).await?,
                None => None,
            };
            if let Some(best) = best.filter(|best| best > now) {
                let why = refused.get(name).unwrap_or(why);
                self.report(Event::Warning(format!("{name} is locked at {now}, not {best}: {why}")));
            }
        }
        Ok(())
    }

    /// The newest version of which the index has anything for this Python.
    async fn newest(&self, name: &str, specifiers: &VersionSpecifiers) -> Result<Option<Version>> {
        let files = self.index.files(name).await?;
        let usable = files.iter().filter(|f| f.yanked.is_none() && self.takes_python(f));
        let version = |f: &IndexFile| {
            f.filename
                .parse::<WheelName>()
                .map(|w| w.version)
                .ok()
                .or_else(|| sdist_version(&f.filename, name))
        };
        Ok(usable.filter_map(version).filter(|v| !v.any_prerelease() && specifiers.contains(v)).max())
    }

    fn report(&self, event: Event) {
        self.index.fetcher().reporter().report(event);
    }

    fn everywhere(&self) -> Vec<usize> {
        (0..self.tags.len()).collect()
    }

    async fn with_wheels(&self, merged: Vec<Merged>) -> Result<Vec<Found>> {
        let wheels: Vec<Result<Vec<LockedWheel>>> =
            stream::iter(&merged).map(|m| self.wheels(m)).buffered(ABREAST).collect().await;
        let found = merged.into_iter().zip(wheels);
        found.map(|(merged, wheels)| Ok(Found { merged, wheels: wheels?, built: None })).collect()
    }

    /// The wheels of one pin, those of the first platform first, best first.
    async fn wheels(&self, merged: &Merged) -> Result<Vec<LockedWheel>> {
        let files = self.index.files(&merged.name).await?;
        let mut candidates: Vec<(WheelName, Digest, &IndexFile)> = Vec::new();
        for file in files.iter().filter(|f| self.takes_python(f)) {
            let Ok(name) = file.filename.parse::<WheelName>() else { continue };
            let runs = merged.platforms.iter().any(|at| self.tags[*at].rank(&name).is_some());
            if name.version == merged.version && name.name == merged.name && runs {
                let digest = self.index.digest_of(file).await?;
                if merged.hashes.contains(&digest) && candidates.iter().all(|(_, d, _)| *d != digest) {
                    candidates.push((name, digest, file));
                }
            }
        }
        let mut order: Vec<usize> = Vec::new();
        for at in &merged.platforms {
            for best in self.tags[*at].best(candidates.iter().map(|(name, _, _)| name)) {
                if !order.contains(&best) {
                    order.push(best);
                }
            }
        }
        let mut wheels = Vec::new();
        for at in order {
            let (name, digest, file) = &candidates[at];
            if let Some(reason) = &file.yanked {
                let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                let text = format!("{} {} was withdrawn by its authors{why}", merged.name, merged.version);
                self.report(Event::Warning(text));
            }
            let size = match file.size {
                Some(size) => Some(size),
                None => self.index.fetcher().length(&file.url).await,
            };
            let (filename, name, digest) = (file.filename.clone(), name.clone(), digest.clone());
            wheels.push(LockedWheel { filename, name, size, digest, built_from: None });
        }
        Ok(wheels)
    }

    /// Unreadable demands count as met, as they do for pip and uv.
    fn takes_python(&self, file: &IndexFile) -> bool {
        let (major, minor) = self.target.python;
        let version = pep440_rs::Version::new([u64::from(major), u64::from(minor), 0]);
        let demand = file.requires_python.as_ref().and_then(|r| r.parse::<VersionSpecifiers>().ok());
        demand.is_none_or(|d| d.contains(&version))
    }

    /// The platforms of a pin that none of its wheels runs on.
    fn missing(&self, merged: &Merged, wheels: &[LockedWheel]) -> Vec<usize> {
        let runs = |at: usize| wheels.iter().any(|w| self.tags[at].rank(&w.name).is_some());
        merged.platforms.iter().copied().filter(|at| !runs(*at)).collect()
    }
}

/// The lowest version that any platform has.
fn version_in<'a>(answers: &'a [Resolution], name: &str) -> Option<&'a Version> {
    answers.iter().flat_map(|a| &a.pins).filter(|pin| pin.name == name).map(|pin| &pin.version).min()
}
