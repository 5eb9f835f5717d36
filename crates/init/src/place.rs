//! Which files are written, which are there already, and which are in the way.

use std::path::{Path, PathBuf};

use perijove_build::lock::journal::{self, Rewrite};

use crate::templates::{IGNORED, PAGE};
use crate::{Error, Result};

/// What is to be done to a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// Files to write.
    pub write: Vec<Rewrite>,
    /// Files that are there already as they would be written.
    pub same: Vec<PathBuf>,
    /// Files that are there, differ, and are replaced.
    pub replaced: Vec<PathBuf>,
}

/// Compares `files` with what lies in `root`. An existing `.gitignore` gets the lines that it lacks; where a
/// `README.md` is there already, the maintainers' page goes to `images/`.
///
/// # Errors
/// [`Error::Exists`] names every file that differs, unless `force` says that they are replaced.
pub fn decide(root: &Path, files: Vec<Rewrite>, force: bool) -> Result<Placement> {
    let mut placement = Placement::default();
    let mut in_the_way = Vec::new();
    for mut file in files {
        if file.place == Path::new(IGNORED) {
            file = with_lines_of(root, file);
        } else if file.place == Path::new(PAGE[0]) && is_something_else(root, &file) {
            file.place = PathBuf::from(PAGE[1]);
        }
        if file.is_there(root) {
            placement.same.push(file.place);
            continue;
        }
        if file.place != Path::new(IGNORED) && is_something_else(root, &file) {
            in_the_way.push(file.place.clone());
        }
        placement.write.push(file);
    }
    if !force && !in_the_way.is_empty() {
        return Err(Error::Exists(in_the_way));
    }
    placement.replaced = in_the_way;
    Ok(placement)
}

/// Writes all of it, or nothing.
///
/// # Errors
/// As [`journal::commit`].
pub fn write(root: &Path, files: &[Rewrite]) -> Result<Vec<PathBuf>> {
    Ok(journal::commit(root, files)?)
}

fn is_something_else(root: &Path, file: &Rewrite) -> bool {
    root.join(&file.place).symlink_metadata().is_ok() && !file.is_there(root)
}

/// The `.gitignore` that is there, with those of our lines that it lacks behind its own.
fn with_lines_of(root: &Path, file: Rewrite) -> Rewrite {
    let Ok(mut text) = std::fs::read_to_string(root.join(&file.place)) else { return file };
    let ours = String::from_utf8_lossy(file.bytes.as_deref().unwrap_or_default()).into_owned();
    let has = |line: &str| text.lines().any(|l| l.trim().trim_start_matches('/') == line);
    if ours.lines().filter(|line| !line.starts_with('#')).all(has) {
        return Rewrite { bytes: Some(text.into_bytes()), ..file };
    }
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    Rewrite { bytes: Some(format!("{text}{ours}").into_bytes()), ..file }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests fail at once")]

    use super::*;

    fn file(place: &str, text: &str) -> Rewrite {
        Rewrite { place: PathBuf::from(place), bytes: Some(text.as_bytes().to_vec()) }
    }

    #[test]
    fn what_differs_is_named_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a"), "mine").unwrap();
        std::fs::write(folder.path().join("b"), "same").unwrap();
        std::fs::create_dir(folder.path().join("d")).unwrap();
        let files = || vec![file("a", "yours"), file("b", "same"), file("c", "new"), file("d", "file")];
        let Error::Exists(paths) = decide(folder.path(), files(), false).unwrap_err() else { panic!() };
        assert_eq!(paths, [Path::new("a"), Path::new("d")]);
        let placement = decide(folder.path(), files(), true).unwrap();
        assert_eq!(placement.replaced, [Path::new("a"), Path::new("d")]);
        assert_eq!(placement.same, [Path::new("b")]);
        assert_eq!(placement.write, [file("a", "yours"), file("c", "new"), file("d", "file")]);
    }

    #[test]
    fn gitignore_grows_and_a_page_gives_way() {
        for (before, after) in [
            (None, "# ours\n.perijove/\n"),
            (Some("target"), "target\n# ours\n.perijove/\n"),
            (Some("/.perijove/\n"), "/.perijove/\n"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            if let Some(before) = before {
                std::fs::write(folder.path().join(IGNORED), before).unwrap();
            }
            std::fs::write(folder.path().join("README.md"), "# A name\n").unwrap();
            let files = vec![file(IGNORED, "# ours\n.perijove/\n"), file(PAGE[0], "# Images\n")];
            write(folder.path(), &decide(folder.path(), files.clone(), false).unwrap().write).unwrap();
            let read = |place| std::fs::read_to_string(folder.path().join(place)).unwrap();
            assert_eq!((read(IGNORED).as_str(), read(PAGE[0]).as_str()), (after, "# A name\n"));
            assert_eq!(read(PAGE[1]), "# Images\n");
            assert!(
                decide(folder.path(), files, false).unwrap().write.is_empty(),
                "a second run has nothing to do"
            );
        }
    }
}
