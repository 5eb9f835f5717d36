//! Tags and the list of repositories.

use std::path::Path;

use perijove_oci::Digest;

use super::layout::{self, BLOBS, MANIFESTS, TAGS, absent, list, remove};
use super::{Store, StoreError};
use crate::names::{RepositoryName, Tag};

impl Store {
    /// All tags of `repository`, sorted by byte; nothing when there is no such repository.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn tags(&self, repository: &RepositoryName) -> Result<Option<Vec<String>>, StoreError> {
        let folder = self.layout.folder(repository, TAGS);
        let names = list(&folder).map_err(StoreError::file("read", &folder))?;
        let Some(names) = names else {
            return Ok(self.has_repository(repository).then(Vec::new));
        };
        let mut tags: Vec<String> = names.into_iter().filter_map(|name| name.into_string().ok()).collect();
        tags.retain(|tag| tag.parse::<Tag>().is_ok());
        tags.sort_unstable();
        Ok(Some(tags))
    }

    /// The same, with nothing for no repository, as one digest: of all names in this order, each with a line feed.
    pub fn tags_digest(tags: &[String]) -> Digest {
        let lines: Vec<&str> = tags.iter().flat_map(|tag| [tag.as_str(), "\n"]).collect();
        Digest::sha256(lines.concat().as_bytes())
    }

    /// Whether the repository was ever pushed to.
    pub fn has_repository(&self, repository: &RepositoryName) -> bool {
        [MANIFESTS, BLOBS].iter().any(|kind| self.layout.folder(repository, kind).is_dir())
    }

    /// All repositories that were pushed to, sorted by byte.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn repositories(&self) -> Result<Vec<RepositoryName>, StoreError> {
        self.walk_repositories(|repository| self.has_repository(repository))
    }

    /// All names below `repositories/` that `wanted` says yes to, sorted by byte.
    pub(super) fn walk_repositories(
        &self,
        wanted: impl Fn(&RepositoryName) -> bool,
    ) -> Result<Vec<RepositoryName>, StoreError> {
        let mut found = Vec::new();
        let mut open = vec![String::new()];
        while let Some(prefix) = open.pop() {
            let folder = self.layout.repositories().join(&prefix);
            let names = list(&folder).map_err(StoreError::file("read", &folder))?.unwrap_or_default();
            for name in names.iter().filter_map(|name| name.to_str()) {
                let path = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
                if path.parse::<RepositoryName>().is_ok() {
                    open.push(path);
                }
            }
            found.extend(prefix.parse().ok().filter(&wanted));
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Removes a tag; false when there is none. The manifest stays.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn delete_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<bool, StoreError> {
        let path = self.layout.tag(repository, tag);
        let removed = {
            let _naming = self.naming();
            let removed = remove(&path).map_err(StoreError::file("remove", &path))?;
            self.cache.forget_tag(repository, tag);
            removed
        };
        if removed {
            self.noted_parent(&path);
            self.settle(&path)?;
        }
        Ok(removed)
    }

    /// The digest that a tag names.
    pub(super) fn read_tag(
        &self,
        repository: &RepositoryName,
        tag: &Tag,
    ) -> Result<Option<Digest>, StoreError> {
        read_digest(&self.layout.tag(repository, tag))
    }
}

/// The digest in a tag's file. A file without one (a disk's damage) is no tag.
pub(super) fn read_digest(path: &Path) -> Result<Option<Digest>, StoreError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text.trim_end().parse().ok()),
        Err(e) if absent(&e) || e.kind() == std::io::ErrorKind::InvalidData => Ok(None),
        Err(e) => Err(StoreError::file("read", path)(e)),
    }
}

/// The files of a folder that are named after digests.
pub(super) fn digests_in(folder: &Path) -> Result<Vec<Digest>, StoreError> {
    let names = list(folder).map_err(StoreError::file("read", folder))?.unwrap_or_default();
    Ok(names.iter().filter_map(|name| layout::from_file_name(name)).collect())
}
