//! Dockerfiles and settings that fail: named, and nothing left behind.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use perijove_oci::Platform;
use perijove_testkit::skip;

use crate::scene::*;

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
