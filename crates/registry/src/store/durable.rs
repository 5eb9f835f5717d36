//! Durable names: files are synced once, before they get their name; the folders that hold the names are
//! synced once for all requests that wait.
//!
//! A blob's PUT notes its folders and goes on: without a manifest nobody relies on the blob. A manifest's or
//! tag's PUT syncs every folder noted so far, so its blobs' names are on the disk before it is answered.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use super::layout::make_folder;

/// Folders with entries that may not be on the disk yet.
#[derive(Default)]
pub(super) struct Durable {
    noted: Mutex<BTreeSet<PathBuf>>,
    syncing: Mutex<()>,
}

impl Durable {
    /// Notes that `folder` has a new, changed or removed entry.
    pub(super) fn note(&self, folder: &Path) {
        let mut noted = self.noted();
        if !noted.contains(folder) {
            noted.insert(folder.to_owned());
        }
    }

    /// Gives a synced file its name, in place of what has the name; the folder is made when it is missing.
    pub(super) fn publish(&self, file: NamedTempFile, target: &Path) -> io::Result<()> {
        self.with_folder(target, || std::fs::rename(file.path(), target))?;
        // The name it was made under is gone; nothing is left to remove.
        let _renamed = file.into_temp_path().keep();
        Ok(())
    }

    /// Runs `make`, which makes an entry at `target`, and again after its folder was made where it was missing.
    pub(super) fn with_folder<T>(&self, target: &Path, make: impl Fn() -> io::Result<T>) -> io::Result<T> {
        let Some(folder) = target.parent() else { return make() };
        let made = match make() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                for parent in make_folder(folder)? {
                    self.note(&parent);
                }
                make()
            }
            other => other,
        };
        if made.is_ok() {
            self.note(folder);
        }
        made
    }

    /// Returns when everything noted before the call is on the disk.
    pub(super) fn barrier(&self) -> io::Result<()> {
        // Who waits here for another's sync finds its own folders done, or does them for those who wait now.
        let _turn = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let folders = std::mem::take(&mut *self.noted());
        let mut result = Ok(());
        for folder in folders {
            if let Err(e) = sync_folder(&folder) {
                self.note(&folder);
                result = Err(e);
            }
        }
        result
    }

    fn noted(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    match File::open(folder) {
        Ok(file) => file.sync_all(),
        // Removed meanwhile: its parent was noted by whoever removed it.
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_file_has_only_its_new_name() {
        let root = tempfile::tempdir().unwrap();
        let durable = Durable::default();
        let file = NamedTempFile::new_in(root.path()).unwrap();
        std::fs::write(file.path(), "x").unwrap();
        let (old, new) = (file.path().to_owned(), root.path().join("a/b"));
        durable.publish(file, &new).unwrap();
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "x");
        assert!(!old.exists());
        assert_eq!(durable.noted().len(), 2, "the new folder and its parent");
        durable.barrier().unwrap();
        assert!(durable.noted().is_empty());
    }

    #[test]
    fn a_failed_publish_leaves_no_file() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("full/x")).unwrap();
        let file = NamedTempFile::new_in(root.path()).unwrap();
        let old = file.path().to_owned();
        assert!(Durable::default().publish(file, &root.path().join("full")).is_err());
        assert!(!old.exists());
    }
}
