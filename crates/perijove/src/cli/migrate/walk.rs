//! Which files are read: those that are named, and below folders those of a kind, without what git ignores.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ignore::{DirEntry, WalkBuilder};
use perijove_migrate::Source;

use super::Problem;

/// Hidden folders that hold what this looks for.
const OPEN: [&str; 5] = [".github", ".gitlab", ".circleci", ".devcontainer", ".binder"];
/// Folders of other people's files.
const CLOSED: [&str; 4] = ["node_modules", "__pycache__", "site-packages", ".git"];
/// The largest file that is read.
const LARGEST: u64 = 4 << 20;
/// The most files that are read.
const MOST: usize = 100_000;

/// What was read.
#[derive(Default)]
pub struct Walk {
    /// Paths and texts, in order.
    pub files: Vec<(PathBuf, Source)>,
    /// What could not be read.
    pub problems: Vec<Problem>,
}

/// Why a file holds nothing to look at.
enum Skip {
    /// Not of a kind that is read.
    Kind,
    /// Too large.
    Large,
    /// Not UTF-8.
    Text,
    /// The system's word.
    Error(std::io::Error),
}

/// Reads all `paths`; `say` hears of what was skipped.
pub fn read(paths: &[PathBuf], say: &mut dyn FnMut(&str)) -> Walk {
    let (mut walk, mut seen) = (Walk::default(), BTreeSet::new());
    for path in paths {
        match std::fs::metadata(path) {
            Err(error) => {
                walk.problems.push(problem(
                    path,
                    &error.to_string(),
                    "name files and folders that are there",
                ));
            }
            Ok(meta) if meta.is_dir() => folder(path, &mut walk, &mut seen, say),
            Ok(_) if !seen.insert(path.clone()) => {}
            Ok(_) => match source(path) {
                Ok(source) => walk.files.push((path.clone(), source)),
                Err(Skip::Kind) => say(&format!("{}: not of a kind that is read", path.display())),
                Err(Skip::Large) => walk.problems.push(problem(path, "larger than 4 MiB", "leave it out")),
                Err(Skip::Text) => {
                    walk.problems.push(problem(path, "not UTF-8", "convert it, or leave it out"));
                }
                Err(Skip::Error(error)) => {
                    walk.problems.push(problem(
                        path,
                        &error.to_string(),
                        "make it readable, or leave it out",
                    ));
                }
            },
        }
    }
    walk
}

fn folder(path: &Path, walk: &mut Walk, seen: &mut BTreeSet<PathBuf>, say: &mut dyn FnMut(&str)) {
    // Links are not followed: they may lead out of the tree, and what they lead to inside is read where it lies.
    let mut builder = WalkBuilder::new(path);
    builder
        .hidden(false)
        .follow_links(false)
        .require_git(false)
        .sort_by_file_name(Ord::cmp)
        .filter_entry(wanted);
    for entry in builder.build() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                walk.problems.push(problem(path, &error.to_string(), "make it readable, or leave it out"));
                continue;
            }
        };
        if !entry.file_type().is_some_and(|kind| kind.is_file()) || !seen.insert(entry.path().to_owned()) {
            continue;
        }
        if walk.files.len() >= MOST {
            let message = format!("more than {MOST} files");
            return walk.problems.push(problem(path, &message, "name the folders that count"));
        }
        match source(entry.path()) {
            Ok(source) => walk.files.push((entry.path().to_owned(), source)),
            Err(Skip::Kind) => {}
            Err(Skip::Large) => say(&format!("{}: skipped, larger than 4 MiB", entry.path().display())),
            Err(Skip::Text) => say(&format!("{}: skipped, not UTF-8", entry.path().display())),
            Err(Skip::Error(error)) => {
                let hint = "make it readable, or leave it out";
                walk.problems.push(problem(entry.path(), &error.to_string(), hint));
            }
        }
    }
}

fn wanted(entry: &DirEntry) -> bool {
    let folder = entry.file_type().is_some_and(|kind| kind.is_dir());
    let name = entry.file_name().to_string_lossy();
    entry.depth() == 0
        || !folder
        || !(CLOSED.contains(&&*name) || (name.starts_with('.') && !OPEN.contains(&&*name)))
}

fn source(path: &Path) -> Result<Source, Skip> {
    let shown = path.to_string_lossy();
    let shown = shown.strip_prefix("./").unwrap_or(&shown).to_owned();
    let mut file = File::open(path).map_err(Skip::Error)?;
    let mut bytes = vec![0; 128];
    let length = file.read(&mut bytes).map_err(Skip::Error)?;
    bytes.truncate(length);
    // A first line says what a file without a telling name is.
    if perijove_migrate::kind(&shown, &String::from_utf8_lossy(&bytes)).is_none() {
        return Err(Skip::Kind);
    }
    file.take(LARGEST + 1 - length as u64).read_to_end(&mut bytes).map_err(Skip::Error)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Skip::Large);
    }
    let text = String::from_utf8(bytes).map_err(|_| Skip::Text)?;
    Ok(Source { path: shown, text })
}

fn problem(path: &Path, message: &str, hint: &str) -> Problem {
    Problem {
        file: path.display().to_string(),
        message: message.to_owned(),
        hint: hint.to_owned(),
        stops: true,
    }
}
