//! Real programs beside us: run them, or skip the test by name when they are missing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use walkdir::WalkDir;

use crate::collect::sha256;

/// Runs a program in a folder and gives its standard output.
pub fn run(program: &str, arguments: &[&str], folder: &Path) -> Result<String, String> {
    let done = Command::new(program).args(arguments).current_dir(folder).env("LC_ALL", "C.UTF-8").output();
    let done = done.map_err(|e| format!("{program}: {e}"))?;
    match done.status.success() {
        true => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        false => Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr))),
    }
}

/// For what a reader's machine may lack: gives `None` and says so, or fails where everything must be there.
pub fn or_skip<T>(test: &str, result: Result<T, String>) -> Option<T> {
    result.map_err(|why| perijove_testkit::skip(test, &why)).ok()
}

/// The folder's files with this ending.
pub fn with_ending(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    found.retain(|p| p.to_string_lossy().ends_with(ending));
    found.sort();
    found
}

pub fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// What lies in a folder, in the form of `Collect::listing`.
pub fn listing(folder: &Path) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for found in WalkDir::new(folder).min_depth(1) {
        let found = found.unwrap();
        let what = if found.file_type().is_dir() {
            "folder".to_owned()
        } else if found.file_type().is_symlink() {
            format!("link {}", std::fs::read_link(found.path()).unwrap().display())
        } else {
            format!("file {}", sha256(&std::fs::read(found.path()).unwrap()))
        };
        lines.insert(found.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned(), what);
    }
    lines
}

/// Fails with the lines that only one side has.
pub fn same(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, String>, what: &str) {
    let only = |a: &BTreeMap<String, String>, b: &BTreeMap<String, String>| -> Vec<String> {
        a.iter()
            .filter(|(path, value)| b.get(*path) != Some(value))
            .map(|(path, value)| format!("{path}: {value}"))
            .collect()
    };
    let (ours_only, theirs_only) = (only(ours, theirs), only(theirs, ours));
    assert!(
        ours_only.is_empty() && theirs_only.is_empty(),
        "{what}\nours: {ours_only:#?}\ntheirs: {theirs_only:#?}"
    );
}
