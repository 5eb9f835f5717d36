//! What every test here plays in.

use std::path::Path;

use perijove_oci::Digest;
use perijove_testkit::layout::files_below;
use perijove_testkit::npm::Npm;
use perijove_testkit::packages::{Deb, Packages, Wheel};
use perijove_testkit::program::{Program, Ran};
use perijove_testkit::repository::Repository;

use crate::PERIJOVE;

/// An image repository, the servers of its packages, an empty cache and an empty folder for temporary files.
pub struct Scene {
    pub packages: Packages,
    pub repository: Repository,
    pub cache: tempfile::TempDir,
    pub temporary: tempfile::TempDir,
    pub wheels: Vec<Wheel>,
}

impl Scene {
    pub fn new() -> Self {
        let debs = [Deb::new("base", "1", "all", 10_000)];
        let wheels = vec![Wheel::new("large", "1.0", 400_000), Wheel::new("small", "1.0", 100)];
        let packages = Packages::serve();
        packages.debs(&debs);
        packages.wheels(&wheels);
        let repository = Repository::app(&debs, &wheels);
        Scene::of(packages, repository, wheels)
    }

    /// The same with an npm package: `base_1_all.deb`, `large` and `small`, `module-1.0.0.tgz`.
    pub fn of_every_kind() -> Self {
        let scene = Scene::new();
        let npm = [Npm::new("module", "1.0.0", 10_000)];
        scene.packages.npm(&npm);
        scene.repository.lock_npm("app", &npm);
        scene
    }

    pub fn of(packages: Packages, repository: Repository, wheels: Vec<Wheel>) -> Self {
        let folder = || tempfile::tempdir().unwrap();
        Scene { packages, repository, cache: folder(), temporary: folder(), wheels }
    }

    /// A command line that begins with these words.
    pub fn perijove(&self, words: &[&str]) -> Program {
        let program = Program::new(PERIJOVE, self.repository.path(), self.cache.path());
        let program = program.env("TMPDIR", &self.temporary.path().display().to_string());
        program.envs(self.packages.environment()).args(words.iter().copied())
    }

    /// A build with two outputs.
    pub fn program(&self) -> Program {
        self.perijove(&["build", "--output", "oci:out", "--output", "docker-archive:image.tar"])
    }

    pub fn build(&self) -> Ran {
        self.program().run()
    }

    /// Fails when a build that did not work left something of an output, or part of a file in the cache.
    pub fn assert_nothing_half_written(&self) {
        for output in ["out", "image.tar"] {
            assert!(!self.repository.join(output).exists(), "{output} is there");
        }
        assert_no_remains(self.cache.path());
        assert_no_remains(self.repository.path());
        self.assert_nothing_temporary();
    }

    /// Fails when a command that ended left a temporary file or folder.
    pub fn assert_nothing_temporary(&self) {
        let left: Vec<_> = std::fs::read_dir(&self.temporary).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// Runs a build that must fail, and says how: exit code and message.
    pub fn refusal(&self) -> String {
        let ran = self.build();
        self.assert_nothing_half_written();
        assert_eq!(ran.stdout, "", "no result");
        format!("exit {}\n{}", ran.code.unwrap(), ran.stderr)
    }
}

/// Fails on temporary files: the names of all begin with a dot. What npm writes into its user's home is npm's.
pub fn assert_no_remains(folder: &Path) {
    let hidden = |path: &Path| {
        let inside = path.strip_prefix(folder).unwrap();
        !inside.starts_with(".npm")
            && inside.components().any(|c| c.as_os_str().to_string_lossy().starts_with('.'))
    };
    let remains: Vec<_> = files_below(folder).into_iter().filter(|path| hidden(path)).collect();
    assert!(remains.is_empty(), "half-written: {remains:?}");
}

macro_rules! assert_refusal {
    ($scene:expr, @$expected:literal) => {{
        let scene = &$scene;
        let folder = scene.repository.path().display().to_string();
        let cache = scene.cache.path().display().to_string();
        insta::with_settings!({
            filters => [
                (r"127\.0\.0\.1:\d+", "[server]"),
                (folder.as_str(), "[repository]"),
                (cache.as_str(), "[cache]"),
                (r"sha256:[0-9a-f]{64}", "sha256:[digest]"),
                (r"(?m) +$", ""),
            ]
        }, { insta::assert_snapshot!(scene.refusal(), @$expected) });
    }};
}

/// The bytes of all that was written.
pub fn outputs(repository: &Repository) -> Vec<(String, Digest)> {
    let mut files = files_below(&repository.join("out"));
    files.push(repository.join("image.tar"));
    let digest = |path: &Path| Digest::sha256(&std::fs::read(path).unwrap());
    files
        .iter()
        .map(|p| (p.strip_prefix(repository.path()).unwrap().display().to_string(), digest(p)))
        .collect()
}
