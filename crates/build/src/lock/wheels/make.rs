//! `requirements.in` → `requirements.txt`: uv resolves, the index names the wheels, and what has no wheel is
//! built once.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use futures_util::StreamExt;
use futures_util::future::try_join_all;
use futures_util::stream;
use pep440_rs::VersionSpecifiers;
use perijove_oci::{Digest, Event};

use super::compile::{Question, Resolution, Sdists, Upgrade};
use super::filename::WheelName;
use super::input::Input;
use super::merge::{Entry, Merged, merge, render};
use super::tags::Tags;
use super::target::PythonTarget;
use crate::lock::index::locate::WHEELS;
use crate::lock::index::{Index, IndexFile};
use crate::lock::requirements::{LockedWheel, RequirementsLock};
use crate::lock::sdist;
use crate::{Error, Result};

/// What to lock.
pub struct Request<'a> {
    /// The `requirements.in`, in the image's folder.
    pub input: &'a Path,
    /// The Python and the platforms.
    pub target: &'a PythonTarget,
    /// The present lock, if there is one.
    pub old: Option<&'a RequirementsLock>,
    /// Which pins may move.
    pub upgrade: &'a Upgrade,
}

/// A new lock.
pub struct Locked {
    /// The text of `requirements.txt`.
    pub text: String,
    /// Wheels that were built, to be written beside it: path in the image's folder, bytes.
    pub wheels: Vec<(PathBuf, Vec<u8>)>,
}

/// How many pages or lengths are asked for at once.
const ABREAST: usize = 12;

/// Locks. Nothing is written: give the text and the wheels to [`crate::lock::journal::commit`] together.
pub async fn lock(index: &Index, request: &Request<'_>) -> Result<Locked> {
    let input = Input::read(request.input)?;
    let Request { target, old, upgrade, .. } = *request;
    if target.platforms.is_empty() {
        return Err(Error::Refused {
            reason: "there is no platform to lock for".to_owned(),
            hint: "name some in perijove.toml: platforms = [\"linux/amd64\", \"linux/arm64\"]".to_owned(),
        });
    }
    let tags: Vec<Tags> = target.platforms.iter().map(|p| Tags::new(target, p)).collect::<Result<_>>()?;
    let maker =
        Maker { index, target, tags, question: Question { input: request.input, target, old, upgrade } };
    let (merged, mut found) = maker.resolve().await?;
    let folder = request.input.parent().unwrap_or(Path::new(""));
    let (mut entries, mut built) = (Vec::new(), Vec::new());
    for (at, merged) in merged.into_iter().enumerate() {
        let mut wheels = std::mem::take(&mut found[at]);
        if !maker.missing(&merged, &wheels).is_empty() {
            let made = sdist::wheel(index, &merged, target, old, folder).await?;
            let path = Path::new(WHEELS).join(&made.wheel.filename);
            built.push((path, made.bytes));
            wheels.push(made.wheel);
        }
        let changed = changed(old, &merged);
        entries.push(Entry { merged, changed, wheels });
    }
    Ok(Locked { text: render(target, &input.digest(target), &entries)?, wheels: built })
}

/// The old lock's count, and one more when the version is new to a name that it had.
fn changed(old: Option<&RequirementsLock>, merged: &Merged) -> u32 {
    let Some(old) = old else { return 0 };
    let mut pins = old.pins.iter().filter(|pin| pin.name == merged.name).peekable();
    let known = pins.peek().is_some();
    let same = pins.any(|pin| pin.version == merged.version);
    old.changes(&merged.name) + u32::from(known && !same)
}

struct Maker<'a> {
    index: &'a Index,
    target: &'a PythonTarget,
    tags: Vec<Tags>,
    question: Question<'a>,
}

impl Maker<'_> {
    /// Versions and their wheels. Wheels win: only when no set of versions has wheels throughout are source
    /// distributions looked at, and then of as few projects as possible.
    async fn resolve(&self) -> Result<(Vec<Merged>, Vec<Vec<LockedWheel>>)> {
        if let Ok(answers) = self.ask(&Sdists::Never).await {
            return self.with_wheels(&answers).await;
        }
        let answers = self.ask(&Sdists::Allowed).await.map_err(sdist::explain)?;
        let (mut merged, mut wheels) = self.with_wheels(&answers).await?;
        let names: BTreeSet<String> = merged.iter().map(|m| m.name.clone()).collect();
        let mut built = self.without_wheels(&merged, &wheels);
        for name in built.clone() {
            // An older version of it may have wheels that the rest can live with.
            if !self.ever_had_wheels(&name).await? {
                continue;
            }
            let fewer: BTreeSet<String> = built.iter().filter(|b| **b != name).cloned().collect();
            let not_of = names.difference(&fewer).cloned().collect();
            if let Ok(answers) = self.ask(&Sdists::NotOf(not_of)).await {
                (merged, wheels) = self.with_wheels(&answers).await?;
                built = self.without_wheels(&merged, &wheels);
            }
        }
        Ok((merged, wheels))
    }

    async fn ask(&self, sdists: &Sdists) -> Result<Vec<Resolution>> {
        try_join_all(self.target.platforms.iter().map(|p| self.question.ask(self.index, p, sdists))).await
    }

    async fn with_wheels(&self, answers: &[Resolution]) -> Result<(Vec<Merged>, Vec<Vec<LockedWheel>>)> {
        let merged = merge(answers);
        let found: Vec<Result<Vec<LockedWheel>>> =
            stream::iter(&merged).map(|m| self.wheels(m)).buffered(ABREAST).collect().await;
        Ok((merged, found.into_iter().collect::<Result<_>>()?))
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
                self.index.fetcher().reporter().report(Event::Warning(text));
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

    fn without_wheels(&self, merged: &[Merged], wheels: &[Vec<LockedWheel>]) -> BTreeSet<String> {
        let pairs = merged.iter().zip(wheels);
        pairs.filter(|(m, w)| !self.missing(m, w).is_empty()).map(|(m, _)| m.name.clone()).collect()
    }

    async fn ever_had_wheels(&self, name: &str) -> Result<bool> {
        let files = self.index.files(name).await?;
        let names: Vec<WheelName> = files.iter().filter_map(|f| f.filename.parse().ok()).collect();
        Ok(self.tags.iter().all(|tags| names.iter().any(|n| tags.rank(n).is_some())))
    }
}
