//! Locks are rewritten whole or not at all.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// Writes every file beside its place, syncs it, and only when all are on disk renames them. On an error
/// before the first rename nothing has changed. Files that hold the bytes already are left alone. Gives the
/// paths that changed.
pub fn write_all(files: &[(PathBuf, Vec<u8>)]) -> Result<Vec<PathBuf>> {
    let mut ready = Vec::new();
    for (path, bytes) in files {
        if std::fs::read(path).is_ok_and(|old| old == *bytes) {
            continue;
        }
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".perijove-lock-");
        #[cfg(unix)]
        {
            // As an editor would make it: the umask decides, not the private mode of temporary files.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let mut file = builder.tempfile_in(folder).map_err(Error::io(path))?;
        file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(Error::io(path))?;
        ready.push((file, path, folder));
    }
    if let Some((_, path, _)) = ready.iter().find(|(_, path, _)| path.is_dir()) {
        return Err(Error::io(*path)(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    let mut written = Vec::new();
    for (file, path, folder) in ready {
        file.persist(path).map_err(|e| Error::io(path)(e.error))?;
        // The rename itself lies in the folder.
        std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder))?;
        written.push(path.clone());
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_all_and_says_which() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("same"), "1").unwrap();
        std::fs::write(at("other"), "1").unwrap();
        let files =
            [(at("same"), b"1".to_vec()), (at("other"), b"2".to_vec()), (at("new/deep"), b"3".to_vec())];
        assert_eq!(write_all(&files).unwrap(), [at("other"), at("new/deep")]);
        assert_eq!(std::fs::read(at("other")).unwrap(), b"2");
        assert_eq!(std::fs::read(at("new/deep")).unwrap(), b"3");
    }

    #[test]
    fn one_failure_leaves_everything_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("lock"), "old").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        for bad in ["folder", "file/below"] {
            assert!(write_all(&[(at("lock"), b"new".to_vec()), (at(bad), b"x".to_vec())]).is_err(), "{bad}");
            assert_eq!(std::fs::read(at("lock")).unwrap(), b"old");
            let names = std::fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(names, 3, "no temporary file stays behind");
        }
    }
}
