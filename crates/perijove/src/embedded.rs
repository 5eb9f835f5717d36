//! The demo's image repository for those who have none: it is in the program, and lies unpacked in a folder of state,
//! `$XDG_STATE_HOME/perijove/demo`.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use perijove_oci::{Algorithm, Digester};

/// A file's content, or a link's target.
#[derive(Clone, Copy)]
enum Kept {
    File { bytes: &'static [u8], executable: bool },
    Link(&'static str),
}

/// Path in the repository, and what lies there; written by the build script.
const FILES: &[(&str, Kept)] = include!(concat!(env!("OUT_DIR"), "/demo.rs"));

/// Holds the digest of what was unpacked last; written after all else.
const STAMP: &str = ".unpacked";

/// The repository in `folder`, unpacked unless this very program's lies there. Its `.perijove` stays: images that were
/// released there are not built again.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] where this program holds none; else what the disk says.
pub fn unpack(folder: &Path) -> io::Result<()> {
    if FILES.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "this program was built without the demo's files",
        ));
    }
    let digest = digest();
    let stamp = folder.join(STAMP);
    if fs::read_to_string(&stamp).is_ok_and(|known| known == digest) {
        return Ok(());
    }
    fs::create_dir_all(folder)?;
    let new = tempfile::Builder::new().prefix(".new-").tempdir_in(folder)?;
    for (name, kept) in FILES {
        let path = new.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        match kept {
            Kept::File { bytes, executable } => {
                fs::write(&path, bytes)?;
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode))?;
            }
            Kept::Link(target) => symlink(target, &path)?,
        }
    }
    // Without its stamp a folder that is half this and half that is unpacked again.
    remove(fs::remove_file(&stamp))?;
    for entry in fs::read_dir(new.path())? {
        let entry = entry?;
        let place = folder.join(entry.file_name());
        if place.is_dir() {
            remove(fs::remove_dir_all(&place))?;
        }
        fs::rename(entry.path(), place)?;
    }
    fs::write(&stamp, digest)
}

/// Where [`unpack`] has its place: `$XDG_STATE_HOME`, else `~/.local/state`.
pub fn folder() -> Option<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("perijove/demo"))
}

fn remove(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

fn digest() -> String {
    let mut digester = Digester::new(Algorithm::Sha256);
    for (name, kept) in FILES {
        let (kind, bytes) = match kept {
            Kept::File { bytes, executable: false } => ("file", *bytes),
            Kept::File { bytes, executable: true } => ("program", *bytes),
            Kept::Link(target) => ("link", target.as_bytes()),
        };
        digester.update(format!("{name} {kind} {}\n", bytes.len()).as_bytes());
        digester.update(bytes);
    }
    digester.finish().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_is_whole_and_unpacked_once() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("deep/demo");
        unpack(&folder).unwrap();
        let config = perijove_build::Config::find(&folder).unwrap();
        assert_eq!(config.root, folder);
        for image in ["demo", "lab"] {
            assert!(perijove_build::locks::Locks::read(&config, image).unwrap().python.is_some());
        }
        let link = folder.join("images/lab/rootfs/usr/local/bin/python3");
        assert!(link.is_symlink(), "{}", link.display());

        // A second time nothing is written, what was released there stays, and another program's files go.
        let old = folder.join("images/old/file");
        fs::create_dir_all(old.parent().unwrap()).unwrap();
        fs::write(&old, "").unwrap();
        let released = folder.join(".perijove/registry");
        fs::create_dir_all(&released).unwrap();
        unpack(&folder).unwrap();
        assert!(old.exists());
        fs::write(folder.join(STAMP), "another").unwrap();
        unpack(&folder).unwrap();
        assert!(!old.exists() && released.exists());
        let names = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        assert_eq!(names, [".perijove", ".unpacked", "images", "perijove.toml"]);
    }
}
