//! Ctrl-C at any moment: nothing half-written, and the next run ends as if nothing had been.

use std::path::Path;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use perijove_oci::Digest;

use crate::gate::gate;
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

/// Moments after the last answer of a server: pieces, layers, outputs.
const LATE: u32 = 6;

#[test]
fn an_interrupt_at_any_moment() {
    let alone = Scene::new();
    let last = Arc::<Mutex<Option<Instant>>>::default();
    let asked = Arc::clone(&last);
    alone.packages.instead(move |_, plain| {
        *asked.lock().unwrap() = Some(Instant::now());
        plain
    });
    assert_eq!(alone.build().code, Some(0));
    let took = last.lock().unwrap().unwrap().elapsed();
    let requests = alone.packages.requests().len();
    let expected = outputs(&alone.repository);
    // Each request, whose answer is held back until the build is gone; then by the clock what follows the last.
    for moment in 1..=requests + LATE as usize {
        let scene = Scene::new();
        let (hold, held) = gate(moment.min(requests));
        scene.packages.instead(move |_, plain| {
            hold();
            plain
        });
        let build = scene.program().start();
        held.wait();
        let ran = if moment <= requests {
            build.interrupt();
            let ran = build.end();
            drop(held);
            assert_eq!(ran.code, Some(1), "it was cut at request {moment}: {ran:?}");
            ran
        } else {
            drop(held);
            std::thread::sleep(took * u32::try_from(moment - requests - 1).unwrap() / LATE);
            build.interrupt();
            build.end()
        };
        // Late, the build is done.
        assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
        if ran.code == Some(1) {
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
}
