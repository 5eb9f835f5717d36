//! One number for all images and registries of a release, whoever else releases, and wherever it was cut off.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use perijove_testkit::front::{Front, Say};
use perijove_testkit::peer::Peer;
use perijove_testkit::program::Program;
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;
use perijove_testkit::web::Asked;

use crate::PERIJOVE;
use crate::scene::{BUILDS, Site, images, repository, shown, somebody_releases};

/// A registry of one kind or the other, and what keeps it running.
fn start(ours: bool, test: &str) -> Option<(String, Box<dyn Send>)> {
    if ours {
        let registry = Registry::with(PERIJOVE, BUILDS);
        return Some((registry.address.clone(), Box::new(registry)));
    }
    let peer = Peer::start(test)?;
    Some((peer.address.clone(), Box::new(peer)))
}

fn names(asked: &Asked, method: &str, image: &str, tag: &str) -> bool {
    asked.method == method && asked.path.contains(&format!("/{image}/manifests/")) && asked.path.contains(tag)
}

/// Both images have the number 1 everywhere, and so do their aliases; the hub's first claim is where it was.
fn all_have_the_second_number(site: &Site, case: &str) {
    let tags = site.tags();
    for number in 0..site.registries.len() {
        let (hub, lab) = (format!("{number} hub"), format!("{number} lab"));
        let aliases = "5=5.3.0-1 5.3=5.3.0-1 5.3.0=5.3.0-1 latest=5.3.0-1";
        assert_eq!(shown(&site.aliases(&hub)), aliases, "{case}");
        let aliases = "4=4.5.0-1 4.5=4.5.0-1 4.5.0=4.5.0-1 latest=4.5.0-1";
        assert_eq!(shown(&site.aliases(&lab)), aliases, "{case}");
        assert_eq!(tags[&hub]["5.3.0-1"], tags["0 hub"]["5.3.0-1"], "{case}");
        assert_eq!(tags[&lab]["4.5.0-1"], tags["0 lab"]["4.5.0-1"], "{case}");
    }
}

#[test]
fn a_number_that_is_lost_on_the_second_image_is_left_by_all() {
    let test = "a_number_that_is_lost_on_the_second_image_is_left_by_all";
    // Before the look, before the claim (only a referee notices), and before the claim is read back.
    for (ours, method, nth) in [(true, "HEAD", 0), (true, "PUT", 0), (false, "HEAD", 0), (false, "HEAD", 2)] {
        let case = format!("ours: {ours}, {method} {nth}");
        let Some((address, _running)) = start(ours, test) else { return };
        let (backend, asked_before) = (address.clone(), AtomicUsize::new(0));
        let front = Front::of(&address, move |asked| {
            if names(asked, method, "lab", "4.5.0-0") && asked_before.fetch_add(1, Ordering::SeqCst) == nth {
                somebody_releases(&backend, "lab", "4.5.0-0");
            }
            Say::Pass
        });
        let site = Site::of(&[&front.address]);
        let repository = repository("5.3.0", "4.5.0", "one");
        let ran = site.release(&repository, "c1");
        let all = images(&ran);
        let tags: Vec<&str> = all.iter().map(|image| image["tag"].as_str().unwrap()).collect();
        assert_eq!(tags, ["5.3.0-1", "4.5.0-1"], "{case}: {}", ran.stderr);
        all_have_the_second_number(&site, &case);
        let tags = site.tags();
        assert_eq!(tags["0 hub"]["5.3.0-0"], tags["0 hub"]["5.3.0-1"], "{case}");
        assert_ne!(tags["0 lab"]["4.5.0-0"], tags["0 lab"]["4.5.0-1"], "{case}: theirs stays");
        assert_eq!(site.release(&repository, "c1").json()["nothing_to_release"], true, "{case}");
        assert_eq!(site.tags(), tags, "{case}");
    }
}

#[test]
fn a_number_that_is_lost_on_the_second_registry_is_left_by_all() {
    let test = "a_number_that_is_lost_on_the_second_registry_is_left_by_all";
    for (ours, method) in [(true, "PUT"), (false, "HEAD")] {
        let started: Vec<_> = [true, ours].into_iter().filter_map(|ours| start(ours, test)).collect();
        let [(one, _first), (two, _second)] = started.as_slice() else { return };
        // The one that is claimed last; which that is depends on the ports.
        let last = Arc::new(AtomicUsize::new(2));
        let lost = Arc::new(AtomicBool::new(false));
        let fronts: Vec<Front> = [one, two]
            .into_iter()
            .enumerate()
            .map(|(number, backend)| {
                let (address, last, lost) = (backend.clone(), Arc::clone(&last), Arc::clone(&lost));
                Front::of(backend, move |asked| {
                    let here = last.load(Ordering::SeqCst) == number;
                    if here && names(asked, method, "hub", "5.3.0-0") && !lost.swap(true, Ordering::SeqCst) {
                        somebody_releases(&address, "hub", "5.3.0-0");
                    }
                    Say::Pass
                })
            })
            .collect();
        // docker-registry would not notice a PUT that overwrites.
        let last_is = usize::from(!ours || fronts[1].address > fronts[0].address);
        last.store(last_is, Ordering::SeqCst);
        let site = Site::of(&[&fronts[0].address, &fronts[1].address]);
        let repository = repository("5.3.0", "4.5.0", "one");
        let ran = site.release(&repository, "c1");
        let tags: Vec<String> = images(&ran).iter().map(|i| i["tag"].as_str().unwrap().to_owned()).collect();
        assert_eq!(tags, ["5.3.0-1", "4.5.0-1"], "{}", ran.stderr);
        all_have_the_second_number(&site, test);
        let before = site.tags();
        assert_ne!(before[&format!("{last_is} hub")]["5.3.0-0"], before["0 hub"]["5.3.0-1"], "theirs stays");
        assert_eq!(site.release(&repository, "c1").json()["nothing_to_release"], true);
        assert_eq!(site.tags(), before);
    }
}

/// The release ends where it lost the number: the next run knows what of it is out.
#[test]
fn a_release_that_lost_its_number_and_was_cut_off_is_finished() {
    let test = "a_release_that_lost_its_number_and_was_cut_off_is_finished";
    for ours in [true, false] {
        let Some((address, _running)) = start(ours, test) else { return };
        let (backend, lost) = (address.clone(), AtomicBool::new(false));
        let front = Front::of(&address, move |asked| {
            if lost.load(Ordering::SeqCst) {
                return Say::Cut;
            }
            if names(asked, "HEAD", "lab", "4.5.0-0") {
                somebody_releases(&backend, "lab", "4.5.0-0");
                lost.store(true, Ordering::SeqCst);
            }
            Say::Pass
        });
        let repository = repository("5.3.0", "4.5.0", "one");
        let ran = Site::of(&[&front.address]).release(&repository, "c1");
        assert_eq!(ran.code, Some(1), "{}", ran.stderr);
        let site = Site::of(&[&address]);
        assert!(site.tags()["0 hub"].contains_key("5.3.0-0"), "{}", ran.stderr);
        assert_eq!(site.release(&repository, "c1").code, Some(0));
        all_have_the_second_number(&site, "next run");
    }
}

/// What a racer of [`releases_at_random`] does.
struct Racer {
    revision: String,
    repository: Repository,
    images: Vec<&'static str>,
    killed: bool,
}

/// Numbers that are taken as if at random, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

const IMAGES: [&str; 3] = ["hub", "lab", "proxy"];

fn racer(dice: &mut Dice, trial: u64, number: u64) -> Racer {
    let revision = format!("c{trial}.{number}");
    let repository = repository("5.3.0", "4.5.0", &revision);
    let toml = std::fs::read_to_string(repository.join("perijove.toml")).unwrap();
    let proxy = "[image.proxy]\nversion = \"5.1.0\"\nbase = { debian = \"trixie\" }\nfiles = \"rootfs\"\n";
    repository.write("perijove.toml", &format!("{toml}\n{proxy}"));
    repository.lock_debs("proxy", &[]);
    repository.write("images/proxy/rootfs/etc/proxy", &revision);
    // Most release all; some only what the others claim later.
    let images = match dice.below(3) {
        0 => vec!["lab"],
        1 => vec!["lab", "proxy"],
        _ => IMAGES.to_vec(),
    };
    Racer { revision, repository, images, killed: dice.below(3) == 0 }
}

fn program(site: &Site, racer: &Racer) -> Program {
    site.program(&racer.repository, &racer.revision, "main").args(racer.images.iter().copied())
}

/// The numbers that a racer's images have in all registries, of those that it was told to release.
fn numbers(
    site: &Site,
    tags: &BTreeMap<String, BTreeMap<String, String>>,
    digests: &[(String, String)],
) -> BTreeSet<u64> {
    let mut common: Option<BTreeSet<u64>> = None;
    for registry in 0..site.registries.len() {
        for (image, digest) in digests {
            let tags = tags[&format!("{registry} {image}")].iter();
            let ours = tags.filter(|(_, found)| *found == digest).filter_map(|(tag, _)| tag.rsplit_once('-'));
            let ours: BTreeSet<u64> = ours.map(|(_, number)| number.parse().unwrap()).collect();
            common = Some(common.map_or(ours.clone(), |all| all.intersection(&ours).copied().collect()));
        }
    }
    common.unwrap_or_default()
}

/// Several releasers of some or all of three images, some of them killed, and run again.
fn releases_at_random(site: &Site, trial: u64, referee: bool) {
    let mut dice = Dice(trial);
    let racers: Vec<Racer> = (0..4).map(|number| racer(&mut dice, trial, number)).collect();
    let running: Vec<_> = racers.iter().map(|racer| program(site, racer).start()).collect();
    std::thread::sleep(Duration::from_millis(200 + dice.below(600)));
    let mut left = Vec::new();
    for (racer, running) in racers.iter().zip(running) {
        if racer.killed {
            running.kill();
            left.push(program(site, racer).start());
        } else {
            left.push(running);
        }
    }
    for (racer, running) in racers.iter().zip(left) {
        let mut ran = running.end();
        // docker-registry writes the links of its store in place: whoever reads one at that moment finds nothing in
        // it, and is told that a digest is wrong. That run fails, and the next goes on.
        for _ in 0..3 {
            if ran.code == Some(0) || referee || !ran.stderr.contains("DIGEST_INVALID") {
                break;
            }
            ran = program(site, racer).run();
        }
        assert_eq!(ran.code, Some(0), "trial {trial}: {}", ran.stderr);
    }
    for racer in &racers {
        // What its images are; this also finds what a race took away where nobody is the referee.
        let built =
            site.perijove(&racer.repository, &["build", "--format", "json", "--revision", &racer.revision]);
        let built = built.run().json();
        let all = built["images"].as_array().unwrap().iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let digests = all.map(|image| (text(&image["name"]), text(&image["digest"])));
        let digests: Vec<_> = digests.filter(|(name, _)| racer.images.contains(&name.as_str())).collect();
        let mut tags = site.tags();
        if !referee && numbers(site, &tags, &digests).is_empty() {
            assert_eq!(program(site, racer).run().code, Some(0), "trial {trial}");
            tags = site.tags();
        }
        let numbers = numbers(site, &tags, &digests);
        assert!(!numbers.is_empty(), "trial {trial}: {}\n{}", racer.revision, site.text());
    }
    for (repository, tags) in site.tags() {
        let number = |tag: &String| tag.rsplit_once('-').and_then(|(_, digits)| digits.parse::<u64>().ok());
        let Some((_, greatest)) = tags.iter().max_by_key(|(tag, _)| number(tag)) else { continue };
        let aliases = tags.iter().filter(|(tag, _)| !tag.contains('-'));
        for (alias, digest) in aliases {
            assert_eq!(digest, greatest, "trial {trial}: {repository}:{alias}\n{}", site.text());
        }
    }
}

#[test]
fn racing_and_killed_releases_end_under_one_number_each() {
    for trial in 0..6 {
        let (one, two) = (Registry::with(PERIJOVE, BUILDS), Registry::with(PERIJOVE, BUILDS));
        releases_at_random(&Site::of(&[&one.address, &two.address]), trial, true);
    }
}

/// Without a referee a release may lose its number after it has ended; the next run of it takes another.
#[test]
fn racing_releases_end_under_one_number_each_without_a_referee() {
    let test = "racing_releases_end_under_one_number_each_without_a_referee";
    for trial in 10..13 {
        let Some(one) = Peer::start(test) else { return };
        let two = Registry::with(PERIJOVE, BUILDS);
        releases_at_random(&Site::of(&[&one.address, &two.address]), trial, false);
    }
}
