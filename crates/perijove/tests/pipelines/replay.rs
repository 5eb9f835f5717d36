//! Years of an image repository, through its pipelines: the real freezes, and made ones on three branches. After every
//! release each tag and alias is compared with the rule.

use std::time::Instant;

use perijove_testkit::freezes::freezes;
use perijove_testkit::has;
use perijove_testkit::packages::{Packages, Wheel};
use perijove_testkit::program::Program;
use perijove_testkit::registry::Registry;
use perijove_testkit::workflow::actions::git;
use perijove_testkit::workflow::github::{Event, GitHub};

use crate::oracle::Oracle;
use crate::scene::{PERIJOVE, Scene};

/// The version of `package` in a lock.
fn version(lock: &str, package: &str) -> String {
    let pin =
        |line: &str| Some(line.strip_prefix(package)?.strip_prefix("==")?.split(' ').next()?.to_owned());
    lock.lines().find_map(pin).unwrap()
}

#[test]
fn the_real_freezes() {
    let Some(freezes) = freezes("the_real_freezes") else { return };
    let start = Instant::now();
    let registry = Registry::with(PERIJOVE, &["--create-only", r"\d+\.\d+\.\d+.*-\d+"]);
    let github = GitHub::new(PERIJOVE).of_this_site();
    let scene = Scene::with(github, registry, Packages::serve(), tempfile::tempdir().unwrap(), "jupyterhub");
    scene.commit("Begin");
    scene.github.push(scene.checkout.path(), "main");
    let mut oracle = Oracle::new(&format!("{}/team/app", scene.registry.address));
    for freeze in &freezes {
        scene.start("freeze", "main");
        scene.checkout.write("images/app/requirements.in", &std::fs::read_to_string(freeze).unwrap());
        Program::of_this_site(PERIJOVE, scene.checkout.path())
            .args(["--format", "json", "lock"])
            .run()
            .json();
        let lock = std::fs::read_to_string(scene.checkout.join("images/app/requirements.txt")).unwrap();
        let new =
            !git(scene.checkout.path(), &["status", "--porcelain", "images/app/requirements.txt"]).is_empty();
        scene.commit("Freeze");
        scene.github.push(scene.checkout.path(), "freeze");
        let number = scene.github.open("main", "freeze");
        scene.github.run("pull-request.yml", &Event::PullRequest(number, "opened")).succeeded();
        let staged = scene.tags("staging/app");
        assert_eq!(staged.len(), usize::from(new), "{staged:?}");
        scene.github.merge(number);
        scene.github.run("pull-request.yml", &Event::PullRequest(number, "closed")).succeeded();
        scene.github.run("release.yml", &Event::Push("main".to_owned())).succeeded();
        oracle.check(&version(&lock, "jupyterhub"), new);
        eprintln!("{}: {} releases", freeze.file_stem().unwrap().display(), oracle.releases());
    }
    oracle.verify();
    eprintln!("{} freezes in {:.0?}", freezes.len(), start.elapsed());
}

/// The same numbers each time (a linear congruential generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// What upstream publishes: the newest version of each line, and of the package below.
struct Upstream {
    dice: Dice,
    /// Minor and patch by major; on the newest line also a candidate.
    lines: [(u64, u64, u64); 3],
    candidate: Option<u64>,
    below: u64,
}

impl Upstream {
    /// One fortnight: what is new on the index.
    fn fortnight(&mut self) -> Vec<Wheel> {
        let mut wheels = Vec::new();
        let wheel = |version: String| Wheel::new("app", &version, 200);
        for line in 0..3 {
            let (major, minor, patch) = self.lines[line];
            let newest = line == 0;
            let (minor, patch, candidate) = match (self.dice.roll(if newest { 6 } else { 9 }), self.candidate)
            {
                // The next minor version has candidates first, then the final one.
                (0 | 1, None) if newest => (minor + 1, 0, Some(1)),
                (0, Some(number)) if newest => (minor, patch, Some(number + 1)),
                (1 | 2, Some(_)) if newest => (minor, patch, None),
                (2 | 3, None) if newest => (minor, patch + 1, None),
                (0 | 1, _) if !newest => (minor, patch + 1, None),
                (2, _) if !newest => (minor + 1, 0, None),
                _ => continue,
            };
            self.lines[line] = (major, minor, patch);
            if newest {
                self.candidate = candidate;
            }
            let candidate = candidate.map(|number| format!("rc{number}")).unwrap_or_default();
            wheels.push(wheel(format!("{major}.{minor}.{patch}{candidate}")));
        }
        if self.dice.roll(3) == 0 {
            self.below += 1;
            wheels.push(Wheel::new("below", &format!("1.{}", self.below), 200));
        }
        wheels
    }
}

/// How many times the clock strikes: every three weeks of two years, on three branches each.
const TICKS: usize = 35;

#[test]
fn two_made_years_on_three_branches() {
    let test = "two_made_years_on_three_branches";
    if !has(test, "uv") {
        return;
    }
    let start = Instant::now();
    let wheels = ["6.0.0", "5.2.0", "4.1.0"].map(|version| Wheel::new("app", version, 200));
    let scene =
        Scene::new("app>=6.0.0rc0\nbelow\n", &[&wheels[..], &[Wheel::new("below", "1.0", 200)]].concat());
    let github = &scene.github;
    let mut oracle = Oracle::new(&format!("{}/team/app", scene.registry.address));
    let release = |branch: &str| github.run("release.yml", &Event::Push(branch.to_owned())).succeeded();
    let locked = |branch: &str| {
        version(&github.git(&["show", &format!("{branch}:images/app/requirements.txt")]), "app")
    };
    release("main");
    oracle.check("6.0.0", true);
    for (branch, hold) in [("5.x", "app>=5,<6"), ("4.x", "app>=4,<5")] {
        scene.start(branch, "main");
        scene.checkout.write("images/app/requirements.in", &format!("{hold}\nbelow\n"));
        scene.lock();
        scene.commit("Hold the version");
        github.push(scene.checkout.path(), branch);
        release(branch);
        oracle.check(&locked(branch), true);
    }
    let mut upstream =
        Upstream { dice: Dice(2026), lines: [(6, 0, 0), (5, 2, 0), (4, 1, 0)], candidate: None, below: 0 };
    let (mut refreshes, mut unchanged) = (0, 0);
    for tick in 0..TICKS {
        scene.packages.wheels(&upstream.fortnight());
        let run = github.run("refresh.yml", &Event::Schedule).succeeded();
        refreshes += run.job("refresh").len();
        let open: Vec<(u64, String)> = github
            .pulls()
            .iter()
            .filter(|pull| pull["state"] == "open")
            .map(|pull| (pull["number"].as_u64().unwrap(), pull["base"].as_str().unwrap().to_owned()))
            .collect();
        unchanged += 3 - open.len();
        for (number, branch) in open {
            let text = github.pull(number)["body"].as_str().unwrap().to_owned();
            assert!(!text.contains("[!WARNING]"), "{branch}: {text}");
            // Some wait for the next time, when they are brought up to date.
            if upstream.dice.roll(4) == 0 && tick + 1 < TICKS {
                continue;
            }
            let looked_at = upstream.dice.roll(3) == 0;
            if looked_at {
                github.run("pull-request.yml", &Event::PullRequest(number, "opened")).succeeded();
            }
            github.merge(number);
            if looked_at {
                github.run("pull-request.yml", &Event::PullRequest(number, "closed")).succeeded();
            }
            release(&branch);
            oracle.check(&locked(&branch), true);
        }
        // A commit that changes no image.
        if upstream.dice.roll(5) == 0 {
            scene.start("words", "main");
            scene.checkout.write("README.md", &format!("Word {tick}\n"));
            scene.commit("Say something");
            github.push(scene.checkout.path(), "main");
            release("main");
            oracle.check(&locked("main"), false);
        }
    }
    oracle.verify();
    assert!(scene.tags("staging/app").is_empty());
    eprintln!(
        "{refreshes} refreshes ({unchanged} with nothing new), {} releases, newest {} {} {}, in {:.0?}",
        oracle.releases(),
        locked("main"),
        locked("5.x"),
        locked("4.x"),
        start.elapsed()
    );
    assert!(refreshes >= 100 && oracle.releases() >= 40 && unchanged > 0, "the years are full");
}
