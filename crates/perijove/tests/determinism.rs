//! Equal locks make equal images, whoever builds them, where, when and how.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use perijove_oci::Digest;
use perijove_testkit::layout::files_below;
use perijove_testkit::npm::Npm;
use perijove_testkit::packages::{Deb, Packages, Wheel};
use perijove_testkit::program::Program;
use perijove_testkit::repository::Repository;
use perijove_testkit::{has, is_root, skip};

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// An ordinary user's number that no machine has given away.
const USER: &str = "54321";

/// One way to build.
struct Way {
    name: &'static str,
    under: &'static [&'static str],
    env: &'static [(&'static str, &'static str)],
    /// More words of the command line.
    words: &'static [&'static str],
    /// Permission bits that nobody has on the repository's files, as after a checkout with this umask.
    umask: u32,
    /// What is taken from the first way's cache.
    warm: &'static [&'static str],
    /// Parts of the paths that the server of packages answers late.
    late: &'static [&'static str],
    user: bool,
}

const PLAIN: Way = Way {
    name: "as it is",
    under: &[],
    env: &[],
    words: &[],
    umask: 0o022,
    warm: &[],
    late: &[],
    user: false,
};

const WAYS: &[Way] = &[
    PLAIN,
    Way {
        name: "umask 0077, another locale and time zone",
        under: &["sh", "-c", "umask 0077; exec \"$@\"", "sh"],
        env: &[("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Pacific/Kiritimati"), ("LANG", "de_DE")],
        umask: 0o077,
        ..PLAIN
    },
    Way {
        name: "umask 0000",
        under: &["sh", "-c", "umask 0000; exec \"$@\"", "sh"],
        env: &[("LC_ALL", "C"), ("TZ", "America/St_Johns")],
        umask: 0,
        ..PLAIN
    },
    Way { name: "one core", under: &["taskset", "-c", "0"], ..PLAIN },
    Way { name: "warm", warm: &["downloads", "layers"], ..PLAIN },
    Way { name: "packages are there", warm: &["downloads"], ..PLAIN },
    Way { name: "layers are there", warm: &["layers"], ..PLAIN },
    Way {
        name: "packages come in another order",
        late: &["libc6_", "large-", "small_0-", "small_4-", "/simple/native"],
        ..PLAIN
    },
    Way {
        name: "platforms the other way round, one of them twice",
        words: &["--platform", "linux/arm64,linux/amd64,linux/arm64"],
        ..PLAIN
    },
    Way {
        name: "another user",
        under: &["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"],
        env: &[("USER", "somebody")],
        umask: 0o002,
        user: true,
        ..PLAIN
    },
];

/// Late is after this one, which is asked for after all those of the platform that are late.
const FIRST: &str = "/files/small_9-";

/// Has `server` answer some requests late; gives the paths in the order in which they were answered.
fn answer_late(server: &Packages, late: &'static [&'static str]) -> Arc<Mutex<Vec<String>>> {
    let answered = Arc::<Mutex<Vec<String>>>::default();
    let log = Arc::clone(&answered);
    let came = Condvar::new();
    server.instead(move |asked, answer| {
        let mut log = log.lock().unwrap();
        if late.iter().any(|part| asked.path.contains(part)) {
            let waits = |log: &mut Vec<String>| !log.iter().any(|path| path.starts_with(FIRST));
            log = came.wait_timeout_while(log, Duration::from_secs(60), waits).unwrap().0;
        }
        log.push(asked.path.clone());
        came.notify_all();
        answer
    });
    answered
}

fn packages() -> (Vec<Deb>, Vec<Wheel>) {
    let debs = vec![
        Deb::new("libc6", "2.41-1", "amd64", 2 << 20),
        Deb::new("libc6", "2.41-1", "arm64", 2 << 20),
        Deb::new("tzdata", "2026a-1", "all", 5_000),
    ];
    let mut wheels: Vec<Wheel> =
        (0..12).map(|n| Wheel::new(&format!("small-{n}"), "1.0", 1_000 * n)).collect();
    wheels.push(Wheel::new("large", "2.0", 300_000));
    wheels.push(Wheel::tagged("native", "3.0", "cp313-cp313-manylinux_2_28_x86_64", 900_000));
    wheels.push(Wheel::tagged("native", "3.0", "cp313-cp313-manylinux_2_28_aarch64", 900_000));
    (debs, wheels)
}

/// The image as the result tells, and the digest of every file that was written of it.
type Outputs = (String, BTreeMap<String, Digest>);

fn outputs(repository: &Path, images: &serde_json::Value) -> Outputs {
    let files = files_below(&repository.join("out")).into_iter().map(|path| {
        let name = path.strip_prefix(repository).unwrap().display().to_string();
        (name, Digest::sha256(&std::fs::read(path).unwrap()))
    });
    (images.to_string(), files.collect())
}

fn build(program: Program) -> serde_json::Value {
    let outputs = ["oci:out/layout", "oci-archive:out/image.tar", "docker-archive:out/docker.tar"];
    let program = program.args(["--format", "json"]);
    program.args(outputs.iter().flat_map(|o| ["--output", o])).run().json()
}

fn each(folder: &Path, act: &dyn Fn(&Path)) {
    let mut all = vec![folder.to_owned()];
    while let Some(path) = all.pop() {
        if path.is_dir() && !path.is_symlink() {
            all.extend(std::fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
        }
        act(&path);
    }
}

fn copy(from: &Path, to: &Path) {
    let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(status.success(), "cp {} {}", from.display(), to.display());
}

#[test]
fn nothing_but_the_locks_decides() {
    let test = "nothing_but_the_locks_decides";
    let (debs, wheels) = packages();
    let server = Packages::serve();
    server.debs(&debs);
    server.wheels(&wheels);
    // Where any user may run it.
    let bin = tempfile::tempdir().unwrap();
    std::fs::set_permissions(bin.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = bin.path().join("perijove");
    std::fs::copy(PERIJOVE, &program).unwrap();
    let mut first: Option<(PathBuf, Outputs)> = None;
    let mut caches = Vec::new();
    for way in WAYS {
        if way.user && !is_root() {
            skip(test, "only root can build as another user");
            continue;
        }
        if let Some(runner) = way.under.first().filter(|r| **r != "sh")
            && !has(test, runner)
        {
            continue;
        }
        let repository = Repository::app(&debs, &wheels);
        std::fs::create_dir(repository.join("out")).unwrap();
        let cache = tempfile::tempdir().unwrap();
        std::fs::create_dir(cache.path().join("perijove")).unwrap();
        for folder in way.warm {
            let (warm, _) = first.as_ref().unwrap();
            copy(&warm.join("perijove").join(folder), &cache.path().join("perijove").join(folder));
        }
        let owner = way.user.then(|| USER.parse().unwrap());
        each(repository.path(), &|path| {
            let mode = if path.is_dir() { 0o777 } else { 0o666 };
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode & !way.umask)).unwrap();
            chown(path, owner, owner).unwrap();
        });
        each(cache.path(), &|path| chown(path, owner, owner).unwrap());
        server.requests();
        let answered = answer_late(&server, way.late);
        let mut run = Program::new(&program, repository.path(), cache.path()).envs(server.environment());
        for (name, value) in way.env {
            run = run.env(name, value);
        }
        let result = build(run.args(["build"]).args(way.words.iter().copied()).under(way.under));
        if way.warm.contains(&"layers") {
            assert_eq!(server.requests(), [""; 0], "{}: all is in the cache", way.name);
        } else if way.warm.contains(&"downloads") {
            assert_eq!(result["fetched_bytes"], 0, "{}", way.name);
        }
        let answered = answered.lock().unwrap().clone();
        let place = |part: &str| answered.iter().position(|path| path.contains(part));
        let in_order = way.late.iter().any(|part| place(part) < place(FIRST));
        assert!(!in_order, "{}: {answered:?}", way.name);
        let made = outputs(repository.path(), &result["images"]);
        let (_, expected) = first.get_or_insert_with(|| (cache.path().to_owned(), made.clone()));
        assert_eq!(&made, expected, "{}: other bytes than {}", way.name, WAYS[0].name);
        caches.push(cache);
    }
    let (_, (images, files)) = first.unwrap();
    assert!(files.len() > 20 && images.contains("sha256:"), "something was compared: {files:?}");
}

/// What has no architecture is one layer, whatever kind of part it is: registries and mixed clusters keep it once.
#[test]
fn what_has_no_architecture_is_the_same_for_both() {
    let test = "what_has_no_architecture_is_the_same_for_both";
    if !has(test, "npm") {
        return;
    }
    let (debs, wheels) = packages();
    let npm: Vec<Npm> = (0..9).map(|n| Npm::new(&format!("module-{n}"), "1.0.0", 500 * n)).collect();
    let server = Packages::serve();
    server.debs(&debs);
    server.wheels(&wheels);
    server.npm(&npm);
    let repository = Repository::app(&debs, &wheels);
    repository.lock_npm("app", &npm);
    let cache = tempfile::tempdir().unwrap();
    let program = Program::new(PERIJOVE, repository.path(), cache.path()).envs(server.environment());
    let result = program.args(["build", "--format", "json"]).run().json();
    let platforms = result["images"][0]["platforms"].as_array().unwrap();
    let layers = |at: usize| -> Vec<(String, Vec<String>)> {
        let layers = platforms[at]["layers"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        layers
            .map(|l| (text(&l["digest"]), l["parts"].as_array().unwrap().iter().map(text).collect()))
            .collect()
    };
    let (amd64, arm64) = (layers(0), layers(1));
    let own =
        |part: &String| part.contains("arch=a") && !part.contains("arch=all") || part.contains("pypi/native");
    for (kind, at_least) in
        [("pkg:npm/", 2), ("pkg:generic/app-files@", 1), ("pkg:pypi/", 5), ("arch=all", 1)]
    {
        let mut count = 0;
        for (digest, parts) in amd64.iter().filter(|(_, parts)| parts.iter().any(|part| part.contains(kind)))
        {
            if parts.iter().any(own) {
                continue;
            }
            count += 1;
            assert!(arm64.contains(&(digest.clone(), parts.clone())), "{parts:?}");
        }
        assert!(count >= at_least, "{kind}: {count} layers in {amd64:#?}");
    }
    // The other layers are each platform's own.
    let differ = amd64.iter().filter(|layer| !arm64.contains(layer));
    assert!(differ.clone().all(|(_, parts)| parts.iter().any(|part| own(part) || part.contains("effects"))));
    assert!(differ.count() > 1);
}

/// A size that the lock does not tell must not leak from one lock's build into another's through the cache.
#[test]
fn a_lock_without_sizes_does_not_spoil_the_cache_for_one_with() {
    let (debs, _) = packages();
    let wheels = [Wheel::new("large", "2.0", 900_000), Wheel::new("small", "1.0", 100)];
    let server = Packages::serve();
    server.debs(&debs);
    server.wheels(&wheels);
    let named = Repository::app(&debs, &wheels);
    let digest = |repository: &Repository, cache: &Path| {
        let program = Program::new(PERIJOVE, repository.path(), cache).envs(server.environment());
        program.args(["build", "--format", "json"]).run().json()["images"][0]["digest"].to_string()
    };
    let clean = tempfile::tempdir().unwrap();
    let expected = digest(&named, clean.path());
    // The same pins as another tool writes them, from an index that tells no sizes.
    let unnamed = Repository::app(&debs, &wheels);
    let path = unnamed.join("images/app/requirements.txt");
    let lock = std::fs::read_to_string(&path).unwrap();
    let bare: Vec<&str> = lock.lines().filter(|l| !l.contains('#')).collect();
    std::fs::write(&path, bare.join("\n")).unwrap();
    server.instead(|asked, mut answer| {
        if asked.path.starts_with("/simple/") && answer.status == 200 {
            let mut page: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            for file in page["files"].as_array_mut().unwrap() {
                file.as_object_mut().unwrap().remove("size");
            }
            answer.body = page.to_string().into_bytes();
        }
        answer
    });
    let cache = tempfile::tempdir().unwrap();
    let without = digest(&unnamed, cache.path());
    assert_eq!(digest(&named, cache.path()), expected, "after a build of the lock without sizes");
    assert_eq!(without, expected, "the same wheels make the same image");
}

/// The real proxy image: Debian, Node.js and npm packages, as they are in the archives.
#[test]
fn the_proxy_image_is_the_same_on_one_core_without_a_layer_cache() {
    let test = "the_proxy_image_is_the_same_on_one_core_without_a_layer_cache";
    if !["apt-get", "npm", "taskset"].iter().all(|program| has(test, program)) {
        return;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let site_cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .unwrap()
        .join("perijove");
    let mut made = Vec::new();
    for cold in [false, true] {
        // Not a checkout, so that no commit is in the annotations.
        let repository = Repository::new("");
        copy(&source.join("perijove.toml"), &repository.join("perijove.toml"));
        copy(&source.join("images"), &repository.join("images"));
        let mut program = Program::of_this_site(PERIJOVE, repository.path());
        let cache = tempfile::tempdir().unwrap();
        if cold {
            std::fs::create_dir(cache.path().join("perijove")).unwrap();
            std::os::unix::fs::symlink(site_cache.join("downloads"), cache.path().join("perijove/downloads"))
                .unwrap();
            program = program.env("XDG_CACHE_HOME", cache.path().to_str().unwrap());
            program = program.env("TZ", "Asia/Kathmandu").under(&["taskset", "-c", "0"]);
        }
        let program = program.args(["build", "proxy", "--format", "json", "--output", "oci:out"]);
        let result = program.run().json();
        made.push(outputs(repository.path(), &result["images"]));
    }
    assert_eq!(made[0], made[1]);
}
