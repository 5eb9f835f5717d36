//! A folder to lock in: a copy of the inputs under `.perijove/`, gone when the work ends.

use std::fs::File;
use std::path::Path;

use tempfile::TempDir;

use super::state::{State, lockable};
use crate::{Error, Result};

const PREFIX: &str = "lock-";

/// The folder, and the lock on it that says that somebody works there.
#[derive(Debug)]
pub struct Workspace {
    folder: TempDir,
    _held: File,
}

impl Workspace {
    /// Makes one in a repository, and removes those whose makers were killed.
    ///
    /// # Errors
    /// The repository cannot be written to.
    pub fn new(root: &Path) -> Result<Self> {
        // So that nobody takes the new folder for a dead one before it is locked.
        let _guard = State::of(root).hold()?;
        let state = root.join(".perijove");
        for entry in std::fs::read_dir(&state).map_err(Error::io(&state))?.flatten() {
            if entry.file_name().to_string_lossy().starts_with(PREFIX)
                && File::open(entry.path()).is_ok_and(|folder| folder.try_lock().is_ok())
            {
                // If it does not work now, it will another time.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&state).map_err(Error::io(&state))?;
        let held = File::open(folder.path()).map_err(Error::io(folder.path()))?;
        lockable(held.lock()).map_err(Error::io(folder.path()))?;
        Ok(Workspace { folder, _held: held })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
