//! The files beside a Dockerfile, as far as they lie below its folder.

use std::io::Read;
use std::path::{Component, Path, PathBuf};

use perijove_migrate::{Entry, Tree};

/// Files that are larger hold no list of packages.
const LARGEST: u64 = 4 << 20;

/// Paths below a folder of this machine.
pub struct Disk {
    root: PathBuf,
}

impl Disk {
    /// Below `root`; the working folder where it is empty.
    pub fn at(root: &Path) -> Self {
        Disk { root: root.to_owned() }
    }

    /// The real path of `below` in the folder of `file`, unless it leads out of that folder.
    pub fn path(&self, file: &str, below: &str) -> Option<PathBuf> {
        let file = self.root.join(file);
        let folder = match file.parent() {
            Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
            Some(folder) => folder,
            None => return None,
        };
        let below = Path::new(below);
        if !below.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
            return None;
        }
        let (folder, path) = (folder.canonicalize().ok()?, folder.join(below).canonicalize().ok()?);
        path.starts_with(folder).then_some(path)
    }
}

impl Tree for Disk {
    fn look(&self, file: &str, below: &str) -> Entry {
        let Some(path) = self.path(file, below) else { return Entry::Nothing };
        if path.is_dir() {
            return Entry::Folder;
        }
        if !path.is_file() {
            return Entry::Nothing;
        }
        Entry::File(text(&path, LARGEST).ok().flatten())
    }
}

/// A file's text; none where it is too large or no UTF-8.
pub fn text(path: &Path, largest: u64) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(largest + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > largest {
        return Ok(None);
    }
    Ok(String::from_utf8(bytes).ok())
}
