//! What of a cluster is not in its own namespaces: its folder and its cgroups. Both are recorded before they are made,
//! so that the next start removes what a supervisor that was killed has left.
//!
//! A record is locked while its supervisor lives: the kernel takes the lock away with the process, however it ends.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// For the whole machine, as cgroups are.
const RECORDS: &str = "/run/perijove-clusters";

/// Where the kernel's control groups are.
const CGROUPS: &str = "/sys/fs/cgroup";

/// How long processes may take to be gone after they were killed.
const GONE: Duration = Duration::from_secs(20);

#[derive(Serialize, Deserialize)]
struct Record {
    id: String,
    folder: PathBuf,
}

/// What is recorded of a cluster; removed by [`Recorded::remove`].
pub struct Recorded {
    record: Record,
    path: PathBuf,
    // Holds the lock.
    _file: File,
}

impl Recorded {
    /// Removes what dead supervisors left, then records a new cluster whose id and folder nobody has.
    ///
    /// # Errors
    /// When the record or the folder cannot be written.
    pub fn new() -> std::io::Result<Self> {
        sweep()?;
        let folder = tempfile::Builder::new().prefix("perijove-").rand_bytes(6).tempdir()?;
        let id = folder.path().file_name().unwrap_or_default().display().to_string();
        let path = Path::new(RECORDS).join(format!("{id}.json"));
        let record = Record { id, folder: folder.path().to_owned() };
        // Locked before it is a record: no sweep sees it without its lock.
        let mut new = tempfile::NamedTempFile::new_in(Path::new(RECORDS).parent().unwrap_or(Path::new("/")))?;
        new.as_file().try_lock().map_err(std::io::Error::from)?;
        serde_json::to_writer(new.as_file(), &record)?;
        let file = loop {
            std::fs::create_dir_all(RECORDS)?;
            match new.persist(&path) {
                Ok(file) => break file,
                // The last cluster of another test has just ended, and its folder of records with it.
                Err(e) if e.error.kind() == std::io::ErrorKind::NotFound => new = e.file,
                Err(e) => return Err(e.error),
            }
        };
        let _ = folder.keep();
        Ok(Recorded { record, path, _file: file })
    }

    /// The cluster's name: its cgroups have it.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// The cluster's folder.
    pub fn folder(&self) -> &Path {
        &self.record.folder
    }

    /// Removes all that is recorded, and the record.
    ///
    /// # Errors
    /// When something does not go; the record stays then, for the next start.
    pub fn remove(self) -> std::io::Result<()> {
        remove(&self.record)?;
        std::fs::remove_file(&self.path)?;
        // Another cluster's record may be there.
        let _ = std::fs::remove_dir(RECORDS);
        Ok(())
    }
}

/// Removes what supervisors left that were killed.
///
/// # Errors
/// When something does not go.
pub fn sweep() -> std::io::Result<()> {
    let Ok(entries) = std::fs::read_dir(RECORDS) else { return Ok(()) };
    for entry in entries.flatten() {
        let Ok(file) = File::open(entry.path()) else { continue };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => continue,
            Err(TryLockError::Error(e)) => return Err(e),
        }
        // Half a record says that nothing was made yet.
        if let Ok(record) = serde_json::from_reader::<_, Record>(&file) {
            remove(&record)?;
        }
        let _ = std::fs::remove_file(entry.path());
    }
    let _ = std::fs::remove_dir(RECORDS);
    Ok(())
}

fn remove(record: &Record) -> std::io::Result<()> {
    // Nothing but what a cluster is called: what is removed here is removed by name.
    if !record.id.starts_with("perijove-") || record.folder.file_name() != Some(record.id.as_ref()) {
        return Err(std::io::Error::other(format!("not a cluster's record: {}", record.id)));
    }
    until_gone(|| remove_cgroups(&record.id))?;
    // Its processes may hold disks for a moment after they were killed.
    until_gone(|| match std::fs::remove_dir_all(&record.folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other,
    })
}

/// Tries again while processes end.
fn until_gone(mut step: impl FnMut() -> std::io::Result<()>) -> std::io::Result<()> {
    let start = Instant::now();
    loop {
        match step() {
            Err(_) if start.elapsed() < GONE => std::thread::sleep(Duration::from_millis(20)),
            done => return done,
        }
    }
}

/// The hierarchies there are: one of cgroup v2, or one for each controller of v1 (and a v2 one without controllers).
pub fn hierarchies() -> Vec<PathBuf> {
    let root = Path::new(CGROUPS);
    if root.join("cgroup.procs").exists() {
        return vec![root.to_owned()];
    }
    let entries = std::fs::read_dir(root).into_iter().flatten().flatten().map(|e| e.path());
    entries.filter(|p| !p.is_symlink() && p.join("cgroup.procs").exists()).collect()
}

/// Makes the groups `name` (as `perijove-4f0c2a/n1`) in every hierarchy, with all that the parent may use.
///
/// # Errors
/// When one cannot be made.
pub fn make_cgroups(name: &Path) -> std::io::Result<()> {
    for hierarchy in hierarchies() {
        let mut group = hierarchy.clone();
        for part in name {
            // v2: what a group's children may use is written to the group, word by word.
            if let Ok(words) = std::fs::read_to_string(group.join("cgroup.controllers")) {
                for word in words.split_whitespace() {
                    let _ = std::fs::write(group.join("cgroup.subtree_control"), format!("+{word}"));
                }
            }
            let parent = group.clone();
            group.push(part);
            if group.is_dir() {
                continue;
            }
            std::fs::create_dir(&group)?;
            // v1: a new cpuset is empty, and nothing can be in it.
            for file in ["cpuset.cpus", "cpuset.mems"] {
                if let Ok(all) = std::fs::read(parent.join(file)) {
                    let _ = std::fs::write(group.join(file), all);
                }
            }
            let clone = group.join("cgroup.clone_children");
            if clone.exists() {
                std::fs::write(clone, "1")?;
            }
        }
    }
    Ok(())
}

/// Removes the groups `name` and those below.
///
/// # Errors
/// When a process is still in one of them.
pub fn remove_cgroups(name: &str) -> std::io::Result<()> {
    for hierarchy in hierarchies() {
        let folders = walkdir::WalkDir::new(hierarchy.join(name)).contents_first(true);
        for folder in folders.into_iter().flatten().filter(|e| e.file_type().is_dir()) {
            match std::fs::remove_dir(folder.path()) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}
