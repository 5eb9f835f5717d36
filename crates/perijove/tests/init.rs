//! `perijove init`: what it writes, what it leaves alone, and that it works as it came out.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use perijove_testkit::has;
use perijove_testkit::program::{Program, Ran};
use perijove_testkit::workflow::actions::git;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// A checkout of an empty repository.
fn checkout(origin: Option<&str>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    git(folder.path(), &["init", "--quiet", "-b", "trunk"]);
    if let Some(origin) = origin {
        git(folder.path(), &["remote", "add", "origin", origin]);
    }
    folder
}

fn program(folder: &Path, arguments: &[&str]) -> Program {
    Program::new(PERIJOVE, folder, folder).args(["init", "--format", "json"]).args(arguments.iter().copied())
}

fn init(folder: &Path, arguments: &[&str]) -> Ran {
    program(folder, arguments).run()
}

/// Every file by its path, but for what is git's and perijove's own.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            if path.is_dir() && ![".git", ".perijove", ".cache"].contains(&name.as_str()) {
                folders.push(path);
            } else if path.is_file() {
                found.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    found
}

#[test]
fn finds_out_what_it_can_and_writes_it_once() {
    let folder = checkout(Some("https://me:secret@github.com/Example/hub-images.git"));
    let result = init(folder.path(), &["--no-lock"]).json();
    assert_eq!(result["registries"], serde_json::json!(["ghcr.io/example"]));
    assert_eq!(result["source"], "https://github.com/Example/hub-images");
    assert_eq!(result["default_branch"], "trunk");
    let written = files(folder.path());
    assert_eq!(result["written"].as_array().unwrap().len(), written.len(), "{:?}", written.keys());
    for (name, bytes) in &written {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains("secret@") && !text.contains("@@"), "{name}");
    }
    let again = init(folder.path(), &["--no-lock"]);
    assert_eq!(again.json()["written"], serde_json::json!([]));
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    assert_eq!(files(folder.path()), written);
}

#[test]
fn what_is_there_is_named_and_kept() {
    let folder = checkout(Some("git@github.com:example/images.git"));
    std::fs::write(folder.path().join("README.md"), "# Ours\n").unwrap();
    std::fs::write(folder.path().join("perijove.toml"), "# ours\n").unwrap();
    std::fs::create_dir_all(folder.path().join("images/hub")).unwrap();
    std::fs::write(folder.path().join("images/hub/requirements.in"), "jupyterhub\n").unwrap();
    let before = files(folder.path());
    let refused = init(folder.path(), &["--no-lock"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("  perijove.toml\n  images/hub/requirements.in\n"), "{}", refused.stderr);
    assert!(refused.stderr.contains("--force"), "{}", refused.stderr);
    assert_eq!(files(folder.path()), before);
    // The pipelines alone are in nobody's way.
    let pipelines = init(folder.path(), &["--pipelines"]).json();
    assert!(
        pipelines["written"].as_array().unwrap().iter().all(|f| f.as_str().unwrap().starts_with(".github/"))
    );
    let forced = init(folder.path(), &["--no-lock", "--force"]).json();
    assert_eq!(forced["replaced"], serde_json::json!(["perijove.toml", "images/hub/requirements.in"]));
    assert_eq!(files(folder.path())["README.md"], b"# Ours\n", "the page for maintainers goes to images/");
    assert!(files(folder.path()).contains_key("images/README.md"));
}

#[test]
fn elsewhere_than_at_github() {
    for (origin, warning) in
        [(None, "no registry is known"), (Some("git@gitlab.com:group/images.git"), "GitHub Actions")]
    {
        let folder = checkout(origin);
        let ran = init(folder.path(), &["--no-lock"]);
        assert_eq!(ran.json()["registries"], serde_json::json!([]));
        assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    }
    let folder = checkout(None);
    let ran = init(folder.path(), &["deep/images", "--no-lock", "--registry", "quay.io/example"]);
    assert_eq!(ran.json()["registries"], serde_json::json!(["quay.io/example"]));
    assert!(ran.stderr.contains("at the top of a git repository"), "{}", ran.stderr);
    let wrong = init(folder.path(), &["other", "--no-lock", "--registry", "me:secret@quay.io/example"]);
    assert_eq!(wrong.code, Some(2));
    assert!(!wrong.stderr.contains("secret") && !folder.path().join("other").exists(), "{}", wrong.stderr);
}

#[test]
fn a_lock_that_fails_leaves_nothing() {
    let folder = checkout(Some("git@github.com:example/images.git"));
    let nowhere = "http://127.0.0.1:9/";
    let variables = ["PERIJOVE_DEBIAN_MIRROR", "PERIJOVE_DEBIAN_SECURITY_MIRROR", "PERIJOVE_PYTHON_INDEX"];
    let program = program(folder.path(), &["new/images"]);
    let ran = variables.iter().fold(program, |program, name| program.env(name, nowhere)).run();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(!folder.path().join("new").exists(), "{:?}", files(folder.path()).keys());
}

#[test]
fn a_kill_at_any_moment_is_made_good() {
    let whole = {
        let folder = checkout(Some("git@github.com:example/images.git"));
        init(folder.path(), &["--no-lock"]).json();
        files(folder.path())
    };
    for moment in 0..24 {
        let folder = checkout(Some("git@github.com:example/images.git"));
        let running = program(folder.path(), &["--no-lock"]).start();
        std::thread::sleep(Duration::from_millis(4 * moment));
        running.kill();
        for (name, bytes) in files(folder.path()) {
            assert_eq!(Some(&bytes), whole.get(&name), "{name} is whole or not there");
        }
        init(folder.path(), &["--no-lock"]).json();
        assert_eq!(files(folder.path()), whole, "after {} ms", 4 * moment);
    }
}

#[test]
fn it_works_as_it_came_out() {
    let test = "it_works_as_it_came_out";
    if !has(test, "uv") || !has(test, "apt-get") {
        return;
    }
    let folder = checkout(Some("git@github.com:example/images.git"));
    let perijove = |arguments: &[&str]| {
        let program = Program::of_this_site(PERIJOVE, folder.path()).args(["--format", "json"]);
        program.args(arguments.iter().copied()).run()
    };
    perijove(&["init"]).json();
    let written = files(folder.path());
    for lock in [
        "images/hub/debs.lock",
        "images/hub/requirements.txt",
        "images/lab/debs.lock",
        "images/lab/requirements.txt",
    ] {
        assert!(written.contains_key(lock), "{lock}: {:?}", written.keys());
    }
    assert_eq!(perijove(&["lock", "--check"]).json()["behind"], serde_json::json!([]));
    let tested = perijove(&["test"]);
    assert_eq!(tested.code, Some(0), "{}{}", tested.stdout, tested.stderr);
    assert_eq!(
        perijove(&["init"]).json()["written"],
        serde_json::json!([]),
        "a second run has nothing to do"
    );
    assert_eq!(files(folder.path()), written);
}
