//! Images from a Dockerfile: made by a real buildah, then treated as every image. Nothing is pulled: bases are
//! made here of a static busybox.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use perijove_oci::Platform;
use perijove_oci::media::CYCLONEDX;
use perijove_testkit::layout::{Layout, Node, files_below};
use perijove_testkit::packages::{Deb, Packages, Wheel};
use perijove_testkit::program::{Program, Ran};
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;
use perijove_testkit::{has, is_root, skip};
use serde_json::{Value, json};

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// An image without a base, for this machine.
const ALONE: &str = "[image.app]\nversion = \"1.2.3\"\ndockerfile = \"Dockerfile\"\n";

/// `hub` is made of locks and has a shell; `app` stands on it.
const ON_HUB: &str = r#"
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

const FROM_HUB: &str = "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG VERSION\n\
                        COPY input /srv/input\nRUN echo version $VERSION > /srv/version\n";

/// Steps that take from another stage what that made of the input.
const TWO_STAGES: &str = "FROM scratch AS base\nCOPY busybox /bin/sh\nCOPY busybox /bin/cp\n\
                          FROM base AS stage\nCOPY input /in/input\nRUN cp /in/input /in/made\n\
                          FROM base\nRUN --mount=type=bind,from=stage,source=/in,target=/mnt cp /mnt/made /made\n";

fn busybox() -> Option<PathBuf> {
    ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.exists())
}

/// Whether buildah can be run here.
fn ready(test: &str) -> bool {
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
struct Scene {
    repository: Repository,
    cache: tempfile::TempDir,
    packages: Packages,
}

impl Scene {
    fn new(toml: &str, dockerfile: &str) -> Self {
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

    fn busybox(&self, folder: &str, names: &[&str]) {
        let Some(program) = busybox() else { return };
        let folder = self.repository.join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        for name in names {
            std::fs::copy(&program, folder.join(name)).unwrap();
        }
    }

    fn program(&self) -> Program {
        self.with_cache(self.cache.path())
    }

    fn with_cache(&self, cache: &Path) -> Program {
        let program = Program::new(PERIJOVE, self.repository.path(), cache);
        program.envs(self.packages.environment()).env("PERIJOVE_BUILDER", "buildah")
    }

    fn build(&self) -> Ran {
        self.program().args(["build", "app", "--format", "json", "--output", "oci:out"]).run()
    }

    /// The last image that was built to `out`.
    fn out(&self) -> Layout {
        Layout(self.repository.join("out"))
    }

    /// Fails when a builder left a file, a mount or a process.
    fn assert_nothing_left(&self) {
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
fn processes(text: &str) -> Vec<String> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = all.filter_map(|e| std::fs::read(e.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}

/// The manifest of the only platform of the only image.
fn manifest(result: &Value) -> String {
    result["images"][0]["platforms"][0]["digest"].as_str().unwrap().to_owned()
}

/// What is in the image. Names of a builder's own have a `./` or a `/` in some versions.
fn files(layout: &Layout, manifest: &str) -> BTreeMap<String, Node> {
    let files = layout.files(manifest).into_iter();
    files.map(|(name, node)| (name.trim_start_matches(['.', '/']).to_owned(), node)).collect()
}

#[test]
fn a_changed_input_changes_the_image() {
    if !ready("a_changed_input_changes_the_image") {
        return;
    }
    let scene = Scene::new(ALONE, TWO_STAGES);
    let first = scene.build();
    assert!(first.stderr.contains("RUN --mount=type=bind,from=stage"), "{}", first.stderr);
    let first = first.json();
    assert_eq!(files(&scene.out(), &manifest(&first))["made"].content, b"one\n");
    scene.assert_nothing_left();

    let again = scene.build();
    assert!(!again.stderr.contains("RUN --mount"), "the builder ran: {}", again.stderr);
    assert_eq!(again.json()["images"], first["images"]);

    scene.repository.write("images/app/input", "two\n");
    let changed = scene.build().json();
    assert_ne!(manifest(&changed), manifest(&first));
    assert_eq!(files(&scene.out(), &manifest(&changed))["made"].content, b"two\n");

    // What was kept does not come back where it does not belong, and what is rebuilt is the same.
    scene.repository.write("images/app/input", "one\n");
    assert_eq!(scene.build().json()["images"], first["images"]);
    let rebuilt = scene.program().args(["build", "app", "--format", "json", "--rebuild"]).run();
    assert!(rebuilt.stderr.contains("RUN --mount"), "{}", rebuilt.stderr);
    assert_eq!(rebuilt.json()["images"], first["images"], "two runs of the builder differ");
    scene.assert_nothing_left();
}

#[test]
fn a_parent_of_this_repository_is_built_first_and_shared() {
    if !ready("a_parent_of_this_repository_is_built_first_and_shared") {
        return;
    }
    let scene = Scene::new(ON_HUB, FROM_HUB);
    let revision = "0123456789012345678901234567890123456789";
    let program = scene.program().args(["build", "--format", "json", "--revision", revision]);
    let result = program.args(["--output", "oci:out"]).run().json();
    let image = |at: usize| &result["images"][at]["platforms"][0];
    let (app, hub) = (image(1), image(0));
    let digests = |image: &Value| -> Vec<String> {
        let layers = image["layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    };
    let (on_hub, below) = (digests(app), digests(hub));
    assert!(on_hub.len() > below.len() && on_hub.starts_with(&below), "{on_hub:?} {below:?}");
    let digest = app["digest"].as_str().unwrap();
    let files = files(&scene.out(), digest);
    assert_eq!(files["srv/version"].content, b"version 1.2.3\n");
    assert_eq!(files["srv/input"].content, b"one\n");

    let manifest = scene.out().json(digest);
    let annotations = &manifest["annotations"];
    let expected = [
        ("org.opencontainers.image.title", "app"),
        ("org.opencontainers.image.version", "1.2.3"),
        ("org.opencontainers.image.revision", revision),
        ("org.opencontainers.image.source", "https://git.example/team/images"),
        // The suite's date in the parent's debs.lock.
        ("org.opencontainers.image.created", "2026-09-12T07:55:41Z"),
        ("org.opencontainers.image.base.digest", result["images"][0]["digest"].as_str().unwrap()),
    ];
    for (name, value) in expected {
        assert_eq!(annotations[name], value, "{name}");
    }
    let config = scene.out().json(manifest["config"]["digest"].as_str().unwrap());
    assert_eq!(config["created"], "2026-09-12T07:55:41Z");
    assert_eq!(config["config"]["Env"], json!(["PATH=/bin"]));
    let hub_parts = scene.out().json(hub["digest"].as_str().unwrap());
    for (at, layer) in hub_parts["layers"].as_array().unwrap().iter().enumerate() {
        assert_eq!(&manifest["layers"][at], layer, "with its key");
    }
    let sbom = scene.out().attached(digest, CYCLONEDX);
    let names: Vec<&str> =
        sbom["components"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"base") && names.contains(&"hub files"), "{names:?}");
    assert_eq!(sbom["compositions"][0]["aggregate"], "incomplete");

    // The test runs what was built: the builder does not run again.
    let tested = scene.program().args(["test", "app", "--runtime", "builtin"]).run();
    assert_eq!(tested.code, Some(0), "{}{}", tested.stdout, tested.stderr);
    assert!(tested.stdout.contains("passed") && !tested.stderr.contains("RUN echo"), "{}", tested.stderr);

    // What changes in the parent changes the child.
    scene.repository.write("images/hub/rootfs/etc/new", "new\n");
    let changed = scene.build().json();
    assert_eq!(self::files(&scene.out(), &self::manifest(&changed))["etc/new"].content, b"new\n");
    scene.assert_nothing_left();
}

#[test]
fn nothing_changed_needs_no_builder_and_pushes_nothing() {
    if !ready("nothing_changed_needs_no_builder_and_pushes_nothing") {
        return;
    }
    let scene = Scene::new(ON_HUB, FROM_HUB);
    let registry = Registry::start(PERIJOVE);
    let repository = format!("{}/team/app", registry.address);
    let push = |path: Option<&str>| {
        let cache = tempfile::tempdir().unwrap();
        let program = scene.with_cache(cache.path());
        let program = path.map_or(program.clone(), |path| program.env("PATH", path));
        program.args(["build", "app", "--format", "json", "--push", &repository]).run()
    };
    let first = push(None).json();
    assert!(first["pushed_bytes"].as_u64().unwrap() > 1_000_000);
    let again = push(Some("/nonexistent")).json();
    assert_eq!((&again["images"], &again["pushed_bytes"]), (&first["images"], &json!(0)));
    scene.repository.write("images/app/input", "two\n");
    let without = push(Some("/nonexistent"));
    assert_eq!(without.code, Some(1));
    assert!(
        without.stderr.contains("no builder of Dockerfiles: buildah: not installed"),
        "{}",
        without.stderr
    );
    assert!(without.stderr.contains("hint: get buildah"), "{}", without.stderr);
    let changed = push(None).json();
    let pushed = changed["pushed_bytes"].as_u64().unwrap();
    assert!((1..60_000).contains(&pushed), "the parent's layers went up again: {pushed}");
}

#[test]
fn a_base_from_a_registry_keeps_its_layers() {
    if !ready("a_base_from_a_registry_keeps_its_layers") {
        return;
    }
    let scene = Scene::new(ON_HUB, FROM_HUB);
    let registry = Registry::start(PERIJOVE);
    let hub = format!("{}/team/hub", registry.address);
    let pushed = scene.program().args(["build", "hub", "--format", "json", "--push", &hub]).run().json();
    let base = format!("{hub}@{}", pushed["images"][0]["digest"].as_str().unwrap());
    let toml = format!("{ALONE}base = {{ image = \"{base}\" }}\n");
    scene.repository.write("perijove.toml", &toml);
    let result = scene.build().json();
    let layers = |result: &Value| result["images"][0]["platforms"][0]["layers"].as_array().unwrap().clone();
    for (own, below) in layers(&result).iter().zip(layers(&pushed)) {
        assert_eq!(own["digest"], below["digest"]);
    }
    assert_eq!(layers(&result).len(), layers(&pushed).len() + 1);
    assert_eq!(files(&scene.out(), &manifest(&result))["srv/version"].content, b"version 1.2.3\n");
    let annotations = scene.out().json(&manifest(&result))["annotations"].clone();
    assert_eq!(annotations["org.opencontainers.image.base.name"], base);
    let sbom = scene.out().attached(&manifest(&result), CYCLONEDX);
    assert_eq!(sbom["components"].as_array().unwrap().len(), 1, "the base and nothing else is known");
    scene.assert_nothing_left();
}

#[test]
fn a_failure_names_the_dockerfile_and_leaves_nothing() {
    if !ready("a_failure_names_the_dockerfile_and_leaves_nothing") {
        return;
    }
    let dockerfile = "FROM scratch\nCOPY busybox /bin/sh\nRUN echo the reason; exit 7\n";
    let scene = Scene::new(ALONE, dockerfile);
    let ran = scene.build();
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    let error = &ran.stderr[ran.stderr.find("error: ").unwrap()..];
    let platform = Platform::host();
    assert!(error.starts_with(&format!("error: buildah: images/app/Dockerfile for {platform}: ")), "{error}");
    assert!(error.contains("the reason") && error.contains("RUN echo the reason; exit 7"), "{error}");
    assert!(error.contains("hint: "), "{error}");
    assert!(!scene.repository.join("out").exists());
    scene.assert_nothing_left();
}

#[test]
fn an_interrupt_ends_the_builder() {
    if !ready("an_interrupt_ends_the_builder") {
        return;
    }
    let scene =
        Scene::new(ALONE, "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/sleep\nRUN sleep 4321\n");
    let running = scene.program().args(["build", "app"]).start();
    let deadline = Instant::now() + Duration::from_secs(120);
    while processes("sleep 4321").is_empty() {
        assert!(Instant::now() < deadline, "the builder does not get to its RUN");
        std::thread::sleep(Duration::from_millis(50));
    }
    running.interrupt();
    let ran = running.end();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("error: interrupted"), "{}", ran.stderr);
    assert_eq!(processes("sleep 4321"), [""; 0]);
    scene.assert_nothing_left();
}

/// Another machine's platform: what only copies is built, what runs is refused by name. The program that cannot
/// run is the head of an ELF file, without anything behind it.
#[test]
fn a_platform_that_cannot_run_here_is_named() {
    const TEST: &str = "a_platform_that_cannot_run_here_is_named";
    if !ready(TEST) {
        return;
    }
    let (other, machine, handler) = match Platform::host().architecture.as_str() {
        "amd64" => ("linux/arm64", 0xb7, "qemu-aarch64"),
        _ => ("linux/amd64", 0x3e, "qemu-x86_64"),
    };
    if Path::new("/proc/sys/fs/binfmt_misc").join(handler).exists() {
        return skip(TEST, "this machine runs programs of the other architecture");
    }
    let toml = format!("[repository]\nplatforms = [\"{}\", \"{other}\"]\n{ALONE}", Platform::host());
    let scene = Scene::new(&toml, "FROM scratch\nCOPY busybox input /bin/\n");
    let result = scene.build().json();
    let platforms = result["images"][0]["platforms"].as_array().unwrap();
    let layout = scene.out();
    let index = layout.json(result["images"][0]["digest"].as_str().unwrap());
    for (at, platform) in [Platform::host().to_string(), other.to_owned()].iter().enumerate() {
        assert_eq!(platforms[at]["platform"], platform.as_str());
        let manifest = platforms[at]["digest"].as_str().unwrap();
        assert_eq!(index["manifests"][at]["digest"], manifest);
        let config = layout.json(layout.json(manifest)["config"]["digest"].as_str().unwrap());
        assert_eq!(format!("linux/{}", config["architecture"].as_str().unwrap()), *platform);
        assert_eq!(files(&layout, manifest)["bin/input"].content, b"one\n");
    }

    let mut program = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\0\0\x01\0\0\0".to_vec();
    program[18] = machine;
    program.resize(64, 0);
    let shell = scene.repository.join("images/app/foreign");
    std::fs::write(&shell, program).unwrap();
    std::fs::set_permissions(&shell, std::fs::Permissions::from_mode(0o755)).unwrap();
    scene.repository.write("images/app/Dockerfile", "FROM scratch\nCOPY foreign /bin/sh\nRUN true\n");
    let ran = scene.build();
    assert_eq!(ran.code, Some(1));
    let wanted = format!("this machine ({}) cannot run programs of {other}", Platform::host());
    assert!(ran.stderr.contains(&wanted), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: build what it can with --platform"), "{}", ran.stderr);
    scene.assert_nothing_left();
}

/// There is no docker engine where these tests run: a program in its place records what it is asked for and
/// leaves the layout that BuildKit would.
#[test]
fn docker_is_asked_for_a_layout() {
    if !is_root() || busybox().is_none() {
        return skip("docker_is_asked_for_a_layout", "needs root and a static busybox for its base");
    }
    let scene = Scene::new(ON_HUB, FROM_HUB);
    // What "BuildKit" gives: the parent itself.
    let hub = scene.program().args(["build", "hub", "--format", "json", "--output", "oci:made"]).run().json();
    let bin = scene.repository.join("bin");
    std::fs::create_dir(&bin).unwrap();
    let script = format!(
        "#!/bin/sh\necho \"$SOURCE_DATE_EPOCH $*\" >> {root}/asked\n\
         case \"$*\" in\n\
         'version '*) echo 99;;\n\
         'buildx version') echo 99;;\n\
         'buildx build '*)\n\
           for word in \"$@\"; do case $word in *dest=*) dest=${{word##*dest=}}; dest=${{dest%%,*}};;\n\
             *=oci-layout://*) base=${{word##*oci-layout://}}; cp -r \"${{base%:base}}\" {root}/given;; esac; done\n\
           echo '#1 building' >&2; cp -r {root}/made \"$dest\";;\n\
         esac\n",
        root = scene.repository.path().display()
    );
    std::fs::write(bin.join("docker"), script).unwrap();
    std::fs::set_permissions(bin.join("docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let program = scene.program().env("PERIJOVE_BUILDER", "").env("PATH", &path);
    let ran = program.args(["build", "app", "--format", "json", "--output", "oci:out"]).run();
    assert!(ran.stderr.contains(": #1 building"), "{}", ran.stderr);
    let result = ran.json();
    let layers = |result: &Value| result["images"][0]["platforms"][0]["layers"].as_array().unwrap().len();
    assert_eq!(layers(&result), layers(&hub));
    let given = Layout(scene.repository.join("given"));
    let index: Value = serde_json::from_slice(&std::fs::read(given.0.join("index.json")).unwrap()).unwrap();
    let base = index["manifests"][0]["digest"].as_str().unwrap();
    assert!(given.files(base).contains_key("bin/sh"), "the base was handed over");

    let asked = std::fs::read_to_string(scene.repository.join("asked")).unwrap();
    let asked: Vec<&str> = asked.lines().collect();
    assert_eq!(asked[..2], [" version --format {{.Server.Version}}", " buildx version"]);
    let app = scene.repository.join("images/app");
    let platform = Platform::host();
    for words in [
        // 2026-09-12T07:55:41Z
        "1789199741 buildx build --progress plain".to_owned(),
        format!("--platform {platform} --provenance=false --sbom=false"),
        "--build-arg BASE_IMAGE=localhost/hub:5.0 --build-arg SOURCE_DATE_EPOCH=1789199741".to_owned(),
        "--build-arg VERSION=1.2.3 --build-context localhost/hub:5.0=oci-layout:///".to_owned(),
        "--output type=oci,tar=false,rewrite-timestamp=true,dest=/".to_owned(),
        format!("--file {}/Dockerfile {}", app.display(), app.display()),
    ] {
        assert!(asked[2].contains(&words), "{words}\n{}", asked[2]);
    }
    assert_eq!(asked.len(), 3);
    let left = files_below(&scene.cache.path().join("perijove/dockerfile/work"));
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_lock_gives_the_version() {
    if !ready("a_lock_gives_the_version") {
        return;
    }
    let toml = "[image.app]\nversion-from = \"jupyterhub\"\npython = \"requirements.txt\"\ndockerfile = \"deep/Dockerfile\"\n";
    let scene = Scene::new(toml, "");
    let dockerfile = "FROM scratch\nARG VERSION\nCOPY requirements.txt /locked\nENV VERSION=$VERSION\n";
    scene.repository.write("images/app/deep/Dockerfile", dockerfile);
    scene.repository.lock_wheels("app", &[Wheel::new("jupyterhub", "5.3.0", 10)]);
    let result = scene.build().json();
    assert_eq!(result["images"][0]["version"], "5.3.0");
    let manifest_json = scene.out().json(&manifest(&result));
    let config = scene.out().json(manifest_json["config"]["digest"].as_str().unwrap());
    assert!(config["config"]["Env"].as_array().unwrap().contains(&json!("VERSION=5.3.0")), "{config}");
    let files = files(&scene.out(), &manifest(&result));
    assert!(files["locked"].content.starts_with(b"jupyterhub==5.3.0"));
    // A lock that is behind is no version.
    scene.repository.lock_wheels("app", &[Wheel::new("other", "1.0", 10)]);
    let ran = scene.build();
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("version-from names `jupyterhub`, which no lock"), "{}", ran.stderr);
}

#[test]
fn settings_are_checked() {
    let scene = Scene::new(ALONE, "FROM scratch\n");
    let ran = scene.program().env("PERIJOVE_BUILDER", "kaniko").args(["build"]).run();
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.contains("`kaniko` is no builder of Dockerfiles: docker or buildah"),
        "{}",
        ran.stderr
    );
    std::fs::remove_file(scene.repository.join("images/app/Dockerfile")).unwrap();
    let ran = scene.build();
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("there is no file images/app/Dockerfile"), "{}", ran.stderr);
}

/// Parts cannot be put on what a Dockerfile made: nobody knows what is in it.
#[test]
fn locks_do_not_stand_on_a_dockerfile() {
    let scene = Scene::new(
        &format!("{ALONE}[image.on]\nversion = \"1\"\nbase = {{ parent = \"app\" }}\n"),
        "FROM scratch\n",
    );
    let ran = scene.program().args(["build", "on"]).run();
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("on stands on app, which is made from a Dockerfile"), "{}", ran.stderr);
}
