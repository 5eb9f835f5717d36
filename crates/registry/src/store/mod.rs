//! The content-addressed store: plain files that a person can read.
//!
//! ```text
//! ROOT/format                                  "perijove registry 1"
//! ROOT/lock                                    held while a registry has the store open
//! ROOT/tmp/                                    files being written; emptied at the start
//! ROOT/blobs/sha256/HEX                        content, once, whatever the number of repositories
//! ROOT/repositories/NAME/_blobs/ALG-HEX        empty: the repository has this blob; its time is the last use
//! ROOT/repositories/NAME/_manifests/ALG-HEX    media type, newline, the manifest byte for byte
//! ROOT/repositories/NAME/_tags/TAG             the digest that the tag names
//! ROOT/repositories/NAME/_referrers/ALG-HEX/ALG-HEX   empty: subject / manifest that is about it
//! ROOT/repositories/NAME/_uploads/UUID         what was received of an upload
//! ```
//!
//! How it survives a crash at any moment: a file gets its name by a rename, after its bytes are synced; a
//! manifest comes after its referrer entry, a tag after its manifest; a manifest's or tag's PUT is answered
//! after the folders are synced, too (`durable.rs`).
//!
//! How blobs survive garbage collection: whoever tells a client that a blob is there renews its time first,
//! holding the read half of `sweep`; the collector removes under the write half, after looking at the time
//! once more (`gc.rs`).
//!
//! All calls block; HTTP calls them from blocking threads.

mod blobs;
mod cache;
mod durable;
mod error;
mod gc;
mod layout;
mod manifests;
mod referrers;
mod tags;
mod uploads;

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

pub use blobs::Blob;
pub use error::StoreError;
pub use gc::Collected;
pub use manifests::{ManifestRef, NewManifest, StoredManifest};
pub use referrers::Referrer;
pub use uploads::{Lease, RunningDigest};

use self::cache::Cache;
use self::durable::Durable;
use self::layout::Layout;
use self::uploads::Sessions;
use crate::create_only::CreateOnly;
use crate::error::Error;

const FORMAT: &str = "perijove registry 1\n";

/// An open store. One process has it open at a time.
pub struct Store {
    layout: Layout,
    durable: Durable,
    /// Read: a blob is being promised to a client. Write: the collector removes some.
    sweep: RwLock<()>,
    /// Held from the decision about a tag or manifest to its rename.
    names: Mutex<()>,
    sessions: Sessions,
    cache: Cache,
    create_only: CreateOnly,
    _lock: File,
}

/// What the store is opened with.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Tags that are created once and never moved.
    pub create_only: CreateOnly,
    /// Upload sessions that are open at once.
    pub upload_sessions: usize,
    /// Memory for manifests that are read often, in bytes.
    pub cache_bytes: usize,
}

impl Store {
    /// Opens the store in `root`, made when it does not exist.
    ///
    /// # Errors
    /// [`Error::InUse`] when another process has it open, [`Error::Format`] when the folder is something else,
    /// [`Error::File`] when a file cannot be made.
    pub fn open(root: &Path, options: StoreOptions) -> Result<Self, Error> {
        let file_error = |action, path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { action, path, source }
        };
        let absolute = std::path::absolute(root).map_err(file_error("create", root))?;
        let above = layout::make_folder(&absolute).map_err(file_error("create", root))?;
        let root = root.canonicalize().map_err(file_error("open", root))?;
        check_format(&root)?;

        let lock_path = root.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&lock_path);
        let lock = lock.map_err(file_error("create", &lock_path))?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse { root }),
            Err(errno) => return Err(file_error("lock", &lock_path)(errno.into())),
        }

        let durable = Durable::new(&root);
        above.iter().for_each(|folder| durable.note(folder));
        let layout = Layout::new(root);
        // Nobody else has the store open: what lies in tmp/ was left by a crash.
        match fs::remove_dir_all(layout.temporary()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(file_error("empty", layout.temporary())(e));
            }
            _ => {}
        }
        for folder in layout.fixed_folders() {
            fs::create_dir_all(&folder).map_err(file_error("create", &folder))?;
        }
        // Not synced, for the first answer waits for it: where a crash leaves none or an empty one, the next
        // start writes it again.
        let format = layout.format();
        if fs::metadata(&format).map_or(0, |there| there.len()) == 0 {
            let written = layout.write_temporary(FORMAT.as_bytes());
            let written = written.and_then(|file| file.persist(&format).map_err(|e| e.error));
            written.map_err(file_error("create", &format))?;
        }
        Ok(Store {
            durable,
            sweep: RwLock::default(),
            names: Mutex::default(),
            sessions: Sessions::new(options.upload_sessions),
            cache: Cache::new(options.cache_bytes),
            create_only: options.create_only,
            layout,
            _lock: lock,
        })
    }

    // The guarded value is `()`: a panic elsewhere leaves nothing broken behind the lock.
    fn promising(&self) -> RwLockReadGuard<'_, ()> {
        self.sweep.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn sweeping(&self) -> RwLockWriteGuard<'_, ()> {
        self.sweep.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn naming(&self) -> MutexGuard<'_, ()> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An empty folder, or a store of this version (also one whose first start was cut short).
fn check_format(root: &Path) -> Result<(), Error> {
    let error = |reason: String| Error::Format { root: root.to_owned(), reason };
    let format = match fs::read_to_string(root.join("format")) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|e| error(e.to_string()))?,
    };
    if format == FORMAT {
        return Ok(());
    }
    if !format.is_empty() {
        let format: String = format.trim_end().chars().take(40).collect();
        return Err(error(format!("its format is `{format}`")));
    }
    // The last one is in every fresh file system of the ext family.
    let ours = ["format", "lock", "tmp", "blobs", "repositories", "lost+found"];
    for entry in fs::read_dir(root).map_err(|e| error(e.to_string()))? {
        let name = entry.map_err(|e| error(e.to_string()))?.file_name();
        if !ours.iter().any(|known| name == *known) {
            return Err(error(format!("it holds `{}`", name.display())));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(root: &Path) -> Result<Store, Error> {
        let create_only = CreateOnly::none();
        Store::open(root, StoreOptions { create_only, upload_sessions: 1, cache_bytes: 0 })
    }

    #[test]
    fn a_crash_at_the_first_start_harms_nothing() {
        let root = tempfile::tempdir().unwrap();
        let format = root.path().join("format");
        for left in [None, Some(""), Some(FORMAT)] {
            left.inspect(|text| fs::write(&format, text).unwrap());
            drop(open(root.path()).unwrap());
            assert_eq!(fs::read_to_string(&format).unwrap(), FORMAT, "{left:?}");
            fs::remove_file(&format).unwrap();
        }
    }

    #[test]
    fn other_folders_are_left_alone() {
        for (name, content, wanted) in [
            ("format", "perijove registry 9\n", "its format is `perijove registry 9`"),
            ("x", "", "it holds `x`"),
        ] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(name), content).unwrap();
            let error = open(root.path()).err().unwrap().to_string();
            assert!(error.contains(wanted), "{error}");
            assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
        }
    }
}
