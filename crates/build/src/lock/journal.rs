//! Locks change all together or not at all, also when the program is killed or the power fails half-way.
//!
//! New files are staged in `.perijove/locks/staged/` and synced. Then a journal that says where each of them goes is
//! renamed into place: from that moment they count. Then each is moved to its place. Whoever finds a journal
//! finishes what it says; whoever finds staged files without one drops them. A guard file is locked meanwhile, so
//! that two writers come one after the other and no reader sees the middle.

mod state;
mod workspace;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::state::{State, sync};
pub use self::workspace::Workspace;
use crate::{Error, Result};

/// A file of the repository as it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rewrite {
    /// Where, relative to the repository.
    pub place: PathBuf,
    /// Its bytes; `None` removes it.
    pub bytes: Option<Vec<u8>>,
}

impl Rewrite {
    /// Whether the file below `root` is like this already.
    pub fn is_there(&self, root: &Path) -> bool {
        let path = root.join(&self.place);
        match &self.bytes {
            Some(bytes) => std::fs::read(path).is_ok_and(|old| old == *bytes),
            None => matches!(path.symlink_metadata(), Err(e) if e.kind() == ErrorKind::NotFound),
        }
    }
}

/// What the journal holds: the staged file of each move has the move's number as its name.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Journal {
    moves: Vec<Move>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Move {
    place: PathBuf,
    remove: bool,
}

/// Asked before every change of the disk; an error ends the work there and then, as a kill would. For tests.
type Step<'a> = &'a mut dyn FnMut() -> std::io::Result<()>;

/// Makes all files below `root` as they are to be. Files that are so already are left alone. Gives the places that
/// changed.
///
/// # Errors
/// Before the journal is written nothing has changed. After it, the next [`reading`], [`settle`] or `commit` goes on.
pub fn commit(root: &Path, rewrites: &[Rewrite]) -> Result<Vec<PathBuf>> {
    commit_by(root, rewrites, &mut || Ok(())).inspect_err(|_| {
        let state = State::of(root);
        if let Ok(_held) = state.hold()
            && !state.journal().exists()
        {
            // Only to give the space back: the next writer does it, too.
            let _ = state.drop_staged();
        }
    })
}

fn commit_by(root: &Path, rewrites: &[Rewrite], step: Step) -> Result<Vec<PathBuf>> {
    let state = State::of(root);
    let _held = state.hold()?;
    finish(&state, step)?;
    let changed: Vec<&Rewrite> = rewrites.iter().filter(|rewrite| !rewrite.is_there(root)).collect();
    if changed.is_empty() {
        return Ok(Vec::new());
    }
    for rewrite in &changed {
        let target = state.inside(&rewrite.place).map_err(|e| Error::Input {
            place: root.join(&rewrite.place).display().to_string(),
            reason: e.to_string(),
            hint: "a link on the way leads out of it: put a folder in its place; nothing was written"
                .to_owned(),
        })?;
        check_place(&target)?;
    }
    state.stage(changed.iter().enumerate().filter_map(|(at, r)| Some((at, r.bytes.as_deref()?))), step)?;
    let moves = changed.iter().map(|r| Move { place: r.place.clone(), remove: r.bytes.is_none() }).collect();
    let text = serde_json::to_vec(&Journal { moves }).map_err(|e| Error::io(root)(e.into()))?;
    state.publish(&text, step)?;
    finish(&state, step)?;
    Ok(changed.into_iter().map(|rewrite| rewrite.place.clone()).collect())
}

/// Finishes what an interrupted [`commit`] began; gives the places that it was about, none where there is nothing to
/// finish.
///
/// # Errors
/// The journal is unreadable or names a place outside of the repository, or a file cannot be moved; a further call
/// goes on.
pub fn settle(root: &Path) -> Result<Vec<PathBuf>> {
    let state = State::of(root);
    if !state.journal().exists() {
        return Ok(Vec::new());
    }
    let _held = state.hold()?;
    finish(&state, &mut || Ok(()))
}

/// While this lives, no [`commit`] of another process changes a lock.
#[derive(Debug)]
#[must_use = "the locks may change as soon as it is dropped"]
pub struct Reading {
    _held: Option<std::fs::File>,
}

/// Waits until no commit is under way, finishes one that was interrupted, and keeps the locks as they are.
///
/// # Errors
/// As [`settle`].
pub fn reading(root: &Path) -> Result<Reading> {
    let state = State::of(root);
    loop {
        let held = state.share()?;
        if !state.journal().exists() {
            return Ok(Reading { _held: held });
        }
        drop(held);
        settle(root)?;
    }
}

/// Does what the journal says, drops the staged files.
fn finish(state: &State, step: Step) -> Result<Vec<PathBuf>> {
    let text = match std::fs::read(state.journal()) {
        Ok(text) => text,
        Err(e) if e.kind() == ErrorKind::NotFound => {
            state.drop_staged()?;
            return Ok(Vec::new());
        }
        Err(e) => return Err(Error::io(state.journal())(e)),
    };
    let broken = |reason: String| Error::Input {
        place: state.journal().display().to_string(),
        reason,
        hint: "remove the folder .perijove/locks and run `perijove lock`".to_owned(),
    };
    let journal: Journal = serde_json::from_slice(&text).map_err(|e| broken(e.to_string()))?;
    let mut folders = Vec::new();
    for (at, Move { place, remove }) in journal.moves.iter().enumerate() {
        let target = state.inside(place).map_err(|e| broken(format!("{}: {e}", place.display())))?;
        step().map_err(Error::io(&target))?;
        if *remove {
            match std::fs::remove_file(&target) {
                Err(e) if e.kind() != ErrorKind::NotFound => return Err(Error::io(&target)(e)),
                _ => {}
            }
        } else {
            state.put(at, &target)?;
        }
        folders.extend(target.parent().map(Path::to_owned));
    }
    folders.sort();
    folders.dedup();
    for folder in folders.iter().filter(|folder| folder.exists()) {
        sync(folder)?;
    }
    step().map_err(Error::io(state.journal()))?;
    state.drop_journal()?;
    step().map_err(Error::io(state.journal()))?;
    state.drop_staged()?;
    Ok(journal.moves.into_iter().map(|one| one.place).collect())
}

/// Whether a file can be put there, as far as can be known before: afterwards there is no way back.
fn check_place(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(Error::io(path)(ErrorKind::IsADirectory.into()));
    }
    let mut folders =
        path.ancestors().skip(1).map(|f| if f.as_os_str().is_empty() { Path::new(".") } else { f });
    let folder = folders.find(|folder| folder.symlink_metadata().is_ok()).unwrap_or(Path::new("."));
    // A file without a name: nothing is left of it, whatever happens.
    tempfile::tempfile_in(folder).map(drop).map_err(Error::io(folder))
}

#[cfg(test)]
mod tests;
