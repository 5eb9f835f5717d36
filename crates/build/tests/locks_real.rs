//! Real input: the newest freeze of JupyterHub's own images and its proxy, from the registries in force; and
//! the order of tags, with pip as the judge.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use perijove_build::Fetcher;
use perijove_build::lock::index::{Index, IndexSettings};
use perijove_build::lock::wheels::{Input, PythonTarget, Request, Upgrade, lock, tags};
use perijove_build::lock::{Npm, NpmLock, RequirementsLock};
use perijove_oci::report::Silent;
use perijove_testkit::{has, skip};

/// The folder of conformance inputs, where this machine has it.
fn shared() -> Option<PathBuf> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let folder = std::env::var_os("PERIJOVE_SHARED").map_or(default, PathBuf::from);
    folder.is_dir().then_some(folder)
}

fn target(glibc: u16) -> PythonTarget {
    let platforms = ["linux/amd64", "linux/arm64"].map(|p| p.parse().unwrap()).to_vec();
    PythonTarget { python: (3, 13), glibc: (2, glibc), platforms }
}

/// Whether a package can be had from the registry that `client` uses; where it cannot, there is nothing to prove.
fn reachable(test: &str, client: &str, args: &[&str]) -> bool {
    let there =
        has(test, client) && Command::new(client).args(args).output().is_ok_and(|o| o.status.success());
    if !there {
        skip(test, &format!("the registry of {client} cannot be reached"));
    }
    there
}

#[tokio::test]
async fn locks_the_newest_freeze() {
    const TEST: &str = "locks_the_newest_freeze";
    let Some(shared) = shared() else {
        return skip(
            TEST,
            "the freezes are not there; set PERIJOVE_SHARED to the folder that holds conformance/freezes",
        );
    };
    if !has(TEST, "uv") {
        return;
    }
    let mut freezes: Vec<PathBuf> =
        std::fs::read_dir(shared.join("conformance/freezes")).unwrap().map(|e| e.unwrap().path()).collect();
    freezes.sort();
    let text = std::fs::read_to_string(freezes.last().unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("requirements.in");
    std::fs::write(&input, &text).unwrap();
    let fetcher = Fetcher::new(&folder.path().join("cache"), Arc::new(Silent)).unwrap();
    let index = Index::new(fetcher.clone(), IndexSettings::new(folder.path()));
    let target = target(41);
    let request = Request { input: &input, target: &target, old: None, upgrade: &Upgrade::Nothing };

    let start = Instant::now();
    let locked = lock(&index, &request).await.unwrap();
    let locking = start.elapsed();
    let parsed = RequirementsLock::parse(&locked.text, "requirements.txt").unwrap();
    let pins = text.lines().filter(|l| l.contains("==")).count();
    assert_eq!(parsed.pins.len(), pins, "every pin of the freeze once, for both platforms");
    assert!(locked.wheels.is_empty(), "all of it has wheels");
    assert_eq!(Input::read(&input).unwrap().check(&parsed, &target).unwrap(), None);
    assert!(!locked.text.contains("://"), "no address stands in a lock");
    let mut bytes = Vec::new();
    for platform in &target.platforms {
        let chosen = index.choose(&parsed, &target, platform).await.unwrap();
        assert_eq!(chosen.len(), pins, "{platform}");
        bytes.push(chosen.iter().filter_map(|c| c.size).sum::<u64>());
    }
    let wheels: usize = parsed.pins.iter().map(|p| p.wheels.len()).sum();
    eprintln!(
        "{TEST}: {pins} pins, {wheels} wheels, {bytes:?} bytes a platform, locked in {:.1} s with {} bytes of pages",
        locking.as_secs_f64(),
        fetcher.fetched_bytes()
    );

    // Present pins are kept, so that locking again changes nothing; and uv takes the file.
    std::fs::write(folder.path().join("requirements.txt"), &locked.text).unwrap();
    let request = Request { old: Some(&parsed), ..request };
    assert_eq!(lock(&index, &request).await.unwrap().text, locked.text);
    let uv = Command::new("uv")
        .args(["pip", "install", "--dry-run", "--require-hashes", "--target", "x", "-r", "requirements.txt"])
        .args(["--python", "3", "--python-version", "3.13", "--python-platform", "aarch64-manylinux_2_40"])
        .args(["--only-binary", ":all:", "--no-python-downloads"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert!(uv.status.success(), "{}", String::from_utf8_lossy(&uv.stderr));
}

/// docopt 0.6.2 has no wheel, and never will.
#[tokio::test]
async fn builds_a_real_source() {
    const TEST: &str = "builds_a_real_source";
    if !reachable(
        TEST,
        "uv",
        &["pip", "compile", "--quiet", "--no-header", "--no-deps", "--python", "3", "/dev/null"],
    ) {
        return;
    }
    let mut made = Vec::new();
    for _ in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let input = folder.path().join("requirements.in");
        std::fs::write(&input, "docopt==0.6.2\n").unwrap();
        let fetcher = Fetcher::new(&folder.path().join("cache"), Arc::new(Silent)).unwrap();
        let index = Index::new(fetcher, IndexSettings::new(folder.path()));
        let target = target(36);
        let request = Request { input: &input, target: &target, old: None, upgrade: &Upgrade::Nothing };
        let locked = lock(&index, &request).await.unwrap();
        assert!(locked.text.contains("built from sdist sha256:"), "{}", locked.text);
        made.push((locked.text, locked.wheels));
    }
    assert_eq!(made[0], made[1], "two builds give the same bytes");
}

#[tokio::test]
async fn locks_the_proxy() {
    const TEST: &str = "locks_the_proxy";
    if !reachable(TEST, "npm", &["view", "configurable-http-proxy", "version"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let json = r#"{"name":"proxy","private":true,"dependencies":{"configurable-http-proxy":"^5"}}"#;
    std::fs::write(folder.path().join("package.json"), json).unwrap();
    let npm = Npm::new(folder.path());
    let start = Instant::now();
    let text = npm.lock(&Upgrade::Nothing).await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert!(!text.contains("\"resolved\""), "no address stands in a lock");
    let lock = NpmLock::parse(&text, "package-lock.json").unwrap();
    assert_eq!(lock.check(json).unwrap(), None);
    let chosen = lock.for_platform(&"linux/arm64".parse().unwrap()).unwrap();
    let proxy = chosen.iter().find(|p| p.name == "configurable-http-proxy").unwrap();
    assert!(proxy.bin.contains_key("configurable-http-proxy"));
    eprintln!("{TEST}: {} packages, locked in {seconds:.1} s", chosen.len());

    let fetcher = Fetcher::new(&folder.path().join("cache"), Arc::new(Silent)).unwrap();
    let url = proxy.tarball(&npm.registry_of(&proxy.name).await.unwrap()).unwrap();
    fetcher.file(&url, &proxy.name, &proxy.integrity, None).await.unwrap();
}

/// Our table of tags is the one that pip computes.
#[test]
fn tags_are_those_of_pip() {
    const TEST: &str = "tags_are_those_of_pip";
    if !has(TEST, "python3") {
        return;
    }
    for ((major, minor), machine) in
        [((3, 9), "x86_64"), ((3, 11), "aarch64"), ((3, 13), "x86_64"), ((3, 14), "aarch64")]
    {
        let script = format!(
            "import inspect\n\
             from pip._vendor.packaging import tags, _manylinux as m\n\
             m._get_glibc_version = lambda: (2, 36)\n\
             m._is_compatible = lambda *a: True\n\
             m._have_compatible_abi = lambda *a: True\n\
             two = len(inspect.signature(m.platform_tags).parameters) == 2\n\
             plats = list(m.platform_tags('linux_{machine}', '{machine}') if two else m.platform_tags(['{machine}']))\n\
             plats += ['linux_{machine}']\n\
             found = list(tags.cpython_tags(({major}, {minor}), ['cp{major}{minor}'], plats))\n\
             found += list(tags.compatible_tags(({major}, {minor}), 'cp{major}{minor}', plats))\n\
             print('\\n'.join(map(str, found)))\n"
        );
        let output = Command::new("python3").args(["-c", &script]).output().unwrap();
        if !output.status.success() {
            return skip(TEST, "this Python has no pip that tells its tags");
        }
        let ours: Vec<String> = tags::supported((major, minor), (2, 36), machine)
            .into_iter()
            .map(|(python, abi, platform)| format!("{python}-{abi}-{platform}"))
            .collect();
        let theirs = String::from_utf8(output.stdout).unwrap();
        assert_eq!(ours, theirs.lines().collect::<Vec<_>>(), "Python {major}.{minor} on {machine}");
    }
}
