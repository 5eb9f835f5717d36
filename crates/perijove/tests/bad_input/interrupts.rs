//! Ctrl-C at any moment: nothing half-written, and the next run ends as if nothing had been.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use perijove_oci::Digest;

use crate::scene::{Scene, assert_no_remains, outputs};

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
