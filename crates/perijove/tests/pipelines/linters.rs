//! `zizmor` and `actionlint` find nothing in the pipelines, and this repository's own are the same.

use std::process::Command;

use perijove_testkit::has;
use perijove_testkit::program::Program;
use perijove_testkit::workflow::actions::git;

use crate::scene::{PERIJOVE, workspace};

fn written() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet", "-b", "main"]);
    git(folder.path(), &["remote", "add", "origin", "https://github.com/example/images"]);
    let ran = Program::new(PERIJOVE, folder.path(), folder.path()).args(["init", "--no-lock"]).run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    folder
}

fn finds_nothing(linter: &mut Command) {
    let output = linter.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn zizmor_finds_nothing() {
    if has("zizmor_finds_nothing", "zizmor") {
        let folder = written();
        let arguments = ["--offline", "--no-progress", "--persona", "pedantic", "."];
        finds_nothing(Command::new("zizmor").args(arguments).current_dir(folder.path()));
        finds_nothing(Command::new("zizmor").args(arguments).current_dir(workspace().join(".github")));
    }
}

#[test]
fn actionlint_finds_nothing() {
    if has("actionlint_finds_nothing", "actionlint") {
        let folder = written();
        finds_nothing(Command::new("actionlint").current_dir(folder.path()));
        finds_nothing(Command::new("actionlint").current_dir(workspace()));
    }
}

#[test]
fn our_own_pipelines_are_what_init_writes() {
    let folder = written();
    let mut compared = 0;
    for entry in
        ["actionlint.yaml", "workflows/pull-request.yml", "workflows/refresh.yml", "workflows/release.yml"]
    {
        let place = format!(".github/{entry}");
        let read = |root: &std::path::Path| std::fs::read_to_string(root.join(&place)).unwrap_or_default();
        let wanted = read(folder.path());
        assert!(!wanted.is_empty(), "{place}");
        let same = read(&workspace()) == wanted;
        assert!(same, "{place} differs: run `perijove init --pipelines --force` at the root");
        compared += 1;
    }
    let of_init = |path: &std::path::Path| std::fs::read_dir(path).unwrap().count();
    assert_eq!(
        compared,
        of_init(&folder.path().join(".github")) - 1 + of_init(&folder.path().join(".github/workflows"))
    );
}
