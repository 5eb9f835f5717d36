//! Garbage collection, safe while pushes run.
//!
//! A run first reads what the manifests refer to, then removes, in this order: upload sessions that nobody
//! uses, links to blobs that no manifest of their repository refers to, content without a link. A link or
//! content goes only when its time is older than the grace period, and that is looked at again under the write
//! half of `sweep`: a push renews the time under the read half before it relies on the blob. A manifest that
//! arrives after its repository was read has renewed its blobs before.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use perijove_oci::{Algorithm, Digest};

use super::layout::{BLOBS, MANIFESTS, UPLOADS, list, remove};
use super::tags::digests_in;
use super::{Store, StoreError};
use crate::names::{RepositoryName, UploadId};
use crate::summary::Summary;

/// What a run removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Upload sessions.
    pub uploads: usize,
    /// Repositories' links to blobs.
    pub links: usize,
    /// Contents.
    pub blobs: usize,
    /// Bytes of the contents.
    pub bytes: u64,
}

impl Store {
    /// Removes upload sessions unused for `upload_grace`, and blobs that nothing refers to and no push saw for
    /// `blob_grace`.
    ///
    /// # Errors
    /// When a file cannot be read or removed; what was removed before was garbage.
    pub fn collect(&self, blob_grace: Duration, upload_grace: Duration) -> Result<Collected, StoreError> {
        let mut done = Collected::default();
        let mut linked = HashSet::new();
        for repository in self.repositories_on_disk()? {
            done.uploads += self.collect_uploads(&repository, upload_grace)?;
            let wanted = self.referred(&repository)?;
            for digest in digests_in(&self.layout.folder(&repository, BLOBS))? {
                let link = self.layout.blob(&repository, &digest);
                if !wanted.contains(&digest) && self.remove_old(&link, blob_grace)?.is_some() {
                    done.links += 1;
                } else {
                    linked.insert(digest);
                }
            }
        }
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let folder = self.layout.contents(algorithm);
            let names = list(&folder).map_err(StoreError::file("read", &folder))?.unwrap_or_default();
            for name in names {
                let Some(hex) = name.to_str() else { continue };
                let Ok(digest) = format!("{}:{hex}", algorithm.name()).parse::<Digest>() else { continue };
                if linked.contains(&digest) {
                    continue;
                }
                if let Some(bytes) = self.remove_old(&self.layout.content(&digest), blob_grace)? {
                    done.blobs += 1;
                    done.bytes += bytes;
                }
            }
        }
        self.settle(self.layout.repositories())?;
        Ok(done)
    }

    /// Removes a file that is older than `grace`; gives its size.
    fn remove_old(&self, path: &Path, grace: Duration) -> Result<Option<u64>, StoreError> {
        let _sweep = self.sweeping();
        let Ok(metadata) = fs::metadata(path) else { return Ok(None) };
        let age = metadata.modified().ok().and_then(|then| SystemTime::now().duration_since(then).ok());
        if age.is_none_or(|age| age < grace) {
            return Ok(None);
        }
        let removed = remove(path).map_err(StoreError::file("remove", path))?;
        self.noted_parent(path);
        Ok(removed.then_some(metadata.len()))
    }

    fn collect_uploads(&self, repository: &RepositoryName, grace: Duration) -> Result<usize, StoreError> {
        let folder = self.layout.folder(repository, UPLOADS);
        let mut removed = 0;
        for name in list(&folder).map_err(StoreError::file("read", &folder))?.unwrap_or_default() {
            let Some(id) = name.to_str().and_then(|name| name.parse::<UploadId>().ok()) else { continue };
            let key = (repository.clone(), id);
            if self.sessions.is_live(&key, grace) {
                continue;
            }
            let path = folder.join(&name);
            let age = fs::metadata(&path).and_then(|m| m.modified()).ok();
            let age = age.and_then(|then| SystemTime::now().duration_since(then).ok());
            if age.is_some_and(|age| age >= grace) {
                let gone =
                    self.sessions.remove_idle(&key, &path).map_err(StoreError::file("remove", &path))?;
                removed += usize::from(gone);
            }
        }
        Ok(removed)
    }

    /// Digests of the blobs that the repository's manifests refer to.
    fn referred(&self, repository: &RepositoryName) -> Result<HashSet<Digest>, StoreError> {
        let mut wanted = HashSet::new();
        for digest in digests_in(&self.layout.folder(repository, MANIFESTS))? {
            let Some(manifest) = self.read_manifest(repository, &digest)? else { continue };
            if let Ok(summary) = Summary::read(&manifest.bytes) {
                wanted.extend(summary.blob_digests());
            }
        }
        Ok(wanted)
    }

    /// All folders of repositories, also of those that only have an upload.
    fn repositories_on_disk(&self) -> Result<Vec<RepositoryName>, StoreError> {
        self.walk_repositories(|repository| {
            self.has_repository(repository) || self.layout.folder(repository, UPLOADS).is_dir()
        })
    }
}
