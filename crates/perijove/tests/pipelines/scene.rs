//! An image repository at GitHub, with the pipelines of `perijove init`, registries and a package index.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use perijove_oci::Reference;
use perijove_oci::client::Client;
use perijove_oci::report::Silent;
use perijove_testkit::freezes::tiny_base;
use perijove_testkit::packages::{Packages, Wheel};
use perijove_testkit::program::Program;
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;
use perijove_testkit::workflow::actions::git;
use perijove_testkit::workflow::github::GitHub;

pub const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// What the embedded registry lets nobody overwrite.
const BUILDS: &[&str] = &["--create-only", r"\d+\.\d+\.\d+.*-\d+"];

pub struct Scene {
    pub github: GitHub,
    pub registry: Registry,
    pub packages: Packages,
    /// The maintainer's checkout.
    pub checkout: Repository,
    pub cache: tempfile::TempDir,
}

impl Scene {
    /// One image, `app`, of wheels on an empty base. `main` is pushed, with what `inputs` ask for.
    pub fn new(inputs: &str, wheels: &[Wheel]) -> Self {
        Scene::on("main", inputs, wheels)
    }

    /// The same with another default branch.
    pub fn on(branch: &str, inputs: &str, wheels: &[Wheel]) -> Self {
        let registry = Registry::with(PERIJOVE, BUILDS);
        let packages = Packages::serve();
        packages.wheels(wheels);
        let cache = tempfile::tempdir().unwrap();
        let github = GitHub::new(PERIJOVE).default_branch(branch).envs(packages.environment());
        let github = github.env("XDG_CACHE_HOME", &cache.path().display().to_string());
        let scene = Scene::with(github, registry, packages, cache, "app");
        scene.checkout.write("images/app/requirements.in", inputs);
        scene.lock();
        scene.commit("First images");
        scene.github.push(scene.checkout.path(), branch);
        scene
    }

    /// The same without inputs and commits.
    pub fn with(
        github: GitHub,
        registry: Registry,
        packages: Packages,
        cache: tempfile::TempDir,
        package: &str,
    ) -> Self {
        let address = &registry.address;
        let branch = github.git(&["symbolic-ref", "--short", "HEAD"]);
        let base = tiny_base(PERIJOVE, &registry);
        let toml = format!(
            "[repository]\nregistries = [\"{address}/team\"]\nstaging = \"{address}/staging\"\n\
             platforms = [\"linux/amd64\"]\ndefault-branch = {branch:?}\n\n[image.app]\nversion-from = \"{package}\"\n\
             base = {{ image = \"{base}\" }}\npython = \"requirements.txt\"\npython-version = \"3.13\"\n\
             glibc = \"2.41\"\n"
        );
        let checkout = Repository::new(&toml);
        git(checkout.path(), &["init", "--quiet", "-b", &branch]);
        git(checkout.path(), &["remote", "add", "origin", "https://github.com/example/images"]);
        let program = Program::new(PERIJOVE, checkout.path(), cache.path());
        let ran = program.args(["init", "--pipelines"]).run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        checkout.write(".gitignore", ".perijove/\n");
        Scene { github, registry, packages, checkout, cache }
    }

    /// Locks in the maintainer's checkout.
    pub fn lock(&self) {
        let program = Program::new(PERIJOVE, self.checkout.path(), self.cache.path());
        let ran = program.envs(self.packages.environment()).args(["lock"]).run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }

    /// Commits all that the maintainer has changed.
    pub fn commit(&self, message: &str) {
        git(self.checkout.path(), &["add", "--all"]);
        git(self.checkout.path(), &["commit", "--quiet", "--message", message]);
    }

    /// Goes on from what `branch` is at GitHub, on a branch of another name.
    pub fn start(&self, branch: &str, from: &str) {
        let origin = self.github.origin();
        let from = format!("refs/heads/{from}");
        git(self.checkout.path(), &["fetch", "--quiet", origin.to_str().unwrap(), &from]);
        git(self.checkout.path(), &["checkout", "--quiet", "-B", branch, "FETCH_HEAD"]);
    }

    /// Every tag with its digest, of a repository below the registry.
    pub fn tags(&self, repository: &str) -> BTreeMap<String, String> {
        tags(&format!("{}/{repository}", self.registry.address))
    }
}

/// Every tag with its digest.
pub fn tags(repository: &str) -> BTreeMap<String, String> {
    let repository: Reference = repository.parse().unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let client = Client::new(Arc::new(Silent)).unwrap();
        let mut tags = BTreeMap::new();
        for tag in client.tags(&repository).await.unwrap() {
            let found = client.head(&repository.with_tag(&tag)).await.unwrap().unwrap();
            tags.insert(tag, found.digest.to_string());
        }
        tags
    })
}

/// This repository's own root.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}
