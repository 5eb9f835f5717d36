//! Durable names: files are synced once, before they get their name; the folders that hold the names are
//! synced once for all requests that wait.
//!
//! A blob's PUT notes its folders and goes on: without a manifest nobody relies on the blob. A manifest's or
//! tag's PUT syncs every folder noted so far, so its blobs' names are on the disk before it is answered.
//!
//! What a killed process had noted is lost with it, and its names look as good as synced ones. So a folder whose old
//! names are relied on counts as noted until this process has synced it once, with all folders above it.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::NamedTempFile;

use super::layout::make_folder;

/// Folders that are remembered to be synced; beyond that all are forgotten, and synced once more.
const REMEMBERED: usize = 10_000;

/// Folders with entries that may not be on the disk yet.
pub(super) struct Durable {
    root: PathBuf,
    folders: Mutex<Folders>,
    syncing: Mutex<()>,
}

#[derive(Default)]
struct Folders {
    noted: BTreeSet<PathBuf>,
    /// Those that this process has synced: whatever lies there from before is on the disk.
    synced: HashSet<PathBuf>,
}

impl Durable {
    /// For the store in `root`.
    pub(super) fn new(root: &Path) -> Self {
        Durable { root: root.to_owned(), folders: Mutex::default(), syncing: Mutex::default() }
    }

    /// Notes that `folder` has a new, changed or removed entry.
    pub(super) fn note(&self, folder: &Path) {
        let mut folders = self.folders();
        if !folders.noted.contains(folder) {
            folders.noted.insert(folder.to_owned());
        }
        if let Some(above) = folder.parent() {
            folders.rely(above, &self.root);
        }
    }

    /// Notes that an answer relies on the entries that `folder` has, whoever made them and whenever.
    pub(super) fn rely(&self, folder: &Path) {
        self.folders().rely(folder, &self.root);
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
        let noted = std::mem::take(&mut self.folders().noted);
        let mut result = Ok(());
        for folder in noted {
            let synced = self.sync(&folder);
            let mut folders = self.folders();
            match synced {
                Ok(()) => folders.remember(folder),
                Err(e) => {
                    folders.noted.insert(folder);
                    result = Err(e);
                }
            }
        }
        result
    }

    fn sync(&self, folder: &Path) -> io::Result<()> {
        match File::open(folder) {
            Ok(file) => file.sync_all(),
            // Removed meanwhile: its parent was noted by whoever removed it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            // A folder above the store may take new entries and show none.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied && !folder.starts_with(&self.root) => {
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn folders(&self) -> MutexGuard<'_, Folders> {
        self.folders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Folders {
    /// Notes `folder` and those above it, up to `root`, that were not synced since the start.
    fn rely(&mut self, folder: &Path, root: &Path) {
        for above in folder.ancestors().take_while(|above| above.starts_with(root)) {
            // All above one that is synced are synced, too: they stand before it in the order of a barrier.
            if self.synced.contains(above) {
                break;
            }
            self.noted.insert(above.to_owned());
        }
    }

    fn remember(&mut self, folder: PathBuf) {
        if self.synced.len() >= REMEMBERED {
            self.synced.clear();
        }
        self.synced.insert(folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(durable: &Durable) -> Vec<PathBuf> {
        durable.folders().noted.iter().cloned().collect()
    }

    #[test]
    fn a_published_file_has_only_its_new_name() {
        let root = tempfile::tempdir().unwrap();
        let durable = Durable::new(root.path());
        let file = NamedTempFile::new_in(root.path()).unwrap();
        std::fs::write(file.path(), "x").unwrap();
        let (old, new) = (file.path().to_owned(), root.path().join("a/b"));
        durable.publish(file, &new).unwrap();
        assert_eq!(std::fs::read_to_string(&new).unwrap(), "x");
        assert!(!old.exists());
        assert_eq!(
            noted(&durable),
            [root.path().to_owned(), root.path().join("a")],
            "the folder and its parent"
        );
        durable.barrier().unwrap();
        assert!(noted(&durable).is_empty());
    }

    #[test]
    fn a_failed_publish_leaves_no_file() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("full/x")).unwrap();
        let file = NamedTempFile::new_in(root.path()).unwrap();
        let old = file.path().to_owned();
        assert!(Durable::new(root.path()).publish(file, &root.path().join("full")).is_err());
        assert!(!old.exists());
    }

    /// Names that an earlier process made are synced once, before they are first relied on.
    #[test]
    fn old_names_are_synced_once() {
        let root = tempfile::tempdir().unwrap();
        let (above, folder) = (root.path().join("a"), root.path().join("a/b"));
        std::fs::create_dir_all(&folder).unwrap();
        let durable = Durable::new(root.path());
        durable.rely(&folder);
        assert_eq!(noted(&durable), [root.path(), &above, &folder]);
        durable.barrier().unwrap();
        durable.rely(&folder);
        assert!(noted(&durable).is_empty());
        durable.note(&folder);
        assert_eq!(noted(&durable), [&*folder]);
        // A new name stands below old ones.
        let durable = Durable::new(root.path());
        durable.note(&folder);
        assert_eq!(noted(&durable), [root.path(), &above, &folder]);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut folders = Folders::default();
        for n in 0..3 * REMEMBERED {
            folders.remember(PathBuf::from(n.to_string()));
            assert!(folders.synced.len() <= REMEMBERED);
        }
        assert!(folders.synced.contains(Path::new(&(3 * REMEMBERED - 1).to_string())));
    }
}
