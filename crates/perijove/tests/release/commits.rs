//! A commit is released once; an old one never over a newer; with real git repositories.

use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;
use serde_json::Value;

use crate::scene::{BUILDS, Site, git, repository};

/// The repository as a checkout of `main`.
fn checkout() -> Repository {
    let repository = repository("5.3.0", "4.5.0", "one");
    git(repository.path(), &["init", "--quiet", "--initial-branch", "main"]);
    repository
}

/// Writes a file of the lab image and commits; the commit.
fn commit(repository: &Repository, text: &str) -> String {
    repository.write("images/lab/rootfs/etc/lab", &format!("{text}\n"));
    git(repository.path(), &["add", "--all"]);
    git(repository.path(), &["commit", "--quiet", "--allow-empty", "--message", text]);
    git(repository.path(), &["rev-parse", "HEAD"])
}

/// A release of what is checked out: tag and reason of the lab image, and what was said.
fn release(site: &Site, repository: &Repository) -> (String, String, String) {
    let ran = site.perijove(repository, &["release", "--format", "json"]).run();
    let record: Value = ran.json();
    let lab = record["images"].as_array().unwrap().iter().find(|image| image["image"] == "lab");
    let text = |key: &str| lab.map_or(String::new(), |lab| lab[key].as_str().unwrap().to_owned());
    (text("tag"), text("why"), ran.stderr)
}

#[test]
fn a_commit_is_found_again() {
    let registry = Registry::with(crate::PERIJOVE, BUILDS);
    let (site, repository) = (Site::of(&[&registry.address]), checkout());
    let first = commit(&repository, "one");
    let (tag, why, _) = release(&site, &repository);
    assert_eq!((tag.as_str(), why.as_str()), ("4.5.0-0", "changed"));
    // The same commit made into other bytes, as by another version of the layer format.
    let toml = std::fs::read_to_string(repository.join("perijove.toml")).unwrap();
    repository.write(
        "perijove.toml",
        &toml.replacen("[repository]\n", "[repository]\ncompression = \"zstd\"\n", 1),
    );
    let words = ["release", "--format", "json", "--revision", &first, "--branch", "main"];
    let again = site.perijove(&repository, &words).run();
    let record = again.json();
    assert_eq!(
        (&record["nothing_to_release"], &record["images"][0]["why"]),
        (&true.into(), &"same_commit".into())
    );
    assert!(again.stderr.contains("lab: this commit was released already"), "{}", again.stderr);
    // A changed tree is not its commit.
    let (tag, why, said) = release(&site, &repository);
    assert_eq!((tag.as_str(), why.as_str()), ("4.5.0-1", "changed"));
    assert!(said.contains("the working tree has changes that no commit has"), "{said}");
    assert!(said.contains("-dirty"), "{said}");
}

#[test]
fn an_old_pipeline_that_runs_again_releases_nothing() {
    let registry = Registry::with(crate::PERIJOVE, BUILDS);
    let (site, repository) = (Site::of(&[&registry.address]), checkout());
    commit(&repository, "one");
    release(&site, &repository);
    // Its pipeline failed, and somebody starts it again when the next commit is out.
    let late = commit(&repository, "two");
    commit(&repository, "three");
    assert_eq!(release(&site, &repository).0, "4.5.0-1");
    let before = site.text();
    git(repository.path(), &["checkout", "--quiet", "--detach", &late]);
    let ran = site.perijove(&repository, &["release", "--format", "json", "--branch", "main"]).run();
    assert_eq!(ran.json()["nothing_to_release"], true);
    assert!(ran.stderr.contains("lab: 4.5.0-1 is of a later commit"), "{}", ran.stderr);
    assert_eq!(site.text(), before);
    // In a clone without history nobody knows; it is found by its own builds where it has some.
    let first = git(repository.path(), &["rev-parse", "main~2"]);
    git(repository.path(), &["checkout", "--quiet", "--detach", &first]);
    let words = ["release", "--format", "json", "--branch", "main", "--revision", &first];
    let moved = Repository::new(&std::fs::read_to_string(repository.join("perijove.toml")).unwrap());
    for file in [
        "images/hub/debs.lock",
        "images/lab/debs.lock",
        "images/hub/rootfs/etc/hub",
        "images/lab/rootfs/etc/lab",
    ] {
        moved.write(file, &std::fs::read_to_string(repository.join(file)).unwrap());
    }
    let ran = site.perijove(&moved, &words).run();
    assert_eq!(ran.json()["images"][1]["why"], "same_commit", "{}", ran.stderr);
    assert_eq!(site.text(), before);
}

#[test]
fn a_branch_that_was_force_pushed_is_warned_of() {
    let registry = Registry::with(crate::PERIJOVE, BUILDS);
    let (site, repository) = (Site::of(&[&registry.address]), checkout());
    commit(&repository, "one");
    commit(&repository, "two");
    assert_eq!(release(&site, &repository).0, "4.5.0-0");
    git(repository.path(), &["reset", "--quiet", "--hard", "HEAD~1"]);
    commit(&repository, "three");
    let (tag, _, said) = release(&site, &repository);
    assert_eq!(tag, "4.5.0-1");
    assert!(said.contains("was the branch force-pushed"), "{said}");
    // A shallow clone cannot tell, and says what would help.
    commit(&repository, "four");
    let clone = tempfile::tempdir().unwrap();
    let url = format!("file://{}", repository.path().display());
    git(clone.path(), &["clone", "--quiet", "--depth", "1", &url, "."]);
    let program = perijove_testkit::program::Program::new(crate::PERIJOVE, clone.path(), site.cache.path());
    let program = program.env("PERIJOVE_REGISTRIES", &site.registries.join(","));
    let ran = program.args(["release", "--format", "json"]).run();
    assert_eq!(ran.json()["images"][1]["tag"], "4.5.0-2", "{}", ran.stderr);
    assert!(ran.stderr.contains("fetch-depth: 0"), "{}", ran.stderr);
}

#[test]
fn empty_variables_count_as_unset() {
    let registry = Registry::with(crate::PERIJOVE, BUILDS);
    let (site, repository) = (Site::of(&[&registry.address]), checkout());
    let toml = format!("registries = [\"{}\"]", site.registries[0]);
    crate::scene::set(&repository, &toml);
    // As a pipeline sets them from what its event does not have.
    let empty = |words: &[&str]| {
        ["REGISTRIES", "BRANCH", "REVISION", "FORMAT", "COLOR", "RUNTIME"]
            .iter()
            .fold(site.perijove(&repository, words), |program, name| {
                program.env(&format!("PERIJOVE_{name}"), "")
            })
    };
    let json = ["release", "--format", "json"];
    for (text, tag) in [("one", "4.5.0-0"), ("two", "4.5.0-1")] {
        let commit = commit(&repository, text);
        let record = empty(&json).run().json();
        assert_eq!((&record["commit"], &record["branch"]), (&commit.into(), &"main".into()));
        assert_eq!(record["images"][1]["tag"], tag);
    }
    // Two commits without a name would be one, of which the second is released already.
    let ran = empty(&["release", "--revision", ""]).run();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("--revision <REVISION>"), "{}", ran.stderr);
}
