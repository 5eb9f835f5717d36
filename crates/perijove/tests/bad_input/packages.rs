//! Packages that are not what the lock says.

use perijove_oci::Digest;
use perijove_testkit::layout::files_below;
use perijove_testkit::packages::{Deb, Wheel};

use crate::scene::{Scene, outputs};

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
    error: http://[server]/files/large-1.0-py3-none-any.whl: more bytes than the 401588 that were expected
    hint: the mirror serves something else under this name; check the index setting
    "#);
}

#[test]
fn a_package_that_was_damaged_in_the_cache() {
    let scene = Scene::new();
    assert_eq!(scene.build().code, Some(0));
    let whole = outputs(&scene.repository);
    let downloads = files_below(&scene.cache.path().join("perijove/downloads/sha256"));
    assert_eq!(downloads.len(), 3, "{downloads:?}");
    for damage in [|_: &mut Vec<u8>| {}, |bytes: &mut Vec<u8>| bytes[100] ^= 1, Vec::clear] {
        for file in &downloads {
            let mut bytes = std::fs::read(file).unwrap();
            damage(&mut bytes);
            std::fs::write(file, bytes).unwrap();
        }
        std::fs::remove_dir_all(scene.cache.path().join("perijove/layers")).unwrap();
        std::fs::remove_dir_all(scene.repository.join("out")).unwrap();
        let ran = scene.build();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(outputs(&scene.repository), whole);
        for file in &downloads {
            let digest = Digest::sha256(&std::fs::read(file).unwrap());
            assert!(file.ends_with(digest.hex()), "fetched again: {}", file.display());
        }
    }
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
fn two_parts_that_own_one_file() {
    let scene = Scene::new();
    let wheels = [("first", &b"ours"[..]), ("second", b"theirs")]
        .map(|(name, text)| Wheel::with_files(name, "1.0", &[("shared/__init__.py", text)]));
    scene.packages.wheels(&wheels);
    scene.repository.lock_wheels("app", &wheels);
    let text = scene.refusal();
    assert!(
        text.starts_with(
            "exit 1\nerror: /usr/local/lib/python3.13/dist-packages/shared/__init__.py belongs to"
        ),
        "{text}"
    );
    assert!(text.contains("first 1.0") && text.contains("second 1.0"), "names both: {text}");
    assert!(text.contains("hint: leave one of the two packages out"), "{text}");
    // The same content twice is one file.
    let scene = Scene::new();
    let wheels =
        ["first", "second"].map(|name| Wheel::with_files(name, "1.0", &[("shared/__init__.py", b"same")]));
    scene.packages.wheels(&wheels);
    scene.repository.lock_wheels("app", &wheels);
    let ran = scene.build();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
