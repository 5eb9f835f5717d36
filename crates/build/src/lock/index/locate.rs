//! From a lock's pin to a wheel on disk: which file has a locked hash, and where it lies.

use std::path::{Path, PathBuf};

use perijove_oci::{Digest, Platform};
use serde::{Deserialize, Serialize};

use super::{Index, IndexFile};
use crate::lock::requirements::RequirementsLock;
use crate::lock::wheels::select::{Selected, Unnamed, WheelChoice, not_for_platform};
use crate::lock::wheels::{PythonTarget, Tags, WheelName};
use crate::{Error, Result};

/// The folder beside a lock that holds the wheels built at lock time.
pub const WHEELS: &str = "wheels";

impl Index {
    /// The wheel of every pin that holds on `platform`. Pins whose files the lock names need no index; the others
    /// are looked up by their hashes, and the answer is kept in the cache, for it can never change.
    pub async fn choose(
        &self,
        lock: &RequirementsLock,
        target: &PythonTarget,
        platform: &Platform,
    ) -> Result<Vec<WheelChoice>> {
        let tags = Tags::new(target, platform)?;
        let mut chosen = Vec::new();
        for selected in lock.select(target, platform)? {
            chosen.push(match selected {
                Selected::Wheel(choice) => choice,
                Selected::Unnamed(pin) => self.named(pin, &tags, target, platform).await?,
            });
        }
        Ok(chosen)
    }

    async fn named(
        &self,
        pin: Unnamed,
        tags: &Tags,
        target: &PythonTarget,
        platform: &Platform,
    ) -> Result<WheelChoice> {
        let key = format!("{} {} {target} {platform} {:?}", pin.name, pin.version, pin.hashes);
        let memo = self.fetcher.cache().join("wheel-names").join(Digest::sha256(key.as_bytes()).hex());
        if let Some(known) = std::fs::read(&memo).ok().and_then(|b| serde_json::from_slice::<Memo>(&b).ok())
            && pin.hashes.contains(&known.digest)
            && known.filename.parse::<WheelName>().is_ok()
        {
            return Ok(pin.chosen(known.filename, known.digest, known.size));
        }
        let files = self.files(&pin.name).await?;
        let mut wheels = Vec::new();
        for file in files.iter() {
            let Ok(name) = file.filename.parse::<WheelName>() else { continue };
            if name.version == pin.version && tags.rank(&name).is_some() {
                let digest = self.digest_of(file).await?;
                if pin.hashes.contains(&digest) {
                    wheels.push((name, digest, file));
                }
            }
        }
        let best = tags.best(wheels.iter().map(|(name, _, _)| name)).into_iter().next();
        let Some((_, digest, file)) = best.map(|at| &wheels[at]) else {
            return Err(not_for_platform(&pin.place, &pin.name, &pin.version, target, platform, &[]));
        };
        // The size decides where a wheel lies in the image: it must not depend on how much an index tells.
        let size = match file.size {
            None => self.fetcher.length(&file.url).await,
            known => known,
        };
        let memory = Memo { filename: file.filename.clone(), digest: digest.clone(), size };
        if let Some(folder) = memo.parent() {
            // Only a cache: without it the index is asked again.
            let _ = std::fs::create_dir_all(folder)
                .and_then(|()| tempfile::NamedTempFile::new_in(folder))
                .and_then(|f| serde_json::to_writer(f.as_file(), &memory).map(|()| f).map_err(Into::into))
                .map(|f| f.persist(&memo));
        }
        Ok(pin.chosen(memory.filename, memory.digest, memory.size))
    }

    /// The sha256 of a file that an index lists: what the index says, else computed from the bytes.
    pub async fn digest_of(&self, file: &IndexFile) -> Result<Digest> {
        if let Some(digest) = &file.sha256 {
            return Ok(digest.clone());
        }
        if let Ok(path) = file.url.to_file_path() {
            return Ok(Digest::sha256(&std::fs::read(&path).map_err(Error::io(&path))?));
        }
        const MAX_UNHASHED: u64 = 512 << 20;
        Ok(Digest::sha256(&self.fetcher.document(&file.url, "*/*", MAX_UNHASHED).await?.0))
    }

    /// The chosen wheel as a file whose digest was checked: from the image's own `wheels/` folder when it was
    /// built at lock time, else from the download cache or the index.
    pub async fn wheel(&self, choice: &WheelChoice, image: &Path) -> Result<PathBuf> {
        if choice.built_from.is_some() {
            let path = image.join(WHEELS).join(&choice.filename);
            return checked(&path, &choice.digest);
        }
        if let Some(kept) = self.fetcher.kept(&choice.digest).await? {
            return Ok(kept);
        }
        let file = self.find(choice).await?;
        match file.url.to_file_path() {
            Ok(path) => checked(&path, &choice.digest),
            Err(()) => self.fetcher.fetch(&file.url, &choice.filename, &choice.digest, choice.size).await,
        }
    }

    /// The index's entry of a chosen wheel.
    async fn find(&self, choice: &WheelChoice) -> Result<IndexFile> {
        let files = self.files(&choice.name).await?;
        let by_hash = files.iter().find(|f| f.sha256.as_ref() == Some(&choice.digest));
        let by_name = || files.iter().find(|f| f.sha256.is_none() && f.filename == choice.filename);
        by_hash.or_else(by_name).cloned().ok_or_else(|| Error::Refused {
            reason: match files.iter().find(|f| f.filename == choice.filename) {
                Some(_) => format!("{}: the index in force has other bytes under this name", choice.filename),
                None => format!("{}: the index in force does not have it", choice.filename),
            },
            hint: "is this the index that was in force when it was locked? If so, lock it again: \
                   `perijove lock --upgrade-package NAME`"
                .to_owned(),
        })
    }
}

/// What a set of hashes turned out to be.
#[derive(Serialize, Deserialize)]
struct Memo {
    filename: String,
    digest: Digest,
    size: Option<u64>,
}

fn checked(path: &Path, expected: &Digest) -> Result<PathBuf> {
    let bytes = std::fs::read(path).map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => Error::Refused {
            reason: format!("{}: the lock names this wheel, and it is not there", path.display()),
            hint: "commit the `wheels` folder beside the lock, or run `perijove lock` to build it again"
                .to_owned(),
        },
        _ => Error::io(path)(e),
    })?;
    let found = Digest::sha256(&bytes);
    if found != *expected {
        let what = path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        return Err(Error::Hash { what, expected: expected.clone(), found });
    }
    Ok(path.to_owned())
}
