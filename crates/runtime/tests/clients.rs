//! podman and docker, through the program of the tests. podman gets settings and a storage of its own.

// Helpers of tests, too.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use perijove_oci::Config;
use support::*;

const PODMAN: Way = Way { who: Who::Me, runtime: "podman" };

/// podman with runc: works as root on machines with either version of cgroups.
struct Podman {
    place: Place,
    layout: Layout,
}

impl Podman {
    fn new(test: &str) -> Option<Podman> {
        if !is_root() {
            skip(test, "needs root");
            return None;
        }
        if !has(test, "podman") || !has(test, "runc") {
            return None;
        }
        let place = Place::new();
        let folder = place.folder.path();
        let engine = "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\ncgroups = \"enabled\"\n\
                      [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n";
        fs::write(folder.join("containers.conf"), engine).unwrap();
        let storage = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{0}/storage\"\nrunroot = \"{0}/run\"\n",
            folder.display()
        );
        fs::write(folder.join("storage.conf"), storage).unwrap();
        let Some(layout) = busybox(&folder.join("image"), Config::default(), &[]) else {
            skip(test, "no static busybox (Debian: busybox-static)");
            return None;
        };
        Some(Podman { place, layout })
    }

    fn with_settings<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let folder = self.place.folder.path();
        command
            .env("CONTAINERS_CONF", folder.join("containers.conf"))
            .env("CONTAINERS_STORAGE_CONF", folder.join("storage.conf"))
    }

    fn run(&self, arguments: &[&str], command: &[&str]) -> Output {
        let mut run = self.place.command(PODMAN, &self.layout, arguments, command);
        self.with_settings(&mut run).output().unwrap()
    }

    fn containers(&self) -> String {
        self.says(&["ps", "--all", "--quiet"])
    }

    fn images(&self) -> String {
        self.says(&["images", "--all", "--format", "{{.Repository}}:{{.Tag}}"])
    }

    fn says(&self, arguments: &[&str]) -> String {
        let mut podman = Command::new("podman");
        podman.args(arguments);
        text(&self.with_settings(&mut podman).output().unwrap().stdout)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // The storage's own mounts would keep the folder from being removed.
        let mut reset = Command::new("podman");
        reset.args(["system", "reset", "--force"]).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = self.with_settings(&mut reset).status();
    }
}

#[test]
fn podman_loads_runs_and_leaves_nothing() {
    let Some(podman) = Podman::new("podman_loads_runs_and_leaves_nothing") else { return };
    let out = podman
        .run(&["--env", "GREETING=hello", "--user", "hub"], &["sh", "-c", "echo $GREETING; id -u; exit 7"]);
    assert_eq!(
        (text(&out.stdout).as_str(), out.status.code()),
        ("hello\n1000\n", Some(7)),
        "{}",
        text(&out.stderr)
    );
    let out = podman.run(&["--own-network"], &["ls", "/sys/class/net"]);
    assert_eq!(text(&out.stdout), "lo\n", "{}", text(&out.stderr));
    assert_eq!((podman.containers().as_str(), podman.images().as_str()), ("", ""));
    let mut run = podman.place.command(PODMAN, &podman.layout, &[], &["sh", "-c", "echo up; exec sleep 600"]);
    let mut child = podman.with_settings(&mut run).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line)
        .unwrap();
    assert_eq!(line, "up\n");
    assert_ne!(podman.containers(), "");
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !podman.containers().is_empty() {
        assert!(Instant::now() < deadline, "{}", podman.containers());
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn docker_without_an_engine_is_said_so() {
    let place = Place::new();
    let layout = Layout::write(&place.folder.path().join("image"), &[], Config::default());
    // A socket that nobody listens on: a client may be there, an engine is not.
    let run = |runtime: &'static str, path: &str| {
        let mut run = place.command(Way { who: Who::Me, runtime }, &layout, &[], &["true"]);
        run.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").env("PATH", path).output().unwrap()
    };
    let path = std::env::var("PATH").unwrap_or_default();
    let out = run("docker", &path);
    let stderr = text(&out.stderr);
    assert_eq!(out.status.code(), Some(125));
    assert!(stderr.contains("error: docker cannot be used: "), "{stderr}");
    assert!(stderr.contains("hint: install or start docker, or use `--runtime builtin`"), "{stderr}");
    let out = run("auto", &path);
    let stderr = text(&out.stderr);
    let choice = stderr.lines().next().unwrap();
    assert!(choice.starts_with("note: container runtime: ") && choice.contains("docker: "), "{stderr}");
    assert!(!choice.starts_with("note: container runtime: docker"), "{stderr}");
}

/// Root of a container that was given no right to make another one.
#[test]
fn root_without_capabilities_is_told_before_anything_is_done() {
    let test = "root_without_capabilities_is_told_before_anything_is_done";
    if !is_root() {
        return skip(test, "needs root");
    }
    let place = Place::new();
    let Some(layout) = busybox(&place.folder.path().join("image"), Config::default(), &[]) else {
        return skip(test, "no static busybox (Debian: busybox-static)");
    };
    let run = |runtime: &'static str| {
        let whole = place.command(Way { who: Who::Me, runtime }, &layout, &[], &["true"]);
        let mut run = Command::new("setpriv");
        run.arg("--bounding-set=-all").arg("--").arg(whole.get_program()).args(whole.get_args());
        let out = run.env("DOCKER_HOST", "unix:///nonexistent/docker.sock").output().unwrap();
        (out.status.code(), text(&out.stderr))
    };
    let refused = |stderr: &str| {
        assert!(!stderr.contains("note: container runtime: "), "chosen all the same: {stderr}");
        assert!(stderr.contains("cannot be used: "), "{stderr}");
        assert!(stderr.contains("--cap-add SYS_ADMIN") && !stderr.contains("run as root"), "{stderr}");
    };
    if has(test, "runc") {
        let (code, stderr) = run("runc");
        assert_eq!(code, Some(125), "{stderr}");
        refused(&stderr);
    }
    // Before Linux 5.12 such a root still may map itself, and the built-in runtime works.
    for runtime in ["auto", "builtin"] {
        match run(runtime) {
            (Some(0), stderr) => assert!(stderr.contains("container runtime: builtin"), "{stderr}"),
            (code, stderr) => {
                assert_eq!(code, Some(125), "{stderr}");
                refused(&stderr);
            }
        }
    }
}
