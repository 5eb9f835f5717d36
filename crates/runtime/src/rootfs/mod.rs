//! The root file system of an image, unpacked once and kept: `<cache>/rootfs/<algorithm>-<hex>/`.
//!
//! At most [`KEPT`] roots are kept beside those in use: [`trim`] removes the least recently used.
//!
//! A kept root is complete or absent: it is made in a folder of another name and renamed when all layers
//! are applied and checked. A lock file per image makes a second process wait for the first, and tells a
//! killed process's remains (nobody holds the lock) from work under way. Whoever uses a root holds the lock
//! too, with others who do; its time is that of the last use.

mod apply;
mod bounded;
mod extensions;
mod header;
mod tree;
mod unpack;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use perijove_oci::{Event, Reporter, report};
use rustix::fs::{FlockOperation, Mode};

pub use apply::{Limits, Ownership};
pub use bounded::{KEPT, trim};
pub(crate) use tree::{EntryPath, Tree, children, join, remove};

use crate::error::Error;
use crate::image::{Image, blob_path};
use bounded::{Lock, PART};

/// An unpacked root, shared by all containers of the image; nothing writes to it.
#[derive(Clone, Debug)]
pub struct Rootfs {
    /// The root folder.
    pub tree: PathBuf,
    /// An empty folder beside it, where a container mounts its own writable view in its own mount
    /// namespace.
    pub mount: PathBuf,
    /// Whose the files are.
    pub ownership: Ownership,
    /// While somebody holds it, the root is not removed.
    _used: Arc<Lock>,
}

/// Unpacks `image` into `cache`, or finds it there.
///
/// # Errors
/// [`Error::Layer`] when a layer is damaged or hostile, [`Error::Io`] when the cache cannot be written.
/// Nothing is left in the cache then.
pub fn prepare(
    image: &Image,
    cache: &Path,
    limits: Limits,
    reporter: &dyn Reporter,
) -> Result<Rootfs, Error> {
    let ownership = if rustix::process::geteuid().is_root() { Ownership::Layers } else { Ownership::Caller };
    let folder = cache.join("rootfs");
    fs::create_dir_all(&folder).map_err(|e| Error::io(&folder, e))?;
    let name = match ownership {
        Ownership::Caller => format!("{}-{}", image.digest.algorithm().name(), image.digest.hex()),
        Ownership::Layers => format!("{}-{}-root", image.digest.algorithm().name(), image.digest.hex()),
    };
    let kept = folder.join(&name);
    let lock_file = folder.join(format!("{name}.lock"));
    loop {
        let used = Lock::take(&lock_file, FlockOperation::LockShared)?;
        if kept.is_dir() {
            used.touch()?;
            let (tree, mount) = (kept.join("tree"), kept.join("mount"));
            return Ok(Rootfs { tree, mount, ownership, _used: Arc::new(used) });
        }
        drop(used);
        let _alone = Lock::take(&lock_file, FlockOperation::LockExclusive)?;
        if !kept.is_dir() {
            bounded::sweep(&folder);
            unpack_into(&kept, image, ownership, limits, reporter)?;
        }
        // A lock for one does not become a lock for many in one step, so whether it is still there is asked again.
    }
}

/// Makes the root in a folder of another name, and renames that. The caller holds the lock alone.
fn unpack_into(
    kept: &Path,
    image: &Image,
    ownership: Ownership,
    limits: Limits,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    let part = kept.with_extension(PART);
    discard(&part)?;
    let made = make(image, &part, ownership, limits, reporter)
        .and_then(|()| fs::rename(&part, kept).map_err(|e| Error::io(kept, e)));
    if made.is_err() {
        discard(&part)?;
    }
    made
}

fn make(
    image: &Image,
    part: &Path,
    ownership: Ownership,
    limits: Limits,
    reporter: &dyn Reporter,
) -> Result<(), Error> {
    let (tree, mount) = (part.join("tree"), part.join("mount"));
    for folder in [&tree, &mount] {
        fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    }
    // Everything in the image is the caller's to see, not the other users' of this machine.
    rustix::fs::chmod(part, Mode::RWXU).map_err(|e| Error::io(part, e))?;
    rustix::fs::chmod(&tree, Mode::from_raw_mode(0o755)).map_err(|e| Error::io(&tree, e))?;
    let opened = Tree::open(&tree).map_err(|e| Error::io(&tree, e))?;
    let mut applier = apply::Applier::new(opened, ownership, limits);
    let total = image.manifest.layers.iter().map(|l| l.size).sum();
    let task = report::task();
    let what = format!("unpack {} layers", image.manifest.layers.len());
    reporter.report(Event::Started { task, what, total_bytes: Some(total) });
    let mut left = limits.bytes;
    for (descriptor, diff_id) in image.manifest.layers.iter().zip(&image.config.rootfs.diff_ids) {
        let layer = descriptor.digest.to_string();
        let damaged = |reason| Error::Layer { layer: layer.clone(), entry: None, reason };
        let blob = blob_path(&image.layout, &descriptor.digest);
        let size = fs::metadata(&blob).map_err(|e| Error::io(&blob, e))?.len();
        if size != descriptor.size {
            return Err(damaged(format!("its blob has {size} bytes, the manifest says {}", descriptor.size)));
        }
        let take = |tar: &mut dyn std::io::Read| {
            applier.layer(tar).map_err(|r| Error::Layer {
                layer: layer.clone(),
                entry: r.entry,
                reason: r.reason,
            })
        };
        left -= unpack::layer(&blob, diff_id, left, take, damaged)?;
        reporter.report(Event::Advanced { task, bytes: descriptor.size });
    }
    let devices = applier.finish().map_err(|r| Error::Layer {
        layer: image.digest.to_string(),
        entry: r.entry,
        reason: r.reason,
    })?;
    reporter.report(Event::Finished { task });
    if devices > 0 {
        reporter.report(Event::Note(format!("{devices} device nodes of the image are left out")));
    }
    Ok(())
}

/// Removes a folder, also where an image's modes forbid its owner to.
pub(crate) fn discard(path: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::remove_dir_all(path).map_err(|e| Error::io(path, e))
        }
        other => other.map_err(|e| Error::io(path, e)),
    }
}

fn open_up(folder: &Path) {
    let _ = rustix::fs::chmod(folder, Mode::RWXU);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            open_up(&entry.path());
        }
    }
}
