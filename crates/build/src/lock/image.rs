//! All locks of an image: which inputs it has, what they are locked for, and whether they are behind.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::debs::{self, DebsIn, DebsLock, DebsRequest};
use super::wheels::{self, Input, Upgrade};
use super::{Change, NpmLock, RequirementsLock, summary, write_all};
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
    /// Whether the file's text changes at all.
    pub rewritten: bool,
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
/// none when one fails: the work is done in a copy of the inputs under `.perijove/`.
pub async fn lock(
    config: &Config,
    images: &[String],
    origins: &Origins,
    upgrade: &Upgrade,
    now: Timestamp,
) -> Result<Vec<LockChange>> {
    let state = config.root.join(".perijove");
    std::fs::create_dir_all(&state).map_err(Error::io(&state))?;
    let staging = tempfile::Builder::new().prefix("lock-").tempdir_in(&state).map_err(Error::io(&state))?;
    let copy = Config { root: staging.path().to_owned(), ..config.clone() };
    for name in config.images.keys() {
        copy_inputs(&config.folder(name), &copy.folder(name))?;
    }
    let (mut changes, mut files) = (Vec::new(), Vec::new());
    for name in &order(config, images)? {
        let one = Relock { config: &copy, name, origins, upgrade, now };
        for (path, bytes, packages) in one.run().await? {
            write_all(&[(path.clone(), bytes.clone())])?;
            let inside = path.strip_prefix(staging.path()).unwrap_or(&path).to_owned();
            let target = config.root.join(&inside);
            let rewritten = std::fs::read(&target).ok().as_deref() != Some(&bytes[..]);
            if let Some(packages) = packages {
                let lock = inside.display().to_string();
                changes.push(LockChange { image: name.clone(), lock, changes: packages, rewritten });
            }
            files.push((target, bytes));
        }
    }
    for (target, _) in &files {
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
    }
    write_all(&files)?;
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
    for folder in ["", super::index::locate::WHEELS] {
        let (from, to) = (from.join(folder), to.join(folder));
        let Ok(entries) = std::fs::read_dir(&from) else { continue };
        std::fs::create_dir_all(&to).map_err(Error::io(&to))?;
        for entry in entries {
            let entry = entry.map_err(Error::io(&from))?;
            if entry.path().is_file() {
                std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(Error::io(entry.path()))?;
            }
        }
    }
    Ok(())
}

/// Path, bytes, and what changed if it is a lock and not a wheel that was built for one.
type NewFile = (PathBuf, Vec<u8>, Option<Vec<Change>>);

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
            files.push((lock.clone(), new.to_text().into_bytes(), Some(changes)));
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
                files.push((paths.folder.join(path), bytes, None));
            }
            files.push((lock.clone(), locked.text.into_bytes(), Some(changes)));
        }
        if let Some((_, lock)) = &paths.npm {
            let old = existing(lock).map(|text| NpmLock::parse(&text, &self.place(lock))).transpose()?;
            let text = self.origins.npm(&paths.folder).lock(self.upgrade).await?;
            let new = NpmLock::parse(&text, &self.place(lock))?;
            let changes = summary(old.iter().flat_map(packages), packages(&new));
            files.push((lock.clone(), text.into_bytes(), Some(changes)));
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
