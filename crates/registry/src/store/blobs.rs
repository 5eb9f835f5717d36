//! Blobs: content that repositories have links to.

use std::fs::{self, File};
use std::path::Path;

use perijove_oci::Digest;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};

use super::layout::{absent, open, remove};
use super::{Store, StoreError};
use crate::names::RepositoryName;

/// An open blob.
#[derive(Debug)]
pub struct Blob {
    /// The content; never changes.
    pub file: File,
    /// Its length in bytes.
    pub size: u64,
}

impl Store {
    /// The size in bytes of a blob that `repository` has. The answer is a promise: the blob stays for the
    /// grace period from now, so that a push that skips its upload finds it.
    ///
    /// # Errors
    /// When the system refuses to look.
    pub fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let link = self.layout.blob(repository, digest);
        let _promise = self.promising();
        if !renew(&link)? {
            return Ok(None);
        }
        match fs::metadata(self.layout.content(digest)) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(e) if absent(&e) => Ok(None),
            Err(e) => Err(StoreError::file("look at", &link)(e)),
        }
    }

    /// Opens a blob that `repository` has.
    ///
    /// # Errors
    /// When the system refuses to open it.
    pub fn open_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Blob>, StoreError> {
        let link = self.layout.blob(repository, digest);
        match rustix::fs::access(&link, rustix::fs::Access::EXISTS) {
            Ok(()) => {}
            Err(errno) if absent(&errno.into()) => return Ok(None),
            Err(errno) => return Err(StoreError::file("look at", &link)(errno.into())),
        }
        let path = self.layout.content(digest);
        let Some(file) = open(&path).map_err(StoreError::file("open", &path))? else { return Ok(None) };
        let size = file.metadata().map_err(StoreError::file("look at", &path))?.len();
        Ok(Some(Blob { file, size }))
    }

    /// Gives `repository` the blob that `from` has; false when `from` does not have it.
    ///
    /// # Errors
    /// When the link cannot be written.
    pub fn mount_blob(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: &RepositoryName,
    ) -> Result<bool, StoreError> {
        let _promise = self.promising();
        let there = renew(&self.layout.blob(from, digest))? && self.layout.content(digest).exists();
        if there {
            self.link(repository, digest)?;
        }
        Ok(there)
    }

    /// Repositories that may have the blob: none when there is no such content.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn holders(&self, digest: &Digest) -> Result<Vec<RepositoryName>, StoreError> {
        if !self.layout.content(digest).exists() {
            return Ok(Vec::new());
        }
        self.walk_repositories(|repository| self.layout.blob(repository, digest).exists())
    }

    /// Takes the blob away from `repository`; its content stays until nobody has it (garbage collection).
    /// False when the repository does not have it.
    ///
    /// # Errors
    /// When the link cannot be removed.
    pub fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, StoreError> {
        let link = self.layout.blob(repository, digest);
        let removed = remove(&link).map_err(StoreError::file("remove", &link))?;
        if removed {
            self.noted_parent(&link);
            self.settle(&link)?;
        }
        Ok(removed)
    }

    /// Makes or renews the link of `repository` to the blob, and renews the content.
    /// The caller holds the promise.
    pub(super) fn link(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), StoreError> {
        renew(&self.layout.content(digest))?;
        let link = self.layout.blob(repository, digest);
        if renew(&link)? {
            return Ok(());
        }
        let make = || File::options().create(true).truncate(false).write(true).open(&link);
        self.durable.with_folder(&link, make).map_err(StoreError::file("create", &link))?;
        Ok(())
    }

    /// Notes the folder of `path` for the next barrier.
    pub(super) fn noted_parent(&self, path: &Path) {
        if let Some(parent) = path.parent() {
            self.durable.note(parent);
        }
    }

    /// Waits until everything done so far is on the disk.
    pub(super) fn settle(&self, path: &Path) -> Result<(), StoreError> {
        self.durable.barrier().map_err(StoreError::file("sync", path))
    }
}

/// Sets the file's time to now; false when it does not exist.
pub(super) fn renew(path: &Path) -> Result<bool, StoreError> {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    match utimensat(CWD, path, &times, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(errno) if absent(&errno.into()) => Ok(false),
        Err(errno) => Err(StoreError::file("renew", path)(errno.into())),
    }
}
