//! What git knows of the order of commits.

use std::path::Path;
use std::process::{Command, Stdio};

use perijove_release::plan::{DIRTY, Kinship};

/// How the commit `ours` stands to `theirs` in the repository around `root`; `None` where there is no repository, or
/// one of them is no commit.
pub fn kinship(root: &Path, ours: &str, theirs: &str) -> Option<Kinship> {
    let ours = ours.strip_suffix(DIRTY).unwrap_or(ours);
    // What annotations and flags say goes on a command line: nothing but a commit does.
    if !is_commit(ours) || !is_commit(theirs) {
        return None;
    }
    let git = |words: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(root).args(words).stdin(Stdio::null()).stderr(Stdio::null());
        git.output().ok()
    };
    let shallow = git(&["rev-parse", "--is-shallow-repository"]).filter(|output| output.status.success())?;
    let shallow = shallow.stdout.starts_with(b"true");
    let is_before = |first: &str, second: &str| {
        let code = git(&["merge-base", "--is-ancestor", first, second])?.status.code();
        match code {
            Some(0) => Some(true),
            Some(1) => Some(false),
            _ => None,
        }
    };
    Some(match (is_before(theirs, ours), is_before(ours, theirs)) {
        (Some(true), _) => Kinship::After,
        (_, Some(true)) => Kinship::Before,
        // Where history was cut off, what is not seen may be there.
        (Some(false), Some(false)) if !shallow => Kinship::Apart,
        _ => Kinship::Unknown,
    })
}

/// A full object name (gitglossary(7)): SHA-1 or SHA-256 in hexadecimal digits.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit())
}
