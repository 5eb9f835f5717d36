//! `perijove lock` as a maintainer meets it: what it says about changes, what `--check` finds, and that a failure
//! leaves every lock as it was.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

use perijove_oci::Digest;
use perijove_testkit::has;
use perijove_testkit::layout::files_below;
use perijove_testkit::packages::{Packages, Wheel};
use perijove_testkit::program::{Program, Ran};
use perijove_testkit::repository::{Repository, python_image};
use serde_json::json;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

const FIRST: &str = "images/first/requirements.txt";
const SECOND: &str = "images/second/requirements.txt";

/// Two images, and an index with two versions of `alpha` and of `beta`.
struct Scene {
    repository: Repository,
    cache: tempfile::TempDir,
    packages: Packages,
}

impl Scene {
    fn new(first: &str, second: &str) -> Self {
        let packages = Packages::serve();
        for (name, version) in [("alpha", "1.0"), ("alpha", "2.0"), ("beta", "1.0"), ("beta", "2.0")] {
            packages.wheels(&[Wheel::new(name, version, 100)]);
        }
        let two = ["first", "second"].map(python_image).concat();
        let scene =
            Scene { repository: Repository::of_images(&two), cache: tempfile::tempdir().unwrap(), packages };
        scene.ask("first", first);
        scene.ask("second", second);
        scene
    }

    fn ask(&self, image: &str, requirements: &str) {
        self.repository.write(&format!("images/{image}/requirements.in"), requirements);
    }

    fn program(&self, arguments: &[&str]) -> Program {
        let program = Program::new(PERIJOVE, self.repository.path(), self.cache.path());
        program.envs(self.packages.environment()).args(["lock"]).args(arguments.iter().copied())
    }

    fn lock(&self, arguments: &[&str]) -> Ran {
        self.program(arguments).run()
    }

    /// Locks, which must work.
    fn locked(&self, arguments: &[&str]) -> Ran {
        let ran = self.lock(arguments);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran
    }

    /// A lock's text; none where there is no file.
    fn text(&self, lock: &str) -> Option<String> {
        std::fs::read_to_string(self.repository.join(lock)).ok()
    }

    /// Every file but the one that two processes at once are kept apart by.
    fn files(&self) -> Vec<std::path::PathBuf> {
        let guard = self.repository.join(".perijove/locks/guard");
        files_below(self.repository.path()).into_iter().filter(|path| *path != guard).collect()
    }
}

#[test]
fn check_says_which_locks_are_behind() {
    if !has("check_says_which_locks_are_behind", "uv") {
        return;
    }
    let scene = Scene::new("alpha<2\n", "beta<2\n");
    let files = scene.files();
    let ran = scene.lock(&["--check"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(
        ran.stdout,
        format!("{FIRST}: there is no such lock yet\n{SECOND}: there is no such lock yet\n")
    );
    assert!(ran.stderr.contains("run `perijove lock`"), "{}", ran.stderr);
    assert_eq!(scene.files(), files, "nothing is written");

    scene.locked(&[]);
    let ran = scene.locked(&["--check"]);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("every lock is up to date"), "{}", ran.stderr);

    scene.ask("second", "beta>=2\n");
    let before = scene.text(SECOND);
    // No index is asked, and uv is not needed.
    scene.packages.requests();
    let check = scene.program(&["--check", "--format", "json"]).env("PATH", "");
    let ran = check.run();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    let behind: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let reason = "beta: requirements.in wants `beta>=2`, the lock has 1.0";
    assert_eq!(behind["behind"], json!([{ "lock": SECOND, "reason": reason }]));
    assert_eq!(scene.packages.requests(), [""; 0]);
    assert_eq!(scene.text(SECOND), before);
    // An image that is not asked about does not count.
    scene.locked(&["--check", "first"]);
    scene.locked(&["second"]);
    scene.locked(&["--check"]);
}

#[test]
fn the_summary_names_what_changed() {
    if !has("the_summary_names_what_changed", "uv") {
        return;
    }
    let scene = Scene::new("alpha<2\nbeta<2\n", "beta<2\n");
    let ran = scene.locked(&[]);
    let first = format!("{FIRST}: 2 packages changed\n  alpha 1.0 (new)\n  beta 1.0 (new)\n");
    assert_eq!(ran.stdout, format!("{first}{SECOND}: 1 package changed\n  beta 1.0 (new)\n"));
    let ran = scene.locked(&[]);
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("nothing to change"), "{}", ran.stderr);

    // Present pins stay, until they are told to move.
    scene.ask("first", "alpha\nbeta\n");
    let ran = scene.locked(&["first"]);
    assert_eq!(ran.stdout, format!("{FIRST}: 0 packages changed\n"), "only the digest of the input");
    let second = scene.text(SECOND);
    let result = scene.lock(&["first", "--upgrade-package", "beta", "--format", "json"]).json();
    let change = json!([{ "name": "beta", "old": "1.0", "new": "2.0" }]);
    assert_eq!(
        result["locks"],
        json!([{ "image": "first", "lock": FIRST, "rewritten": true, "removed": false, "changes": change }])
    );
    let text = scene.text(FIRST).unwrap();
    assert!(text.contains("alpha==1.0") && text.contains("beta==2.0"), "{text}");
    scene.ask("first", "alpha\n");
    let ran = scene.locked(&["first", "--upgrade"]);
    assert_eq!(ran.stdout, format!("{FIRST}: 2 packages changed\n  alpha 1.0 → 2.0\n  beta 2.0 (removed)\n"));
    assert_eq!(scene.text(SECOND), second);
}

/// A wheel that is built at lock time is written beside its lock, and is no lock itself.
#[test]
fn a_source_is_built_beside_its_lock() {
    if !has("a_source_is_built_beside_its_lock", "uv") {
        return;
    }
    let scene = Scene::new("once\n", "alpha\n");
    scene.packages.wheels(&[source("once", "1.0")]);
    let ran = scene.locked(&["first"]);
    assert_eq!(ran.stdout, format!("{FIRST}: 1 package changed\n  once 1.0 (new)\n"));
    let wheel = scene.repository.join("images/first/wheels/once-1.0-py3-none-any.whl");
    let bytes = std::fs::read(&wheel).unwrap();
    let text = scene.text(FIRST).unwrap();
    assert!(text.contains(&format!("--hash={}", Digest::sha256(&bytes))), "{text}");
    assert!(scene.locked(&["first"]).stderr.contains("nothing to change"));
}

/// A source distribution whose own backend (PEP 517) needs nothing, as a file that the index has.
fn source(project: &str, version: &str) -> Wheel {
    let backend = include_str!("../../build/tests/wheels/backend.py")
        .replace("@NAME@", project)
        .replace("@VERSION@", version)
        .replace("@WHEEL@", &format!("{project}-{version}-py3-none-any.whl"))
        .replace("@LINE@", "");
    let build = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";
    let metadata = format!("Metadata-Version: 2.2\nName: {project}\nVersion: {version}\n");
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, text) in [("pyproject.toml", build), ("backend.py", &backend), ("PKG-INFO", &metadata)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("{project}-{version}/{name}"), text.as_bytes()).unwrap();
    }
    let bytes = tar.into_inner().unwrap().finish().unwrap();
    let filename = format!("{project}-{version}.tar.gz");
    Wheel { filename, bytes, ..Wheel::new(project, version, 0) }
}

/// The first image can be locked, the second cannot: neither is.
#[test]
fn all_locks_are_rewritten_or_none() {
    if !has("all_locks_are_rewritten_or_none", "uv") {
        return;
    }
    let scene = Scene::new("alpha<2\n", "beta<2\n");
    scene.locked(&[]);
    let (before, files) = ([FIRST, SECOND].map(|lock| scene.text(lock)), scene.files());
    scene.ask("first", "alpha>=2\n");
    scene.ask("second", "gamma\n");
    scene.packages.requests();
    let ran = scene.lock(&[]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("gamma"), "{}", ran.stderr);
    assert!(scene.packages.requests().iter().any(|r| r.contains("/simple/alpha/")), "the first was locked");
    assert_eq!([FIRST, SECOND].map(|lock| scene.text(lock)), before);
    assert_eq!(scene.files(), files, "nothing is left behind");
    scene.ask("second", "beta\n");
    scene.locked(&[]);
    assert!(scene.text(FIRST).unwrap().contains("alpha==2.0"));
}

#[test]
fn without_uv_it_says_how_to_get_it() {
    let scene = Scene::new("alpha\n", "beta\n");
    let files = scene.files();
    let ran = scene.program(&[]).env("PATH", "").run();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    for words in ["uv: is not installed", "pipx install uv"] {
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    }
    assert_eq!(scene.files(), files, "nothing is written");
}

/// What is built is what the locks say: whoever changed an input and did not lock hears of it.
#[test]
fn a_build_says_which_lock_is_behind() {
    let image = |name: &str| {
        format!("[image.{name}]\nversion = \"1.0\"\nbase = {{ debian = \"trixie\" }}\nfiles = \"rootfs\"\n")
    };
    let repository = Repository::new(&["first", "second"].map(image).concat());
    for name in ["first", "second"] {
        repository.lock_debs(name, &[]);
        repository.write(&format!("images/{name}/rootfs/etc/{name}"), "one\n");
    }
    let cache = tempfile::tempdir().unwrap();
    let build = || {
        let ran = Program::new(PERIJOVE, repository.path(), cache.path()).args(["build", "first"]).run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stderr
    };
    assert!(!build().contains("behind"));
    for name in ["first", "second"] {
        repository.write(&format!("images/{name}/debs.in"), "hello\n");
    }
    let said = build();
    assert!(said.contains("images/first/debs.lock is behind its input"), "{said}");
    assert!(!said.contains("second"), "{said}");
}
