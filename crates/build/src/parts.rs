//! From locks to parts: what one image has on one platform, beyond what its parent has.

mod packages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use perijove_oci::Platform;

use packages::{ca_part, data_part, deb_part, npm_part, wheel_part};

use crate::config::{self, Config, Directory, Image};
use crate::entry::{EPOCH, Entry, Kind};
use crate::lock::index::Index;
use crate::lock::wheels::normalise;
use crate::locks::{self, Locks};
use crate::materialise::survey;
use crate::part::{Part, PartKind, Source, key};
use crate::unpack::{DebianImage, User, WheelOptions, debian_effects};
use crate::{Error, Result};

/// Folder that holds `node_modules` in the image, relative to the root: as `npm install --global` has it.
const NODE_PREFIX: &str = "usr/local/lib";

/// An image's settings with what it inherits from its parents: the child's word counts.
#[derive(Clone, Debug, Default)]
pub struct Inherited {
    /// `uid:gid`.
    pub user: Option<String>,
    /// Name in passwd.
    pub user_name: Option<String>,
    /// Home folder.
    pub home: Option<String>,
    /// Working folder.
    pub workdir: Option<String>,
    /// Environment.
    pub env: BTreeMap<String, String>,
    /// Fixed part of the command.
    pub entrypoint: Option<Vec<String>>,
    /// The command.
    pub command: Option<Vec<String>>,
    /// Ports.
    pub ports: BTreeSet<String>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Folders with an owner.
    pub directories: BTreeSet<Directory>,
}

impl Inherited {
    /// What `name` has in the end.
    pub fn of(config: &Config, name: &str) -> Result<Self> {
        let mut all = Inherited::default();
        for (_, image) in locks::lineage(config, name)? {
            let Image { user, user_name, home, workdir, entrypoint, command, .. } = image.clone();
            all.user = user.or(all.user);
            all.user_name = user_name.or(all.user_name);
            all.home = home.or(all.home);
            all.workdir = workdir.or(all.workdir);
            if image.entrypoint.is_some() {
                // A parent's command is the default argument of its own entrypoint, not of another.
                all.command = None;
            }
            all.entrypoint = entrypoint.or(all.entrypoint);
            all.command = command.or(all.command);
            all.env.extend(image.env.clone());
            all.labels.extend(image.labels.clone());
            all.ports.extend(image.ports.iter().cloned());
            all.directories.extend(image.directories.iter().cloned());
        }
        Ok(all)
    }

    /// The user in `/etc/passwd`, when the image has one that Debian does not know.
    pub fn passwd_user(&self) -> Option<User> {
        let (uid, gid) = config::parse_user(self.user.as_deref()?)?;
        let name = self.user_name.clone().unwrap_or_else(|| "jovyan".to_owned());
        let home = self.home.clone().unwrap_or_else(|| format!("/home/{name}"));
        (uid >= 1000 && uid != 65534).then_some(User { name, uid, gid, home, shell: None })
    }
}

/// The parts of an image on a platform: its parents' and its own.
pub struct Parts {
    /// One list for each image of the lineage, the image itself last.
    pub by_image: Vec<(String, Vec<Part>)>,
}

impl Parts {
    /// Reads the locks of `name` and its parents. `index` gives the index of an image's folder; it is asked only
    /// for locks that name no files.
    pub async fn read(
        config: &Config,
        name: &str,
        platform: &Platform,
        index: impl Fn(&str) -> Arc<Index>,
    ) -> Result<Self> {
        let mut by_image: Vec<(String, Vec<Part>)> = Vec::new();
        let mut packages: Vec<String> = Vec::new();
        for (image, settings) in locks::lineage(config, name)? {
            if settings.dockerfile.is_some() {
                return Err(Error::Refused {
                    reason: format!("{name} stands on {image}, which is made from a Dockerfile"),
                    hint: "use the built image by digest: base = { image = \"…@sha256:…\" }".to_owned(),
                });
            }
            let own = Own { config, image, settings, platform, locks: Locks::read(config, image)? };
            let mut parts = own.parts(&mut packages, &index(image)).await?;
            leave_out_inherited(image, &by_image, &mut parts)?;
            by_image.push((image.to_owned(), parts));
        }
        Ok(Parts { by_image })
    }

    /// All parts, the parents' first.
    pub fn all(&self) -> impl Iterator<Item = &Part> {
        self.by_image.iter().flat_map(|(_, parts)| parts)
    }
}

/// Takes what the parents have out of `parts`. A package in another version is refused: both would lie in the
/// image, one over the other.
fn leave_out_inherited(image: &str, parents: &[(String, Vec<Part>)], parts: &mut Vec<Part>) -> Result<()> {
    let mut known: BTreeMap<(PartKind, String), (&str, &Part)> = BTreeMap::new();
    for (parent, their) in parents {
        known.extend(their.iter().map(|p| ((p.kind, identity(p)), (parent.as_str(), p))));
    }
    let mut clash = None;
    parts.retain(|part| match known.get(&(part.kind, identity(part))) {
        Some((_, theirs)) if theirs.key == part.key => false,
        Some((parent, theirs)) if matches!(part.kind, PartKind::Deb | PartKind::Wheel | PartKind::Npm) => {
            clash.get_or_insert_with(|| Error::Refused {
                reason: format!(
                    "{image} has {} {}, its parent {parent} has {}",
                    part.name, part.version, theirs.version
                ),
                hint: format!("lock both alike: put `-c ../{parent}/requirements.txt` into requirements.in, and run `perijove lock --upgrade-package {}`", part.name),
            });
            true
        }
        _ => true,
    });
    clash.map_or(Ok(()), Err)
}

/// What there may be only one of in an image.
fn identity(part: &Part) -> String {
    match &part.source {
        Source::Npm { package, .. } => package.path.clone(),
        _ => part.name.clone(),
    }
}

struct Own<'a> {
    config: &'a Config,
    image: &'a str,
    settings: &'a Image,
    platform: &'a Platform,
    locks: Locks,
}

impl Own<'_> {
    async fn parts(&self, packages: &mut Vec<String>, index: &Index) -> Result<Vec<Part>> {
        let mut parts = Vec::new();
        if let Some(lock) = &self.locks.debs {
            if !lock.platforms.contains(self.platform) {
                return Err(behind(&format!("images/{}/debs.lock", self.image), self.platform));
            }
            for deb in lock.for_platform(self.platform) {
                packages.push(deb.name.clone());
                parts.push(deb_part(deb));
                if deb.name == "ca-certificates" {
                    parts.push(ca_part(deb));
                }
            }
        }
        let all = Inherited::of(self.config, self.image)?;
        let declared = self.declared(&all)?;
        let effects = self.effects(packages, &all, &declared)?;
        parts.push(data_part("effects", PartKind::Effects, effects));
        if let Some(lock) = &self.locks.npm {
            for package in lock.for_platform(self.platform)? {
                let linked = package.path == format!("node_modules/{}", package.name)
                    && self.locks.npm_asked.contains(&package.name);
                parts.push(npm_part(package, &self.config.folder(self.image), linked));
            }
        }
        if let Some(lock) = &self.locks.python {
            let target = locks::python_target(self.config, self.image, None)?;
            let debian = locks::codename(self.config, self.image)?.is_some();
            let options = wheel_options(target.python, debian);
            for wheel in index.choose(lock, &target, self.platform).await? {
                if self.config.repository.python_exclude.iter().any(|name| normalise(name) == wheel.name) {
                    continue;
                }
                let changes = lock.changes(&wheel.name);
                parts.push(wheel_part(wheel, changes, &self.config.folder(self.image), &options));
            }
        }
        if let Some(folder) = &self.settings.files {
            let folder = folder.replace("{arch}", &self.platform.architecture);
            let folder = self.config.folder(self.image).join(folder);
            if !folder.is_dir() {
                return Err(Error::Input {
                    place: format!("{}: image.{}", config::FILE, self.image),
                    reason: format!(
                        "`files` names {}, which is no folder",
                        folder.strip_prefix(&self.config.root).unwrap_or(&folder).display()
                    ),
                    hint: "make the folder, or take `files` out".to_owned(),
                });
            }
            let (digest, paths) = survey(&folder, &declared)?;
            parts.push(Part {
                purl: format!("pkg:generic/{}-files@{}", self.image, digest.short()),
                name: format!("{} files", self.image),
                version: String::new(),
                kind: PartKind::Files,
                key: key(PartKind::Files, &BTreeMap::from([("digest", digest.to_string())])),
                size_bytes: 0,
                changes: 0,
                without: Vec::new(),
                source: Source::Files { folder, paths, declared },
            });
        }
        for part in &mut parts {
            let patterns = self.leave_out(&part.name);
            if !patterns.is_empty() {
                let whole = part.key.to_string();
                part.key =
                    key(part.kind, &BTreeMap::from([("whole", whole), ("without", patterns.join("\n"))]));
                part.without = patterns;
            }
        }
        Ok(parts)
    }

    /// What maintainer scripts would have done, the image's user, and the folders that are the user's.
    fn effects(
        &self,
        packages: &[String],
        all: &Inherited,
        declared: &[Entry],
    ) -> Result<Vec<(Entry, Vec<u8>)>> {
        let user = all.passwd_user();
        let mut entries: BTreeMap<String, (Entry, Vec<u8>)> = BTreeMap::new();
        if locks::codename(self.config, self.image)?.is_some() {
            let names: Vec<&str> = packages.iter().map(String::as_str).collect();
            let users: Vec<User> = user.clone().into_iter().collect();
            let image = DebianImage {
                architecture: &self.platform.architecture,
                packages: &names,
                users: &users,
                ca_bundle: None,
            };
            for effect in debian_effects(&image)? {
                entries.insert(effect.entry.path.clone(), (effect.entry, effect.content));
            }
        }
        for entry in declared {
            let path = entry.path.clone();
            for (at, _) in path.match_indices('/') {
                entries
                    .entry(path[..at].to_owned())
                    .or_insert_with(|| (directory(&path[..at], 0, 0, 0o755), Vec::new()));
            }
            entries.insert(path, (entry.clone(), Vec::new()));
        }
        Ok(entries.into_values().collect())
    }

    /// The folders whose owner and mode the image says.
    fn declared(&self, all: &Inherited) -> Result<Vec<Entry>> {
        let workdir = all.workdir.iter().filter(|path| path.as_str() != "/");
        let workdir = workdir.map(|path| Directory { path: path.clone(), owner: None, mode: None });
        let wanted = workdir.chain(all.directories.iter().cloned());
        wanted.map(|wanted| self.directory(&wanted, all.user.as_deref())).collect()
    }

    fn directory(&self, wanted: &Directory, user: Option<&str>) -> Result<Entry> {
        let wrong = |what: &str, hint: &str| Error::Input {
            place: format!("{}: image.{}", config::FILE, self.image),
            reason: format!("folder `{}`: {what}", wanted.path),
            hint: hint.to_owned(),
        };
        let path = wanted.path.trim_matches('/');
        if !wanted.path.starts_with('/') || path.split('/').any(|c| matches!(c, "" | "." | "..")) {
            return Err(wrong("not an absolute path below the root", "say path = \"/srv/data\""));
        }
        let owner = wanted.owner.as_deref().or(user).unwrap_or("0:0");
        let (uid, gid) = config::parse_user(owner)
            .ok_or_else(|| wrong("the owner is not uid:gid", "say owner = \"1000:1000\""))?;
        let mode = wanted.mode.as_deref().unwrap_or("0755");
        let mode = u32::from_str_radix(mode, 8)
            .ok()
            .filter(|mode| *mode <= 0o7777)
            .ok_or_else(|| wrong("the mode is not octal", "say mode = \"0755\""))?;
        Ok(directory(path, uid, gid, mode))
    }

    /// Patterns of what the image does without from a package.
    fn leave_out(&self, package: &str) -> Vec<String> {
        let mut patterns = self.config.repository.leave_out.get(package).cloned().unwrap_or_default();
        patterns.sort();
        patterns
    }
}

fn directory(path: &str, uid: u32, gid: u32, mode: u32) -> Entry {
    Entry { path: path.to_owned(), kind: Kind::Directory, mode, uid, gid, mtime: EPOCH }
}

fn wheel_options(python: (u8, u8), debian: bool) -> WheelOptions {
    let mut options = WheelOptions::debian(&format!("{}.{}", python.0, python.1));
    if !debian {
        // The layout of python.org's own installation, which Docker's `python` images have.
        options.purelib = format!("usr/local/lib/python{}.{}/site-packages", python.0, python.1);
        options.python = "/usr/local/bin/python3".to_owned();
    }
    options
}

fn behind(place: &str, platform: &Platform) -> Error {
    Error::Input {
        place: place.to_owned(),
        reason: format!("the lock is for other platforms than {platform}"),
        hint: "run `perijove lock`".to_owned(),
    }
}
