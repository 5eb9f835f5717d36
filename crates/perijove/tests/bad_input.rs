//! Bad input and bad luck: a clear message with a next step, the exit code of the interface, nothing half-written.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use perijove_oci::Digest;
use perijove_testkit::layout::files_below;
use perijove_testkit::packages::{Deb, Packages, Wheel};
use perijove_testkit::program::{Program, Ran};
use perijove_testkit::repository::{APP, Repository};
use perijove_testkit::web::Answer;
use perijove_testkit::{has, is_root, skip};

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

struct Scene {
    packages: Packages,
    repository: Repository,
    cache: tempfile::TempDir,
    wheels: Vec<Wheel>,
}

impl Scene {
    fn new() -> Self {
        let debs = [Deb::new("base", "1", "all", 10_000)];
        let wheels = vec![Wheel::new("large", "1.0", 400_000), Wheel::new("small", "1.0", 100)];
        let packages = Packages::serve();
        packages.debs(&debs);
        packages.wheels(&wheels);
        let repository = Repository::app(&debs, &wheels);
        Scene { packages, repository, cache: tempfile::tempdir().unwrap(), wheels }
    }

    fn program(&self) -> Program {
        let program = Program::new(PERIJOVE, self.repository.path(), self.cache.path());
        let outputs = ["--output", "oci:out", "--output", "docker-archive:image.tar"];
        program.envs(self.packages.environment()).args(["build"]).args(outputs)
    }

    fn build(&self) -> Ran {
        self.program().run()
    }

    /// Fails when a build that did not work left something of an output, or part of a file in the cache.
    fn assert_nothing_half_written(&self) {
        for output in ["out", "image.tar"] {
            assert!(!self.repository.join(output).exists(), "{output} is there");
        }
        assert_no_remains(self.cache.path());
        assert_no_remains(self.repository.path());
    }

    /// Runs a build that must fail, and says how: exit code and message.
    fn refusal(&self) -> String {
        let ran = self.build();
        self.assert_nothing_half_written();
        assert_eq!(ran.stdout, "", "no result");
        format!("exit {}\n{}", ran.code.unwrap(), ran.stderr)
    }
}

/// Fails on temporary files: the names of all begin with a dot.
fn assert_no_remains(folder: &Path) {
    let hidden = |path: &Path| {
        let inside = path.strip_prefix(folder).unwrap();
        inside.components().any(|c| c.as_os_str().to_string_lossy().starts_with('.'))
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

#[test]
fn other_bytes_than_the_locked_ones() {
    let scene = Scene::new();
    scene.packages.instead(|asked, mut answer| {
        if asked.path.contains("large-1.0") {
            answer.body[100_000] ^= 1;
        }
        answer
    });
    assert_refusal!(scene, @r#"
    exit 1
    error: large-1.0-py3-none-any.whl: the bytes have digest sha256:[digest], the lock says sha256:[digest]
    hint: the file was changed after it was locked, or something on the way changed it; `perijove lock --upgrade-package NAME` locks it again if you trust the new bytes
    "#);
    scene.packages.as_before();
    assert_eq!(scene.build().code, Some(0), "and it goes on where it was");
}

#[test]
fn more_bytes_than_the_locked_ones() {
    let scene = Scene::new();
    scene.packages.instead(|asked, mut answer| {
        if asked.path.contains("large-1.0") {
            answer.body.extend(b"more");
        }
        answer
    });
    assert_refusal!(scene, @r#"
    exit 1
    error: http://[server]/files/large-1.0-py3-none-any.whl: more bytes than the 401587 that were expected
    hint: the mirror serves something else under this name; check the index setting
    "#);
}

#[test]
fn a_lock_for_another_platform() {
    let scene = Scene::new();
    let wheel = Wheel::tagged("native", "1.0", "cp313-cp313-manylinux_2_28_x86_64", 10);
    scene.repository.lock_wheels("app", &[wheel]);
    assert_refusal!(scene, @r#"
    exit 2
    error: images/app/requirements.txt:1: the lock has no wheel of native 1.0 for linux/arm64 (Python 3.13, glibc 2.41): it has native-1.0-cp313-cp313-manylinux_2_28_x86_64.whl
    hint: have linux/arm64 in `platforms` and run `perijove lock`
    "#);
    let scene = Scene::new();
    let lock = std::fs::read_to_string(scene.repository.join("images/app/debs.lock")).unwrap();
    scene.repository.write("images/app/debs.lock", &lock.replace(" linux/arm64", ""));
    assert_refusal!(scene, @r#"
    exit 2
    error: images/app/debs.lock: the lock is for other platforms than linux/arm64
    hint: run `perijove lock`
    "#);
}

#[test]
fn a_package_that_the_index_does_not_know() {
    let scene = Scene::new();
    scene.repository.lock_wheels("app", &[Wheel::new("nowhere", "1.0", 10)]);
    assert_refusal!(scene, @r#"
    exit 1
    error: no package index in force has a project `nowhere`: asked http://[server]/simple/
    hint: check the name, or name the right index in uv.toml or PERIJOVE_PYTHON_INDEX
    "#);
    let scene = Scene::new();
    scene.repository.lock_debs("app", &[Deb::new("nowhere", "1", "all", 10)]);
    assert_refusal!(scene, @r#"
    exit 1
    error: http://[server]/debian/pool/main/nowhere_1_all.deb: the server answered 404 Not Found
    hint: no such file there: is the lock newer than the mirror, or the package withdrawn?
    "#);
}

#[test]
fn no_index_there() {
    let scene = Scene::new();
    // A port that was free a moment ago.
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program =
        scene.program().env("PERIJOVE_PYTHON_INDEX", &format!("http://me:secret@{address}/simple/"));
    let ran = program.run();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("is the server up") && !ran.stderr.contains("secret"), "{}", ran.stderr);
    scene.assert_nothing_half_written();
}

#[test]
fn an_index_that_answers_something_else() {
    for (name, answer) in [
        ("a login page", Answer::ok("text/html", "<html><form><input type=password></form></html>")),
        ("401", Answer::status(401)),
        ("500", Answer::status(500)),
    ] {
        let scene = Scene::new();
        scene.packages.instead(
            move |asked, plain| {
                if asked.path.starts_with("/simple/large") { answer.clone() } else { plain }
            },
        );
        match name {
            "a login page" => assert_refusal!(scene, @r#"
            exit 1
            error: http://[server]/simple/large/: it answered a web page that lists no files; is it a login page?
            hint: is this the package index? check uv.toml, the UV_ variables, or PERIJOVE_PYTHON_INDEX
            "#),
            "401" => assert_refusal!(scene, @r#"
            exit 1
            error: http://[server]/simple/large/: the server answered 401 Unauthorized
            hint: the server wants other credentials: check those of uv, npm or apt
            "#),
            _ => assert_refusal!(scene, @r#"
            exit 1
            error: http://[server]/simple/large/: the server answered 500 Internal Server Error
            hint: try again later, or use a mirror
            "#),
        }
    }
}

#[test]
fn waits_as_long_as_the_server_asks() {
    let scene = Scene::new();
    let asked_at = Arc::<Mutex<Vec<Instant>>>::default();
    let times = Arc::clone(&asked_at);
    scene.packages.instead(move |asked, plain| {
        if !asked.path.starts_with("/files/large") {
            return plain;
        }
        let mut times = times.lock().unwrap();
        times.push(Instant::now());
        if times.len() > 1 {
            return plain;
        }
        Answer { headers: vec![("Retry-After", "1".to_owned())], ..Answer::status(429) }
    });
    assert_eq!(scene.build().code, Some(0));
    let times = asked_at.lock().unwrap().clone();
    assert_eq!(times.len(), 2);
    assert!(times[1] - times[0] >= Duration::from_secs(1), "it came back too early");
}

#[test]
fn a_server_that_always_says_later() {
    let scene = Scene::new();
    scene.packages.instead(|asked, plain| {
        if !asked.path.starts_with("/files/large") {
            return plain;
        }
        Answer { headers: vec![("Retry-After", "0".to_owned())], ..Answer::status(429) }
    });
    assert_refusal!(scene, @r#"
    exit 1
    error: http://[server]/files/large-1.0-py3-none-any.whl: the server answered 429 Too Many Requests
    hint: the server limits requests: wait, or use a mirror
    "#);
    let tries = scene.packages.requests().iter().filter(|p| p.starts_with("/files/large")).count();
    assert_eq!(tries, 5);
}

#[test]
fn a_cut_connection_goes_on_where_it_was() {
    let scene = Scene::new();
    let ranges = Arc::<Mutex<Vec<Option<usize>>>>::default();
    let seen = Arc::clone(&ranges);
    scene.packages.instead(move |asked, mut plain| {
        if asked.path.starts_with("/files/large") {
            let mut seen = seen.lock().unwrap();
            seen.push(asked.from);
            if seen.len() < 3 {
                plain.cut = Some(150_000);
            }
        }
        plain
    });
    let result = scene.program().args(["--format", "json"]).run().json();
    assert_eq!(*ranges.lock().unwrap(), [None, Some(150_000), Some(300_000)]);
    // No byte came twice: packages, their two index pages, nothing else.
    let packages: usize = scene.wheels.iter().map(|w| w.bytes.len()).sum();
    let fetched = usize::try_from(result["fetched_bytes"].as_u64().unwrap()).unwrap();
    assert!((packages..packages + 20_000).contains(&fetched), "{fetched} bytes for {packages}");
}

#[test]
fn a_full_disk() {
    let test = "a_full_disk";
    if !is_root() {
        return skip(test, "only root can mount a small file system");
    }
    if !has(test, "unshare") {
        return;
    }
    let scene = Scene::new();
    let cache = scene.cache.path().display().to_string();
    // In a mount namespace of its own, so that nothing stays mounted; the last words are what lies half-written.
    let script = format!(
        "mount -t tmpfs -o size=300k none {cache} || exit 77; \"$@\"; code=$?; find {cache} -name '.*' -type f; exit $code"
    );
    let ran = scene.program().under(&["unshare", "--mount", "sh", "-c", &script, "sh"]).run();
    if ran.code == Some(77) {
        return skip(test, "this machine lets nobody mount");
    }
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(ran.stdout, "", "files are left half-written");
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: free some disk space"), "{}", ran.stderr);
    scene.assert_nothing_half_written();
}

/// The bytes of all that was written.
fn outputs(repository: &Repository) -> Vec<(String, Digest)> {
    let mut files = files_below(&repository.join("out"));
    files.push(repository.join("image.tar"));
    let digest = |path: &Path| Digest::sha256(&std::fs::read(path).unwrap());
    files
        .iter()
        .map(|p| (p.strip_prefix(repository.path()).unwrap().display().to_string(), digest(p)))
        .collect()
}

#[test]
fn two_builds_at_once_in_one_folder() {
    let alone = Scene::new();
    assert_eq!(alone.build().code, Some(0));
    let scene = Scene::new();
    let builds: Vec<_> = (0..3).map(|_| scene.program().start()).collect();
    for build in builds {
        let ran = build.end();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    assert_eq!(outputs(&scene.repository), outputs(&alone.repository));
    assert_no_remains(scene.cache.path());
    assert_no_remains(scene.repository.path());
}

#[test]
fn an_interrupt_while_packages_come() {
    let scene = Scene::new();
    let (here, arrived) = channel();
    let here = Mutex::new(here);
    scene.packages.instead(move |asked, mut plain| {
        if asked.path.starts_with("/files/large") {
            // Half of it now, and the rest never: the connection stays open until the client goes.
            plain.cut = Some(100_000);
            let _ = here.lock().unwrap().send(());
            if asked.from.is_some() {
                std::thread::sleep(Duration::from_secs(60));
            }
        }
        plain
    });
    let build = scene.program().start();
    arrived.recv_timeout(Duration::from_secs(60)).unwrap();
    arrived.recv_timeout(Duration::from_secs(60)).unwrap();
    build.interrupt();
    let ran = build.end();
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("error: interrupted") && ran.stderr.contains("hint: run it again"),
        "{}",
        ran.stderr
    );
    scene.assert_nothing_half_written();
    scene.packages.as_before();
    assert_eq!(scene.build().code, Some(0));
}

#[test]
fn an_interrupt_at_any_moment() {
    let alone = Scene::new();
    let start = Instant::now();
    assert_eq!(alone.build().code, Some(0));
    let took = start.elapsed();
    let expected = outputs(&alone.repository);
    let ends = AtomicUsize::new(0);
    for moment in 0..8u32 {
        let scene = Scene::new();
        let build = scene.program().start();
        std::thread::sleep(took * moment / 8);
        build.interrupt();
        let ran = build.end();
        // Before the program listens, the signal ends it; late, the build is done.
        assert!(matches!(ran.code, None | Some(0 | 1)), "{ran:?}");
        if ran.code == Some(1) {
            ends.fetch_add(1, Ordering::Relaxed);
            assert_no_remains(scene.cache.path());
            assert_no_remains(scene.repository.path());
        }
        // Each output is whole or not there.
        for (name, digest) in &expected {
            let whole = |path: &Path| Digest::sha256(&std::fs::read(path).unwrap()) == *digest;
            let path = scene.repository.join(name);
            assert!(!path.exists() || whole(&path), "{name} is half-written at moment {moment}");
        }
        if scene.repository.join("out/index.json").exists() {
            let inside = expected.iter().filter(|(name, _)| name.starts_with("out/"));
            for (name, _) in inside {
                assert!(scene.repository.join(name).exists(), "{name} is missing at moment {moment}");
            }
        }
        assert_eq!(scene.build().code, Some(0), "and then it works");
        assert_eq!(outputs(&scene.repository), expected);
    }
    eprintln!("{} of 8 were ended half-way", ends.into_inner());
}

#[test]
fn a_wrong_perijove_toml() {
    let scene = Scene::new();
    scene.repository.write("perijove.toml", &APP.replace("python =", "pyton ="));
    assert_refusal!(scene, @r#"
    exit 2
    error: perijove.toml:8: unknown field `pyton`, expected one of `description`, `version-from`, `version`, `base`, `python`, `python-version`, `glibc`, `npm`, `files`, `user`, `user-name`, `home`, `directories`, `env`, `workdir`, `entrypoint`, `command`, `ports`, `labels`, `dockerfile`, `test`
    hint: docs/configuration.md lists every key
    "#);
    scene.repository.write("perijove.toml", &APP.replace("trixie\" }", "trixie\" "));
    assert_refusal!(scene, @r#"
    exit 2
    error: perijove.toml:8: missing comma between key-value pairs, expected `,`
    hint: docs/configuration.md lists every key
    "#);
    scene.repository.write("perijove.toml", &APP.replace("\"1000:1000\"", "\"jovyan\""));
    assert_refusal!(scene, @r#"
    exit 2
    error: perijove.toml: image.app: user `jovyan` is not uid:gid in numbers
    hint: say user = "1000:1000"
    "#);
    scene.repository.write("perijove.toml", &APP.replace("version = \"1.0\"", "version-from = \"nothing\""));
    assert_refusal!(scene, @r#"
    exit 2
    error: perijove.toml: image.app: version-from names `nothing`, which no lock of the image has
    hint: name a package in requirements.txt, package-lock.json or debs.lock, or run `perijove lock`
    "#);
    scene.repository.write("perijove.toml", &APP.replace("\"requirements.txt\"", "\"missing.txt\""));
    assert_refusal!(scene, @r#"
    exit 2
    error: [repository]/images/app/missing.txt: there is no such file
    hint: write the locks with `perijove lock`
    "#);
    scene.repository.write("perijove.toml", &APP.replace("\"rootfs\"", "\"missing\""));
    assert_refusal!(scene, @r#"
    exit 2
    error: perijove.toml: image.app: `files` names images/app/missing, which is no folder
    hint: make the folder, or take `files` out
    "#);
    std::fs::remove_file(scene.repository.join("perijove.toml")).unwrap();
    assert_refusal!(scene, @r#"
    exit 2
    error: [repository]: no perijove.toml here or in any folder above
    hint: go to an image repository (or give its folder by -C), or write a perijove.toml: docs/configuration.md
    "#);
}

#[test]
fn wrong_usage() {
    let scene = Scene::new();
    for arguments in
        [&["build", "nobody"][..], &["build", "--output", "tar:x"], &["build", "--platform", "linux/s390x"]]
    {
        let program = Program::new(PERIJOVE, scene.repository.path(), scene.cache.path());
        let ran = program.args(arguments.iter().copied()).run();
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    let program = scene.program().env("SOURCE_DATE_EPOCH", "yesterday");
    let ran = program.run();
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("SOURCE_DATE_EPOCH is `yesterday`"), "{}", ran.stderr);
    scene.assert_nothing_half_written();
}
