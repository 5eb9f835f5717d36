//! All locks of an image: which inputs it has, what they are locked for, and whether they are behind.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::debs::{self, DebsIn, DebsLock, DebsRequest};
use super::index::locate::WHEELS;
use super::journal::{self, Rewrite, Workspace};
use super::wheels::{self, Input, Upgrade};
use super::{Change, NpmLock, RequirementsLock, summary};
use crate::config::Config;
use crate::locks::{LockPaths, codename, lineage, python_target};
use crate::materialise::Origins;
use crate::{Error, Result};

/// What changed in one lock.
#[derive(Clone, Debug)]
pub struct LockChange {
    /// The image.
    pub image: String,
    /// The lock file, relative to the repository.
    pub lock: String,
    /// Packages, by name.
    pub changes: Vec<Change>,
    /// Whether the file changes at all.
    pub rewritten: bool,
    /// Whether it is removed: a wheel that was built for an earlier lock.
    pub removed: bool,
}

/// Why a lock is behind its input.
#[derive(Clone, Debug)]
pub struct Behind {
    /// The lock file, relative to the repository.
    pub lock: String,
    /// What differs.
    pub reason: String,
}

/// Locks `images` (each after those whose files it names, as in `-c ../hub/requirements.txt`) and rewrites all their locks, or
/// none when one fails: the work is done in a copy of the inputs under `.perijove/`, and the journal puts all of it in
/// place.
pub async fn lock(
    config: &Config,
    images: &[String],
    origins: &Origins,
    upgrade: &Upgrade,
    now: Timestamp,
) -> Result<Vec<LockChange>> {
    let workspace = Workspace::new(&config.root)?;
    let copy = Config { root: workspace.path().to_owned(), ..config.clone() };
    let reading = journal::reading(&config.root)?;
    for name in config.images.keys() {
        copy_inputs(&config.folder(name), &copy.folder(name))?;
    }
    drop(reading);
    let (mut changes, mut rewrites) = (Vec::new(), Vec::new());
    for name in &order(config, images)? {
        let one = Relock { config: &copy, name, origins, upgrade, now };
        for (path, bytes, packages) in one.run().await? {
            if let Some(bytes) = &bytes {
                // Images after this one read it.
                let folder = path.parent().unwrap_or(workspace.path());
                std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
                std::fs::write(&path, bytes).map_err(Error::io(&path))?;
            }
            let place = path.strip_prefix(workspace.path()).unwrap_or(&path).to_owned();
            let (lock, removed) = (place.display().to_string(), bytes.is_none());
            let rewrite = Rewrite { place, bytes };
            if let Some(packages) = packages {
                let rewritten = !rewrite.is_there(&config.root);
                changes.push(LockChange { image: name.clone(), lock, changes: packages, rewritten, removed });
            }
            rewrites.push(rewrite);
        }
    }
    journal::commit(&config.root, &rewrites)?;
    Ok(changes)
}

/// `images`, each after its parent and after the images whose files its `requirements.in` names.
fn order(config: &Config, images: &[String]) -> Result<Vec<String>> {
    fn visit(
        config: &Config,
        name: &str,
        wanted: &[String],
        seen: &mut Vec<String>,
        order: &mut Vec<String>,
    ) -> Result<()> {
        if seen.iter().any(|s| s == name) || !config.images.contains_key(name) {
            return Ok(());
        }
        seen.push(name.to_owned());
        for (parent, _) in lineage(config, name)? {
            visit(config, parent, wanted, seen, order)?;
        }
        if let Some((input, _)) = LockPaths::of(config, name)?.python {
            for other in named_images(&existing(&input).unwrap_or_default()) {
                visit(config, &other, wanted, seen, order)?;
            }
        }
        if wanted.iter().any(|w| w == name) {
            order.push(name.to_owned());
        }
        Ok(())
    }
    let (mut seen, mut result) = (Vec::new(), Vec::new());
    for name in images {
        visit(config, name, images, &mut seen, &mut result)?;
    }
    Ok(result)
}

/// The NAMEs of `-c ../NAME/…` and `-r ../NAME/…` in a `requirements.in`.
fn named_images(text: &str) -> Vec<String> {
    let option = |line: &str| {
        let line = line.trim();
        let rest = ["-c", "-r", "--constraint", "--requirement"].iter().find_map(|o| line.strip_prefix(o))?;
        let (name, _) = rest.trim_start_matches(['=', ' ']).strip_prefix("../")?.split_once('/')?;
        Some(name.to_owned())
    };
    text.lines().filter_map(option).collect()
}

/// The files that lie in an image's folder itself and in its `wheels/`: everything that locking reads.
fn copy_inputs(from: &Path, to: &Path) -> Result<()> {
    for folder in ["", WHEELS] {
        let (from, to) = (from.join(folder), to.join(folder));
        let Ok(entries) = std::fs::read_dir(&from) else { continue };
        std::fs::create_dir_all(&to).map_err(Error::io(&to))?;
        for entry in entries {
            let entry = entry.map_err(Error::io(&from))?;
            if entry.path().is_file() {
                // What fails is nearly always the writing: a full disk.
                let to = to.join(entry.file_name());
                std::fs::copy(entry.path(), &to).map_err(Error::io(&to))?;
            }
        }
    }
    Ok(())
}

/// Path in the workspace, bytes (`None`: it goes), and what changed if it is a lock and not a wheel that was built
/// for one.
type NewFile = (PathBuf, Option<Vec<u8>>, Option<Vec<Change>>);

struct Relock<'a> {
    config: &'a Config,
    name: &'a str,
    origins: &'a Origins,
    upgrade: &'a Upgrade,
    now: Timestamp,
}

impl Relock<'_> {
    async fn run(&self) -> Result<Vec<NewFile>> {
        let paths = LockPaths::of(self.config, self.name)?;
        let mut files = Vec::new();
        let mut fresh = None;
        if let Some((input, lock)) = &paths.debs {
            let (new, changes) = self.debs(input, lock).await?;
            files.push((lock.clone(), Some(new.to_text().into_bytes()), Some(changes)));
            fresh = Some(new);
        }
        if let Some((input, lock)) = &paths.python {
            let old =
                existing(lock).map(|text| RequirementsLock::parse(&text, &self.place(lock))).transpose()?;
            let target = python_target(self.config, self.name, fresh.as_ref())?;
            let request =
                wheels::Request { input, target: &target, old: old.as_ref(), upgrade: self.upgrade };
            let locked = wheels::lock(&self.origins.index(&paths.folder), &request).await?;
            let new = RequirementsLock::parse(&locked.text, &self.place(lock))?;
            let changes = summary(old.iter().flat_map(pins), pins(&new));
            for (path, bytes) in locked.wheels {
                files.push((paths.folder.join(path), Some(bytes), None));
            }
            for wheel in no_longer_named(old.as_ref(), &new) {
                files.push((paths.folder.join(WHEELS).join(wheel), None, Some(Vec::new())));
            }
            files.push((lock.clone(), Some(locked.text.into_bytes()), Some(changes)));
        }
        if let Some((_, lock)) = &paths.npm {
            let old = existing(lock).map(|text| NpmLock::parse(&text, &self.place(lock))).transpose()?;
            let text = self.origins.npm(&paths.folder).lock(self.upgrade).await?;
            let new = NpmLock::parse(&text, &self.place(lock))?;
            let changes = summary(old.iter().flat_map(packages), packages(&new));
            files.push((lock.clone(), Some(text.into_bytes()), Some(changes)));
        }
        Ok(files)
    }

    fn place(&self, path: &Path) -> String {
        path.strip_prefix(&self.config.root).unwrap_or(path).display().to_string()
    }

    async fn debs(&self, input: &Path, lock: &Path) -> Result<(DebsLock, Vec<Change>)> {
        let text = std::fs::read_to_string(input).map_err(Error::io(input))?;
        let codename = codename(self.config, self.name)?.ok_or_else(|| Error::Input {
            place: self.place(input),
            reason: "the image does not stand on Debian packages, so none can be added".to_owned(),
            hint: "remove debs.in, or say base = { debian = \"trixie\" }".to_owned(),
        })?;
        let old = existing(lock).map(|text| DebsLock::parse(&text, &self.place(lock))).transpose()?;
        let (archives, _) = self.origins.archives().await?;
        let keyring = self.origins.mirrors().debian_keyring.clone();
        let request = DebsRequest {
            input: DebsIn::parse(&text, &self.place(input))?,
            codename,
            platforms: self.config.repository.platforms.clone(),
            keyring: keyring.unwrap_or_else(|| PathBuf::from(debs::DEFAULT_KEYRING)),
            archives: archives.clone(),
            upgrade: *self.upgrade == Upgrade::All,
            upgrade_packages: match self.upgrade {
                Upgrade::Packages(names) => names.clone(),
                _ => Vec::new(),
            },
            now: self.now,
        };
        let new = debs::lock(&request, self.origins.fetcher(), old.as_ref()).await?;
        let changes = debs::summary(old.as_ref(), &new);
        Ok((new, changes))
    }
}

/// The wheels that were built for the old lock and that the new one does not name.
fn no_longer_named(old: Option<&RequirementsLock>, new: &RequirementsLock) -> Vec<String> {
    let built = |lock: &RequirementsLock| -> BTreeSet<String> {
        let wheels = lock.pins.iter().flat_map(|pin| &pin.wheels);
        wheels.filter(|wheel| wheel.built_from.is_some()).map(|wheel| wheel.filename.clone()).collect()
    };
    old.map(|old| built(old).difference(&built(new)).cloned().collect()).unwrap_or_default()
}

fn existing(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok()
}

fn pins(lock: &RequirementsLock) -> impl Iterator<Item = (&str, String)> {
    lock.pins.iter().map(|pin| (pin.name.as_str(), pin.version.to_string()))
}

fn packages(lock: &NpmLock) -> impl Iterator<Item = (&str, String)> {
    lock.packages.iter().map(|p| (p.name.as_str(), p.version.clone()))
}

/// Which locks of `images` are behind their inputs. Needs no network.
pub fn check(config: &Config, images: &[String]) -> Result<Vec<Behind>> {
    let mut behind = Vec::new();
    let _reading = journal::reading(&config.root)?;
    for name in images {
        let paths = LockPaths::of(config, name)?;
        let place = |path: &Path| path.strip_prefix(&config.root).unwrap_or(path).display().to_string();
        let mut note = |lock: &Path, reason: Option<String>| {
            behind.extend(reason.map(|reason| Behind { lock: place(lock), reason }));
        };
        let absent = || Some("there is no such lock yet".to_owned());
        let mut fresh = None;
        if let Some((input, lock)) = &paths.debs {
            let text = std::fs::read_to_string(input).map_err(Error::io(input))?;
            let input = DebsIn::parse(&text, &place(input))?;
            let reason = match existing(lock) {
                None => absent(),
                Some(text) => {
                    let parsed = DebsLock::parse(&text, &place(lock))?;
                    let codename = codename(config, name)?.unwrap_or_default();
                    let reason = debs::check(&input, &codename, &config.repository.platforms, &parsed);
                    fresh = Some(parsed);
                    reason
                }
            };
            note(lock, reason);
        }
        if let Some((input, lock)) = &paths.python {
            let reason = match existing(lock) {
                None => absent(),
                Some(text) => {
                    let parsed = RequirementsLock::parse(&text, &place(lock))?;
                    let target = python_target(config, name, fresh.as_ref())?;
                    Input::read(input)?.check(&parsed, &target)?
                }
            };
            note(lock, reason);
        }
        if let Some((input, lock)) = &paths.npm {
            let package = std::fs::read_to_string(input).map_err(Error::io(input))?;
            let reason = match existing(lock) {
                None => absent(),
                Some(text) => NpmLock::parse(&text, &place(lock))?.check(&package)?,
            };
            note(lock, reason);
        }
    }
    Ok(behind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_follow_those_whose_files_they_name() {
        let text = "-c ../hub/requirements.txt\n --constraint=../lab/requirements.txt\n-r ../base/requirements.in\n-r other.in\njupyterhub # -c ../no/x\n";
        assert_eq!(named_images(text), ["hub", "lab", "base"]);
    }
}
