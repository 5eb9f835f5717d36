//! `perijove lock` that is interrupted or killed at any moment: the locks of all images are all old or all new.

use std::time::{Duration, Instant};

use perijove_testkit::has;
use perijove_testkit::packages::{Packages, Wheel};
use perijove_testkit::program::Program;
use perijove_testkit::repository::{Repository, python_image};

use crate::scene::Scene;

/// Keeps to the versions of `app`.
const MORE: &str =
    "[image.more]\nversion = \"1.0\"\nbase = { parent = \"app\" }\npython = \"requirements.txt\"\n";

const LOCKS: [&str; 2] = ["images/app/requirements.txt", "images/more/requirements.txt"];

/// Two locked images, for which there are newer packages.
pub struct Locked {
    pub scene: Scene,
    /// The locks of old packages, those of new ones, and how long it took to make these.
    pub old: Vec<String>,
    pub new: Vec<String>,
    took: Duration,
}

impl Locked {
    pub fn new() -> Self {
        let wheels: Vec<Wheel> = ["one", "two", "three"].map(|name| Wheel::new(name, "1.0", 20_000)).into();
        let packages = Packages::serve();
        packages.wheels(&wheels);
        let repository = Repository::of_images(&(python_image("app") + MORE));
        repository.write("images/app/requirements.in", "one\ntwo\n");
        repository.write("images/more/requirements.in", "-c ../app/requirements.txt\ntwo\nthree\n");
        let scene = Scene::of(packages, repository, wheels);
        let mut locked = Locked { scene, old: Vec::new(), new: Vec::new(), took: Duration::ZERO };
        let ran = locked.scene.perijove(&["lock"]).run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        locked.old = locked.locks();
        locked.scene.packages.wheels(&["one", "two", "three"].map(|name| Wheel::new(name, "2.0", 20_000)));
        let start = Instant::now();
        let ran = locked.upgrade().run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        locked.took = start.elapsed();
        locked.new = locked.locks();
        for (old, new) in locked.old.iter().zip(&locked.new) {
            assert!(old.contains("==1.0") && new.contains("==2.0") && !new.contains("==1.0"), "{old}{new}");
        }
        locked.restore();
        locked
    }

    pub fn upgrade(&self) -> Program {
        self.scene.perijove(&["lock", "--upgrade"])
    }

    pub fn locks(&self) -> Vec<String> {
        let read = |lock: &&str| std::fs::read_to_string(self.scene.repository.join(lock)).unwrap();
        LOCKS.iter().map(read).collect()
    }

    fn restore(&self) {
        for (lock, text) in LOCKS.iter().zip(&self.old) {
            self.scene.repository.write(lock, text);
        }
    }

    /// Fails when more is left of a lock than its guard.
    pub fn assert_clean(&self) {
        let names = |folder: &str| -> Vec<_> {
            let entries = std::fs::read_dir(self.scene.repository.join(folder)).unwrap();
            entries.map(|e| e.unwrap().file_name()).collect()
        };
        assert_eq!(names(".perijove"), ["locks"]);
        assert_eq!(names(".perijove/locks"), ["guard"]);
        self.scene.assert_nothing_temporary();
    }
}

#[test]
fn an_interrupt_at_any_moment() {
    if !has("an_interrupt_at_any_moment", "uv") {
        return;
    }
    let locked = Locked::new();
    for moment in 0..6 {
        let lock = locked.upgrade().start();
        std::thread::sleep(locked.took * moment / 6);
        lock.interrupt();
        let ran = lock.end();
        // Before the program listens, the signal ends it; late, it is done.
        assert!(matches!(ran.code, None | Some(0 | 1)), "{ran:?}");
        if ran.code == Some(1) {
            assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
            locked.assert_clean();
        }
        assert!([&locked.old, &locked.new].contains(&&locked.locks()), "a mixture at moment {moment}");
        let ran = locked.upgrade().run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(locked.locks(), locked.new);
        locked.restore();
    }
}

#[test]
fn a_kill_at_any_moment() {
    if !has("a_kill_at_any_moment", "uv") {
        return;
    }
    let locked = Locked::new();
    for moment in 1..7 {
        let lock = locked.upgrade().start();
        std::thread::sleep(locked.took * moment / 6);
        lock.kill();
        // Whoever reads them next makes good what was begun.
        let ran = locked.scene.perijove(&["lock", "--check"]).run();
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        assert!([&locked.old, &locked.new].contains(&&locked.locks()), "a mixture at moment {moment}");
        let ran = locked.upgrade().run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(locked.locks(), locked.new);
        locked.restore();
    }
}
