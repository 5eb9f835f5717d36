//! Where everything lies. Paths are made of checked names and digests only.

use std::fs::{DirBuilder, File};
use std::io::{self, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use perijove_oci::{Algorithm, Digest};
use tempfile::NamedTempFile;

use crate::names::{RepositoryName, Tag, UploadId};

pub(super) const BLOBS: &str = "_blobs";
pub(super) const MANIFESTS: &str = "_manifests";
pub(super) const TAGS: &str = "_tags";
pub(super) const REFERRERS: &str = "_referrers";
pub(super) const UPLOADS: &str = "_uploads";

/// The paths of a store.
pub(super) struct Layout {
    root: PathBuf,
    temporary: PathBuf,
    repositories: PathBuf,
}

impl Layout {
    pub(super) fn new(root: PathBuf) -> Self {
        Layout { temporary: root.join("tmp"), repositories: root.join("repositories"), root }
    }

    pub(super) fn format(&self) -> PathBuf {
        self.root.join("format")
    }

    pub(super) fn temporary(&self) -> &Path {
        &self.temporary
    }

    pub(super) fn repositories(&self) -> &Path {
        &self.repositories
    }

    /// The folders that always exist.
    pub(super) fn fixed_folders(&self) -> [PathBuf; 4] {
        [
            self.temporary.clone(),
            self.repositories.clone(),
            self.contents(Algorithm::Sha256),
            self.contents(Algorithm::Sha512),
        ]
    }

    /// The folder of all content of one algorithm.
    pub(super) fn contents(&self, algorithm: Algorithm) -> PathBuf {
        self.root.join("blobs").join(algorithm.name())
    }

    pub(super) fn content(&self, digest: &Digest) -> PathBuf {
        let mut path = self.contents(digest.algorithm());
        path.push(digest.hex());
        path
    }

    pub(super) fn folder(&self, repository: &RepositoryName, kind: &str) -> PathBuf {
        let mut path = self.repositories.join(repository.as_str());
        path.push(kind);
        path
    }

    pub(super) fn blob(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        let mut path = self.folder(repository, BLOBS);
        path.push(file_name(digest));
        path
    }

    pub(super) fn manifest(&self, repository: &RepositoryName, digest: &Digest) -> PathBuf {
        let mut path = self.folder(repository, MANIFESTS);
        path.push(file_name(digest));
        path
    }

    pub(super) fn tag(&self, repository: &RepositoryName, tag: &Tag) -> PathBuf {
        let mut path = self.folder(repository, TAGS);
        path.push(tag.as_str());
        path
    }

    pub(super) fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> PathBuf {
        let mut path = self.folder(repository, REFERRERS);
        path.push(file_name(subject));
        path
    }

    pub(super) fn upload(&self, repository: &RepositoryName, id: &UploadId) -> PathBuf {
        let mut path = self.folder(repository, UPLOADS);
        path.push(id.as_str());
        path
    }

    /// A new file in tmp/ with these bytes, not yet synced; gone when it is dropped.
    pub(super) fn write_temporary(&self, bytes: &[u8]) -> io::Result<NamedTempFile> {
        let mut file = NamedTempFile::new_in(&self.temporary)?;
        file.write_all(bytes)?;
        Ok(file)
    }
}

/// `sha256-HEX`: a digest as a file name.
pub(super) fn file_name(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm().name(), digest.hex())
}

/// The digest of a file name; nothing for a stranger's file.
pub(super) fn from_file_name(name: &std::ffi::OsStr) -> Option<Digest> {
    let (algorithm, hex) = name.to_str()?.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}

/// Makes `folder` and what is missing above it; gives the parents that got a new entry.
pub(super) fn make_folder(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut missing = Vec::new();
    let mut at = folder;
    let mut changed = Vec::new();
    loop {
        match DirBuilder::new().mode(0o755).create(at) {
            Ok(()) => changed.extend(at.parent().map(Path::to_owned)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                missing.push(at);
                match at.parent() {
                    Some(parent) => {
                        at = parent;
                        continue;
                    }
                    None => return Err(e),
                }
            }
            Err(e) => return Err(e),
        }
        match missing.pop() {
            Some(next) => at = next,
            None => return Ok(changed),
        }
    }
}

/// Opens a file; nothing when it does not exist.
pub(super) fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if absent(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether the error says that there is no such file: no entry, or a folder on the way is a file.
pub(super) fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Removes a file; false when it did not exist.
pub(super) fn remove(path: &Path) -> io::Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if absent(&e) => Ok(false),
        Err(e) => Err(e),
    }
}

/// The names in a folder; nothing when it does not exist.
pub(super) fn list(folder: &Path) -> io::Result<Option<Vec<std::ffi::OsString>>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| entry.map(|e| e.file_name())).collect::<io::Result<_>>().map(Some),
        Err(e) if absent(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_as_file_names() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::of(algorithm, b"x");
            assert_eq!(from_file_name(file_name(&digest).as_ref()), Some(digest));
        }
        for stranger in ["", "sha256", "sha256-", "sha256-xyz", ".DS_Store"] {
            assert_eq!(from_file_name(stranger.as_ref()), None, "{stranger}");
        }
    }

    #[test]
    fn folders_are_made_from_the_top() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a/b/c");
        let changed = make_folder(&folder).unwrap();
        assert_eq!(changed, [root.path().to_owned(), root.path().join("a"), root.path().join("a/b")]);
        assert!(folder.is_dir());
        assert!(make_folder(&folder).unwrap().is_empty());
    }
}
