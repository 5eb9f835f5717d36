//! The changes on disk: everything is written beside its place first, then all of it is renamed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use perijove_build::config;
use perijove_migrate::{Content, Folder};
use tempfile::{NamedTempFile, TempDir};
use walkdir::WalkDir;

use super::disk::{self, Disk};
use super::{CliError, Found};

/// The most files that one COPY brings.
const MOST: usize = 10_000;

/// Real paths of files that are edited, and their new texts.
type Changed<'a> = BTreeMap<PathBuf, &'a str>;

/// Writes all that is sure: files' edits, image folders, and last perijove.toml, which makes the folders images.
pub fn all(found: &Found, root: &Path) -> Result<(), CliError> {
    let mut files: Vec<(NamedTempFile, PathBuf, &str)> = Vec::new();
    let mut fixed: Vec<&str> = Vec::new();
    for page in found.pages.iter().filter(|page| page.fixed_text != page.source.text) {
        fixed.push(&page.fixed_text);
        // A link that was named stays one.
        let target = page.path.canonicalize().map_err(|e| failed(&page.path, &e))?;
        files.push((staged(&target, &page.fixed_text)?, target, &page.source.text));
    }
    // What is copied into an image folder is copied as it will be.
    let changed: Changed<'_> =
        files.iter().zip(fixed).map(|((_, target, _), text)| (target.clone(), text)).collect();
    let new: Vec<_> = found.folders.iter().filter(|planned| !planned.folder.there).collect();
    if !new.is_empty() {
        stays_inside(root)?;
    }
    let mut folders: Vec<(TempDir, PathBuf)> = Vec::new();
    for planned in &new {
        let target = root.join("images").join(&planned.folder.name);
        let staged = folder(&planned.folder, root, &changed)?;
        if fs::symlink_metadata(&target).is_ok() {
            // A run that was cut off before perijove.toml was written left just this.
            if same(staged.path(), &target).map_err(|e| failed(&target, &e))? {
                continue;
            }
            let message = format!("{}: there already, and perijove.toml has no such image", target.display());
            return Err(CliError::failed(message, "move it away, or add its section; nothing was written"));
        }
        folders.push((staged, target));
    }
    let toml = root.join(config::FILE);
    let settings = new.last().map(|planned| staged(&toml, &planned.folder.toml)).transpose()?;
    for (_, target, before) in &files {
        let now = disk::text(target, u64::from(u32::MAX)).map_err(|e| failed(target, &e))?;
        if now.as_deref() != Some(before) {
            let message = format!("{}: changed while it was read", target.display());
            return Err(CliError::failed(message, "run it again; nothing was written"));
        }
    }
    for (staged, target, _) in files {
        staged.persist(&target).map_err(|e| failed(&target, &e.error))?;
    }
    for (staged, target) in folders {
        fs::rename(staged.path(), &target).map_err(|e| failed(&target, &e))?;
        // It is in its place: there is nothing left to remove.
        let _ = staged.keep();
    }
    if let Some(staged) = settings {
        staged.persist(&toml).map_err(|e| failed(&toml, &e.error))?;
    }
    Ok(())
}

/// `images` may be a link that came with the repository, and lead anywhere.
fn stays_inside(root: &Path) -> Result<(), CliError> {
    let images = root.join("images");
    if fs::symlink_metadata(&images).is_err() {
        return Ok(());
    }
    let real = |path: &Path| path.canonicalize().map_err(|e| failed(path, &e));
    if real(&images)?.starts_with(real(root)?) {
        return Ok(());
    }
    let message = format!("{}: a link out of the repository", images.display());
    Err(CliError::failed(message, "put a folder in its place; nothing was written"))
}

fn staged(target: &Path, text: &str) -> Result<NamedTempFile, CliError> {
    crate::staged::staged(target, text).map_err(|e| failed(target, &e))
}

/// An image folder beside its place.
fn folder(planned: &Folder, root: &Path, changed: &Changed<'_>) -> Result<TempDir, CliError> {
    let images = root.join("images");
    let stage = || -> std::io::Result<TempDir> {
        fs::create_dir_all(&images)?;
        let staged = tempfile::Builder::new().prefix(".perijove-").tempdir_in(&images)?;
        fs::set_permissions(staged.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        let here = Disk::at(root);
        for (place, content) in &planned.files {
            let target = staged.path().join(place);
            fs::create_dir_all(target.parent().unwrap_or(staged.path()))?;
            match content {
                Content::Text(text) => fs::write(&target, text)?,
                Content::Copy(source) => {
                    let source = here.path(&planned.from, source).ok_or(std::io::ErrorKind::NotFound)?;
                    copy(&source, &target, changed)?;
                }
            }
        }
        Ok(staged)
    };
    stage().map_err(|e| failed(&images.join(&planned.name), &e))
}

/// Whether two folders hold the same files.
fn same(one: &Path, other: &Path) -> std::io::Result<bool> {
    let all = |folder: &Path| -> std::io::Result<Vec<(PathBuf, fs::FileType, Vec<u8>)>> {
        let entries = WalkDir::new(folder).min_depth(1).follow_links(false).sort_by_file_name();
        let read = entries.into_iter().take(MOST).map(|entry| {
            let entry = entry?;
            let below = entry.path().strip_prefix(folder).unwrap_or(entry.path()).to_owned();
            let is_file = entry.file_type().is_file();
            let content = if is_file { fs::read(entry.path())? } else { Vec::new() };
            Ok((below, entry.file_type(), content))
        });
        read.collect()
    };
    Ok(fs::symlink_metadata(other)?.is_dir() && all(one)? == all(other)?)
}

/// A file or a folder with all below it; links in it are left out, for they may lead anywhere.
fn copy(source: &Path, target: &Path, changed: &Changed<'_>) -> std::io::Result<()> {
    for (count, entry) in WalkDir::new(source).follow_links(false).sort_by_file_name().into_iter().enumerate()
    {
        let entry = entry?;
        if count >= MOST {
            return Err(std::io::Error::other(format!("{}: more than {MOST} files", source.display())));
        }
        let below = entry.path().strip_prefix(source).unwrap_or(Path::new(""));
        let to = if below.as_os_str().is_empty() { target.to_owned() } else { target.join(below) };
        if entry.file_type().is_dir() {
            fs::create_dir_all(&to)?;
        } else if entry.file_type().is_file() {
            fs::copy(entry.path(), &to)?;
            if let Some(text) = changed.get(entry.path()) {
                fs::write(&to, text)?;
            }
        }
    }
    Ok(())
}

fn failed(path: &Path, error: &std::io::Error) -> CliError {
    CliError::failed(
        format!("{}: {error}", path.display()),
        "make room or make it writable, and run it again",
    )
}
