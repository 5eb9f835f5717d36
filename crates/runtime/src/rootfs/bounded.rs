//! How many unpacked roots stay: who uses one holds its lock, and the least recently used go.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::discard;
use crate::error::Error;

/// So many roots stay, besides those in use: this repository's images, and a few that were before.
pub const KEPT: usize = 8;

/// Extension of a root that is not complete, or not any more.
pub(super) const PART: &str = "part";
const LOCK: &str = "lock";

/// A held lock file, which is given back when it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
    path: PathBuf,
}

impl Lock {
    /// Waits for the lock, or fails where `operation` is one that does not wait.
    pub(super) fn take(path: &Path, operation: FlockOperation) -> Result<Self, Error> {
        let io = |e: std::io::Error| Error::io(path, e);
        loop {
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(io)?;
            match flock(&file, operation) {
                Err(Errno::INTR) => continue,
                other => other.map_err(|e| io(e.into()))?,
            }
            // Whoever removed a root removed its lock file too: a lock on that one keeps nobody out.
            if file.metadata().map_err(io)?.nlink() > 0 {
                return Ok(Lock { file, path: path.to_owned() });
            }
        }
    }

    /// Notes that the root is used now.
    pub(super) fn touch(&self) -> Result<(), Error> {
        self.file.set_modified(SystemTime::now()).map_err(|e| Error::io(&self.path, e))
    }
}

/// Removes all kept roots below `cache` but the `keep` most recently used and those in use, whoever uses them. What
/// cannot be removed stays for the next time: it must not stop a run.
pub fn trim(cache: &Path, keep: usize) {
    let folder = cache.join("rootfs");
    let mut roots: Vec<(SystemTime, PathBuf)> = children(&folder)
        .filter(|path| path.extension().is_none() && path.is_dir())
        .map(|path| {
            let used = fs::metadata(path.with_extension(LOCK)).and_then(|lock| lock.modified());
            (used.unwrap_or(SystemTime::UNIX_EPOCH), path)
        })
        .collect();
    roots.sort_by(|a, b| b.cmp(a));
    for (_, root) in roots.into_iter().skip(keep) {
        let lock = root.with_extension(LOCK);
        if let Ok(_alone) = Lock::take(&lock, FlockOperation::NonBlockingLockExclusive) {
            let part = root.with_extension(PART);
            // By its new name it is no root for anybody, however long the removal takes or if it is cut short.
            if discard(&part).is_ok() && fs::rename(&root, &part).is_ok() && discard(&part).is_ok() {
                let _ = fs::remove_file(&lock);
            }
        }
    }
}

/// Removes the remains of killed processes: parts whose lock nobody holds.
pub(super) fn sweep(folder: &Path) {
    for path in children(folder).filter(|path| path.extension().is_some_and(|e| e == PART)) {
        let lock = path.with_extension(LOCK);
        if let Ok(_alone) = Lock::take(&lock, FlockOperation::NonBlockingLockExclusive) {
            // Somebody else's remains must not stop this run; they are tried again the next time.
            let _ = discard(&path);
        }
    }
}

fn children(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}
