//! What every test here plays in: a repository of images from Dockerfiles, and a static busybox for their bases.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use perijove_testkit::layout::{Layout, Node};
use perijove_testkit::packages::{Deb, Packages};
use perijove_testkit::program::{Program, Ran};
use perijove_testkit::repository::Repository;
use perijove_testkit::{has, is_root, skip};
use serde_json::Value;

use crate::PERIJOVE;

/// An image without a base, for this machine.
pub const ALONE: &str = "[image.app]\nversion = \"1.2.3\"\ndockerfile = \"Dockerfile\"\n";

/// `hub` is made of locks and has a shell; `app` stands on it.
pub const ON_HUB: &str = r#"
[repository]
source = "https://git.example/team/images"
[image.hub]
version = "5.0"
base = { debian = "trixie" }
files = "rootfs"
env = { PATH = "/bin" }
[image.app]
version = "1.2.3"
dockerfile = "Dockerfile"
base = { parent = "hub" }
[[image.app.test]]
run = ["cat", "/srv/version"]
expect = "{version}"
"#;

pub const FROM_HUB: &str = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG VERSION\n\
                        COPY input /srv/input\nRUN echo version $VERSION > /srv/version\n";

/// Steps that take from another stage what that made of the input.
pub const TWO_STAGES: &str = "FROM scratch AS base\nCOPY busybox /bin/sh\nCOPY busybox /bin/cp\n\
                          FROM base AS stage\nCOPY input /in/input\nRUN cp /in/input /in/made\n\
                          FROM base\nRUN --mount=type=bind,from=stage,source=/in,target=/mnt cp /mnt/made /made\n";

pub fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.exists())
}

/// Whether buildah can be run here.
pub fn ready(test: &str) -> bool {
    if !is_root() {
        skip(test, "buildah is run as root here");
        return false;
    }
    if busybox().is_none() {
        skip(test, "no static busybox (Debian: busybox-static)");
        return false;
    }
    has(test, "buildah")
}

/// A repository, a cache and made packages.
pub struct Scene {
    pub repository: Repository,
    pub cache: tempfile::TempDir,
    pub packages: Packages,
}

impl Scene {
    pub fn new(toml: &str, dockerfile: &str) -> Self {
        let scene = Scene {
            repository: Repository::new(toml),
            cache: tempfile::tempdir().unwrap(),
            packages: Packages::serve(),
        };
        scene.repository.write("images/app/Dockerfile", dockerfile);
        scene.repository.write("images/app/input", "one\n");
        if toml.contains("image.hub") {
            let debs = [Deb::new("base", "1", "all", 1_000)];
            scene.packages.debs(&debs);
            scene.repository.lock_debs("hub", &debs);
            scene.busybox("images/hub/rootfs/bin", &["sh", "cat", "echo"]);
        } else {
            scene.busybox("images/app", &["busybox"]);
        }
        scene
    }

    pub fn busybox(&self, folder: &str, names: &[&str]) {
        let Some(program) = busybox() else { return };
        let folder = self.repository.join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        for name in names {
            std::fs::copy(&program, folder.join(name)).unwrap();
        }
    }

    pub fn program(&self) -> Program {
        self.with_cache(self.cache.path())
    }

    pub fn with_cache(&self, cache: &Path) -> Program {
        let program = Program::new(PERIJOVE, self.repository.path(), cache);
        program.envs(self.packages.environment()).env("PERIJOVE_BUILDER", "buildah")
    }

    pub fn build(&self) -> Ran {
        self.program().args(["build", "app", "--format", "json", "--output", "oci:out"]).run()
    }

    /// The last image that was built to `out`.
    pub fn out(&self) -> Layout {
        Layout(self.repository.join("out"))
    }

    /// Fails when a builder left a file, a mount or a process.
    pub fn assert_nothing_left(&self) {
        let work = self.cache.path().join("perijove/dockerfile/work");
        let left: Vec<PathBuf> = std::fs::read_dir(&work).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(left, [work.join("lock")]);
        let cache = self.cache.path().display().to_string();
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&cache), "{mounts}");
        assert_eq!(processes(&cache), [""; 0]);
    }
}

/// Command lines of processes that name `text`; of those that have ended, nothing is left to read.
pub fn processes(text: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}

/// The manifest of the only platform of the only image.
pub fn manifest(result: &Value) -> String {
    result["images"][0]["platforms"][0]["digest"].as_str().unwrap().to_owned()
}

/// What is in the image. Names of a builder's own have a `./` or a `/` in some versions.
pub fn files(layout: &Layout, manifest: &str) -> BTreeMap<String, Node> {
    let files = layout.files(manifest).into_iter();
    files.map(|(name, node)| (name.trim_start_matches(['.', '/']).to_owned(), node)).collect()
}
