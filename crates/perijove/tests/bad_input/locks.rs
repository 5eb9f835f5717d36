//! `perijove lock` that is interrupted or killed at any moment: the locks of all images are all old or all new.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use perijove_testkit::has;
use perijove_testkit::packages::{Packages, Wheel};
use perijove_testkit::program::{Program, Running};
use perijove_testkit::repository::{Repository, python_image};

use crate::gate::gate;
use crate::scene::Scene;

/// Keeps to the versions of `app`.
const MORE: &str =
    "[image.more]\nversion = \"1.0\"\nbase = { parent = \"app\" }\npython = \"requirements.txt\"\n";

const LOCKS: [&str; 2] = ["images/app/requirements.txt", "images/more/requirements.txt"];

/// Two locked images, for which there are newer packages.
pub struct Locked {
    pub scene: Scene,
    /// The locks of old packages, and those of new ones.
    pub old: Vec<String>,
    pub new: Vec<String>,
    /// What it takes to make these: pages of the index, and the time after the last request.
    requests: usize,
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
        let mut locked =
            Locked { scene, old: Vec::new(), new: Vec::new(), requests: 0, took: Duration::ZERO };
        let ran = locked.scene.perijove(&["lock"]).run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        locked.old = locked.locks();
        locked.scene.packages.wheels(&["one", "two", "three"].map(|name| Wheel::new(name, "2.0", 20_000)));
        let ran = locked.upgrade().run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        locked.new = locked.locks();
        locked.restore();
        // Once more, for uv remembers some pages.
        let last = Arc::<Mutex<Option<Instant>>>::default();
        let asked = Arc::clone(&last);
        locked.scene.packages.instead(move |_, plain| {
            *asked.lock().unwrap() = Some(Instant::now());
            plain
        });
        locked.scene.packages.requests();
        assert_eq!(locked.upgrade().run().code, Some(0));
        locked.took = last.lock().unwrap().unwrap().elapsed();
        locked.requests = locked.scene.packages.requests().iter().filter(|path| is_page(path)).count();
        locked.scene.packages.as_before();
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

/// Of files uv asks for parts, more or fewer; of pages, always for the same.
fn is_page(path: &str) -> bool {
    path.starts_with("/simple/")
}

/// Moments that are tried: pages of the index, spread over all of them, and by the clock after the last.
const MOMENTS: u32 = 4;
const LATE: u32 = 4;

/// Stops `lock --upgrade` by `stop` at many moments; the locks are then all old or all new, and after another run new.
fn stopped_at_any_moment(stop: impl Fn(&Locked, Running, bool)) {
    let locked = Locked::new();
    for moment in 0..MOMENTS + LATE {
        // Where an answer is held back until the command is gone, it is cut for certain.
        let asks = moment < MOMENTS;
        let spread =
            locked.requests.saturating_sub(1) * moment.min(MOMENTS - 1) as usize / (MOMENTS as usize - 1);
        let (hold, held) = gate(1 + spread);
        locked.scene.packages.instead(move |asked, plain| {
            if is_page(&asked.path) {
                hold();
            }
            plain
        });
        let lock = locked.upgrade().start();
        held.wait();
        if asks {
            stop(&locked, lock, true);
            assert_eq!(locked.locks(), locked.old, "nothing is locked before the index has answered");
            drop(held);
        } else {
            drop(held);
            std::thread::sleep(locked.took * (moment - MOMENTS) / LATE);
            stop(&locked, lock, false);
        }
        assert!([&locked.old, &locked.new].contains(&&locked.locks()), "a mixture at moment {moment}");
        let ran = locked.upgrade().run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(locked.locks(), locked.new);
        locked.restore();
    }
}

#[test]
fn an_interrupt_at_any_moment() {
    if !has("an_interrupt_at_any_moment", "uv") {
        return;
    }
    stopped_at_any_moment(|locked, lock, cut| {
        lock.interrupt();
        let ran = lock.end();
        assert!(matches!(ran.code, Some(0 | 1)) && (ran.code == Some(1) || !cut), "{ran:?}");
        if ran.code == Some(1) {
            assert!(ran.stderr.contains("interrupted"), "{}", ran.stderr);
            locked.assert_clean();
        }
    });
}

#[test]
fn a_kill_at_any_moment() {
    if !has("a_kill_at_any_moment", "uv") {
        return;
    }
    stopped_at_any_moment(|locked, lock, _| {
        lock.kill();
        // Whoever reads them next makes good what was begun.
        let ran = locked.scene.perijove(&["lock", "--check"]).run();
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    });
}
