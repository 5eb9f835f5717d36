//! docker buildx with a BuildKit of the test's own: no engine, no network, nothing left on the machine.
//!
//! `docker` itself only hands `docker buildx …` to the plug-in; a script does that here, so that no engine has to
//! be installed for its client.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use perijove_testkit::program::Program;
use perijove_testkit::{has, is_root, skip};

use crate::scene::*;

/// A running buildkitd, and a buildx that builds by it.
struct BuildKit {
    daemon: Child,
    folder: tempfile::TempDir,
}

impl BuildKit {
    /// Nothing where the test has to be skipped.
    fn start(test: &str) -> Option<Self> {
        if !is_root() || busybox().is_none() {
            skip(test, "needs root and a static busybox for its base");
            return None;
        }
        if !has(test, "runc") || !has(test, "buildkitd") {
            return None;
        }
        if !Command::new("buildx").arg("version").output().is_ok_and(|o| o.status.success()) {
            skip(test, "buildx is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let (at, log) = (|name: &str| folder.path().join(name), folder.path().join("log"));
        std::fs::write(at("empty.toml"), "").unwrap();
        let docker = "#!/bin/sh\n[ \"$1\" = buildx ] || { echo 'Cannot connect to the Docker daemon' >&2; exit 1; }\n\
                      shift\nexec buildx \"$@\"\n";
        std::fs::create_dir(at("bin")).unwrap();
        std::fs::write(at("bin/docker"), docker).unwrap();
        std::fs::set_permissions(at("bin/docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let address = format!("unix://{}", at("socket").display());
        // Copies instead of overlays: no mount outlives a build.
        let daemon = Command::new("buildkitd")
            .arg("--config")
            .arg(at("empty.toml"))
            .arg("--root")
            .arg(at("root"))
            .args(["--addr", &address, "--containerd-worker=false", "--oci-worker=true"])
            .args(["--oci-worker-binary=runc", "--oci-worker-snapshotter=native", "--oci-worker-net=host"])
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut started = BuildKit { daemon, folder };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !started.folder.path().join("socket").exists() {
            let said = || std::fs::read_to_string(&log).unwrap();
            assert!(started.daemon.try_wait().unwrap().is_none(), "buildkitd ended: {}", said());
            assert!(Instant::now() < deadline, "buildkitd does not listen: {}", said());
            std::thread::sleep(Duration::from_millis(20));
        }
        let create = Command::new("buildx")
            .args(["create", "--name", "perijove", "--driver", "remote", "--use", &address])
            .env("DOCKER_CONFIG", started.folder.path().join("config"))
            .output()
            .unwrap();
        assert!(create.status.success(), "{}", String::from_utf8_lossy(&create.stderr));
        Some(started)
    }

    /// `program`, with this builder as the one of `docker buildx`.
    fn with(&self, program: Program) -> Program {
        let at = |name: &str| self.folder.path().join(name);
        let path = format!("{}:{}", at("bin").display(), std::env::var("PATH").unwrap());
        let config = at("config").display().to_string();
        program.env("PERIJOVE_BUILDER", "docker").env("PATH", &path).env("DOCKER_CONFIG", &config)
    }
}

impl Drop for BuildKit {
    fn drop(&mut self) {
        let id = rustix::process::Pid::from_child(&self.daemon);
        let _ended = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        let _waited = self.daemon.wait();
    }
}

fn work_left(cache: &Path) -> Vec<PathBuf> {
    let work = std::fs::read_dir(cache.join("perijove/dockerfile/work")).unwrap();
    work.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with("lock")).collect()
}

#[test]
fn buildx_builds_on_a_parent_of_this_repository() {
    let Some(buildkit) = BuildKit::start("buildx_builds_on_a_parent_of_this_repository") else { return };
    let scene = Scene::new(ON_HUB, FROM_HUB);
    let build = |more: &[&str]| {
        let program = buildkit.with(scene.program());
        program.args(["build", "--format", "json", "--output", "oci:out"]).args(more.iter().copied()).run()
    };
    let first = build(&[]);
    assert!(first.stderr.contains("RUN echo version"), "{}", first.stderr);
    let first = first.json();
    let layers = |image: usize| -> Vec<String> {
        let layers = first["images"][image]["platforms"][0]["layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    };
    let (below, app) = (layers(0), layers(1));
    assert!(app.len() > below.len() && app.starts_with(&below), "the parent's layers are kept as they are");
    let made = |result: &serde_json::Value| {
        let digest = result["images"][1]["platforms"][0]["digest"].as_str().unwrap();
        let files = files(&scene.out(), digest);
        [files["srv/version"].content.clone(), files["srv/input"].content.clone()]
    };
    assert_eq!(made(&first), [b"version 1.2.3\n".to_vec(), b"one\n".to_vec()]);

    let rebuilt = build(&["--rebuild"]).json();
    assert_eq!(rebuilt["images"], first["images"], "two runs of the builder differ");
    scene.repository.write("images/app/input", "two\n");
    assert_eq!(made(&build(&[]).json())[1], b"two\n");
    assert_eq!(work_left(scene.cache.path()), [""; 0].map(PathBuf::from));
}

#[test]
fn buildx_says_what_failed() {
    let Some(buildkit) = BuildKit::start("buildx_says_what_failed") else { return };
    let scene = Scene::new(ALONE, "FROM scratch\nCOPY busybox /bin/sh\nRUN echo the reason; exit 7\n");
    let ran = buildkit.with(scene.program()).args(["build", "app", "--output", "oci:out"]).run();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    let error = &ran.stderr[ran.stderr.find("error: ").unwrap()..];
    assert!(error.contains("images/app/Dockerfile") && error.contains("the reason"), "{error}");
    assert!(!scene.repository.join("out").exists());
    assert_eq!(work_left(scene.cache.path()), [""; 0].map(PathBuf::from));
}
