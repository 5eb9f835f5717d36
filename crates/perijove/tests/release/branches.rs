//! Which branch releases what.

use perijove_testkit::registry::Registry;

use crate::scene::{BUILDS, Site, git, repository, set};

#[test]
fn branches_release_their_own_series() {
    let registry = Registry::with(crate::PERIJOVE, BUILDS);
    let site = Site::of(&[&registry.address]);
    let repository = repository("5.3.0", "4.5.0", "one");
    for (branch, says) in [
        ("3.x", "the branch `3.x` releases 3.x, and the locks have hub 5.3.0, lab 4.5.0"),
        ("5.2.x", "the branch `5.2.x` releases 5.2.x"),
        ("fix/typo", "the branch `fix/typo` releases nothing"),
        ("5.3.0", "the branch `5.3.0` releases nothing"),
    ] {
        let ran = site.program(&repository, "c1", branch).run();
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{branch}: {}", ran.stderr);
        assert!(ran.stderr.contains(says) && ran.stderr.contains("hint: "), "{branch}: {}", ran.stderr);
        assert!(ran.stderr.contains("--branch"), "{branch}: {}", ran.stderr);
    }
    set(&repository, "branch-image = \"hub\"");
    let ran = site.program(&repository, "c1", "4.x").run();
    assert!(ran.stderr.contains("releases 4.x, and the locks have hub 5.3.0\n"), "{}", ran.stderr);
    assert!(site.tags().values().all(std::collections::BTreeMap::is_empty));
    for branch in ["5.x", "v5.3", "release/5.x"] {
        assert_eq!(site.program(&repository, "c1", branch).run().code, Some(0), "{branch}");
    }
    assert!(!site.aliases("0 hub").contains_key("latest"), "only the default branch moves it");
    set(&repository, "release-branches = [\"next/*\"]");
    let ran = site.program(&repository, "c2", "next/big").run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

#[test]
fn without_a_branch_nothing_is_released() {
    let registry = Registry::with(crate::PERIJOVE, BUILDS);
    let site = Site::of(&[&registry.address]);
    let repository = repository("5.3.0", "4.5.0", "one");
    let detached =
        |words: &[&str]| site.perijove(&repository, words).env("GIT_CEILING_DIRECTORIES", "/").run();
    let ran = detached(&["release"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: name it: --branch main"), "{}", ran.stderr);
    // A plan says so, and goes on.
    let ran = detached(&["plan"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("which branch this is is not known"), "{}", ran.stderr);
    git(repository.path(), &["init", "--quiet", "--initial-branch", "main"]);
    assert_eq!(site.perijove(&repository, &["release"]).run().code, Some(0));
}
