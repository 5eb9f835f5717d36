//! A file that is put in place whole or not at all.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::NamedTempFile;

/// A file's new text beside it, with its mode, or that of a new file. Nothing changes before it is persisted.
///
/// # Errors
/// Where its folder is not there or not writable, or the disk is full.
pub fn staged(target: &Path, text: &str) -> std::io::Result<NamedTempFile> {
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut staged = tempfile::Builder::new().prefix(".perijove-").tempfile_in(folder)?;
    staged.write_all(text.as_bytes())?;
    let mode = match std::fs::metadata(target) {
        Ok(there) => there.permissions(),
        Err(_) => PermissionsExt::from_mode(0o644),
    };
    staged.as_file().set_permissions(mode)?;
    staged.as_file().sync_all()?;
    Ok(staged)
}
