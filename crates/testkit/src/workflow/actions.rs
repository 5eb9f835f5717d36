//! Stand-ins for the actions that steps name by `uses:`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::expression::shown;

/// Where a job runs, and what it may fetch.
pub struct Place<'a> {
    /// The bare repository.
    pub origin: &'a Path,
    /// The event's context.
    pub github: &'a Value,
    /// The job's checkout.
    pub workspace: &'a Path,
    /// What jobs have kept, by name.
    pub artifacts: &'a mut BTreeMap<String, PathBuf>,
    /// Where it is kept.
    pub store: &'a Path,
}

/// Runs git; it must work.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.arg("-C")
        .arg(folder)
        .args(["-c", "user.name=Test", "-c", "user.email=test@example.org"])
        .args(arguments);
    let output = git.env("PUSHED_BY_TEST", "1").output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

impl Place<'_> {
    /// Does what the action would do.
    ///
    /// # Errors
    /// What would make the step fail.
    pub fn uses(&mut self, action: &str, with: &BTreeMap<String, Value>) -> Result<(), String> {
        let (name, commit) = action.split_once('@').unwrap();
        assert!(
            commit.len() == 40 && commit.bytes().all(|b| b.is_ascii_hexdigit()),
            "{action} is not pinned"
        );
        let known = |keys: &[&str]| {
            let unknown: Vec<&String> = with.keys().filter(|key| !keys.contains(&key.as_str())).collect();
            assert!(unknown.is_empty(), "{name}: {unknown:?}");
        };
        let text = |key: &str| with.get(key).map(shown);
        match name {
            "actions/checkout" => {
                known(&["fetch-depth", "persist-credentials", "ref"]);
                assert_eq!(with["persist-credentials"], false, "credentials are kept");
                self.check_out(
                    text("ref").as_deref(),
                    with.get("fetch-depth").is_some_and(|depth| depth == 0),
                );
                Ok(())
            }
            "actions/upload-artifact" => {
                known(&["name", "path", "if-no-files-found", "retention-days"]);
                self.keep(&text("name").unwrap(), &self.workspace.join(text("path").unwrap()))
            }
            "actions/download-artifact" => {
                known(&["name", "pattern", "merge-multiple", "path"]);
                let target = self.workspace.join(text("path").unwrap());
                let wanted = text("name").or_else(|| text("pattern")).unwrap();
                let of_pattern = with.contains_key("pattern");
                let (start, all) =
                    wanted.strip_suffix('*').map_or((&*wanted, false), |start| (start, of_pattern));
                assert!(!start.contains('*'), "only patterns with a star at their end are known");
                let fits = |name: &str| if all { name.starts_with(start) } else { name == start };
                let mut found = self.artifacts.iter().filter(|(name, _)| fits(name)).peekable();
                if found.peek().is_none() && !of_pattern {
                    return Err(format!("no artifact {wanted}"));
                }
                found.for_each(|(_, folder)| copy(folder, &target));
                Ok(())
            }
            other => panic!("no stand-in for {other}"),
        }
    }

    /// As GitHub does: the commit of the event, or the branch `wanted`; of a pull request, its merge into the base.
    fn check_out(&self, wanted: Option<&str>, whole: bool) {
        let number = self.github["event"]["pull_request"]["number"].as_u64();
        let reference = self.github["ref"].as_str().unwrap();
        let branch = match (wanted, number) {
            (Some(branch), _) => branch,
            (None, Some(_)) => self.github["base_ref"].as_str().unwrap(),
            (None, None) => ["refs/heads/", "refs/tags/"]
                .iter()
                .find_map(|prefix| reference.strip_prefix(prefix))
                .unwrap(),
        };
        let origin = format!("file://{}", self.origin.display());
        let depth: &[&str] = if whole { &[] } else { &["--depth", "1"] };
        let clone = ["clone", "--quiet", "--no-tags", "--single-branch", "--branch", branch, &origin, "."];
        git(self.workspace, &[&clone[..], depth].concat());
        if let (Some(number), None) = (number, wanted) {
            if whole {
                git(self.workspace, &["fetch", "--quiet", "origin", &format!("refs/pull/{number}/head")]);
                git(self.workspace, &["checkout", "--quiet", "--detach"]);
                git(self.workspace, &["merge", "--quiet", "--no-edit", "FETCH_HEAD"]);
            }
        } else if wanted.is_none() && reference.starts_with("refs/heads/") {
            git(self.workspace, &["checkout", "--quiet", "-B", branch, self.github["sha"].as_str().unwrap()]);
        }
    }

    fn keep(&mut self, name: &str, path: &Path) -> Result<(), String> {
        // What upload-artifact lets into a name (its path-and-artifact-name-validation.ts).
        if name.is_empty() || name.contains(['"', ':', '<', '>', '|', '*', '?', '\r', '\n', '\\', '/']) {
            return Err(format!("the artifact name is not valid: {name}\n"));
        }
        if !path.is_dir() || std::fs::read_dir(path).unwrap().next().is_none() {
            return Ok(());
        }
        let folder = self.store.join(name);
        copy(path, &folder);
        let before = self.artifacts.insert(name.to_owned(), folder);
        assert!(before.is_none(), "two artifacts are named {name}");
        Ok(())
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            // What may be executed is not kept.
            std::fs::write(target, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}
