//! The journal's files below `.perijove/locks/` and what is done to them: one call is one change of the disk.

use std::fs::{File, OpenOptions};
use std::io::{Error as IoError, ErrorKind, Write};
use std::path::{Component, Path, PathBuf};

use super::Step;
use crate::{Error, Result};

pub(super) struct State {
    root: PathBuf,
    folder: PathBuf,
}

impl State {
    pub(super) fn of(root: &Path) -> Self {
        State { root: root.to_owned(), folder: root.join(".perijove/locks") }
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.folder.join("journal.json")
    }

    fn guard(&self) -> PathBuf {
        self.folder.join("guard")
    }

    fn staged(&self) -> PathBuf {
        self.folder.join("staged")
    }

    /// Waits for all others, and keeps them out until the file is dropped or the process ends.
    pub(super) fn hold(&self) -> Result<File> {
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        let guard = self.guard();
        let open = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&guard);
        let file = open.map_err(Error::io(&guard))?;
        lockable(file.lock()).map_err(Error::io(&guard))?;
        Ok(file)
    }

    /// Waits for a writer, and keeps writers out. `None`: nobody has ever written.
    pub(super) fn share(&self) -> Result<Option<File>> {
        let guard = self.guard();
        match File::open(&guard) {
            Ok(file) => {
                lockable(file.lock_shared()).map_err(Error::io(&guard))?;
                Ok(Some(file))
            }
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::io(guard)(e)),
        }
    }

    /// Writes the files, each under its number, and syncs them.
    pub(super) fn stage<'a>(&self, files: impl Iterator<Item = (usize, &'a [u8])>, step: Step) -> Result<()> {
        let staged = self.staged();
        std::fs::create_dir(&staged).map_err(Error::io(&staged))?;
        for (at, bytes) in files {
            step().map_err(Error::io(&staged))?;
            write(&staged.join(at.to_string()), bytes)?;
        }
        sync(&staged)
    }

    /// Makes the journal appear, whole.
    pub(super) fn publish(&self, text: &[u8], step: Step) -> Result<()> {
        let (fresh, journal) = (self.staged().join("journal.json"), self.journal());
        step().map_err(Error::io(&fresh))?;
        write(&fresh, text)?;
        step().map_err(Error::io(&journal))?;
        std::fs::rename(&fresh, &journal).map_err(Error::io(&journal))?;
        sync(&self.folder)
    }

    /// Moves a staged file to its place, if it is not there already.
    pub(super) fn put(&self, at: usize, target: &Path) -> Result<()> {
        let staged = self.staged().join(at.to_string());
        if !staged.exists() {
            return Ok(());
        }
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        }
        match std::fs::rename(&staged, target) {
            Err(e) if e.kind() == ErrorKind::CrossesDevices => {
                // Beside its place under a name that a second try takes again.
                let mut name = std::ffi::OsString::from(".perijove-lock-");
                name.push(target.file_name().unwrap_or_default());
                let beside = target.with_file_name(name);
                let bytes = std::fs::read(&staged).map_err(Error::io(&staged))?;
                write(&beside, &bytes)?;
                std::fs::rename(&beside, target).map_err(Error::io(target))
            }
            moved => moved.map_err(Error::io(target)),
        }
    }

    pub(super) fn drop_journal(&self) -> Result<()> {
        std::fs::remove_file(self.journal()).map_err(Error::io(self.journal()))?;
        sync(&self.folder)
    }

    pub(super) fn drop_staged(&self) -> Result<()> {
        match std::fs::remove_dir_all(self.staged()) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(Error::io(self.staged())(e)),
            _ => Ok(()),
        }
    }

    /// The path of a place that a journal names. The journal may have come with the repository, so it is not
    /// believed: the place lies inside, also when links are followed.
    pub(super) fn inside(&self, place: &Path) -> std::io::Result<PathBuf> {
        let outside = || IoError::new(ErrorKind::InvalidInput, "this lies outside of the repository");
        if !place.components().all(|c| matches!(c, Component::Normal(_))) || place.file_name().is_none() {
            return Err(outside());
        }
        let target = self.root.join(place);
        let folder = target.ancestors().skip(1).find(|f| f.symlink_metadata().is_ok()).ok_or_else(outside)?;
        if folder.canonicalize()?.starts_with(self.root.canonicalize()?) {
            Ok(target)
        } else {
            Err(outside())
        }
    }
}

/// A file system without locks has one user at a time.
pub(super) fn lockable(locked: std::io::Result<()>) -> std::io::Result<()> {
    match locked {
        Err(e) if e.kind() == ErrorKind::Unsupported => Ok(()),
        other => other,
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(path).map_err(Error::io(path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(Error::io(path))
}

/// A rename lies in its folder: it is on disk when the folder is.
pub(super) fn sync(folder: &Path) -> Result<()> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io(folder))
}
