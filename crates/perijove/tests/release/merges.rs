//! Merges become builds with their aliases; races and crashes change nothing of that.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use perijove_testkit::front::{Front, Say};
use perijove_testkit::peer::Peer;
use perijove_testkit::program::Ran;
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;

use crate::PERIJOVE;
use crate::scene::{BUILDS, Site, images, repository, shown, somebody_releases};

#[test]
fn merges_become_builds_with_their_aliases() {
    let (one, two) = (Registry::with(PERIJOVE, BUILDS), Registry::with(PERIJOVE, BUILDS));
    let site = Site::of(&[&one.address, &two.address]);
    let first = repository("5.3.0", "4.5.0", "one");
    let dry = site.program(&first, "c1", "main").args(["--dry-run"]).run().json();
    assert_eq!(dry["images"][0]["tag"], "5.3.0-0");
    let words = dry["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap().split(' ').next());
    let mut words: Vec<&str> = words.map(Option::unwrap).collect();
    words.dedup();
    assert_eq!(words, ["test", "push", "claim", "alias", "verify"]);
    assert!(site.tags().values().all(BTreeMap::is_empty), "a dry run leaves nothing");
    for image in images(&site.release(&first, "c1")) {
        assert_eq!(image["already_there"], false);
        for repository in image["repositories"].as_array().unwrap() {
            assert_eq!(repository["referee"], "registry", "{repository}");
        }
    }
    assert_eq!(shown(&site.aliases("0 hub")), "5=5.3.0-0 5.3=5.3.0-0 5.3.0=5.3.0-0 latest=5.3.0-0");
    assert_eq!(shown(&site.aliases("1 lab")), "4=4.5.0-0 4.5=4.5.0-0 4.5.0=4.5.0-0 latest=4.5.0-0");
    // The same commit, and another commit with the same content.
    let before = site.tags();
    for revision in ["c1", "c2"] {
        let again = site.release(&first, revision).json();
        assert_eq!(again["nothing_to_release"], true, "{again}");
    }
    assert_eq!(site.tags(), before);
    // One image changes, and takes the number that is free for both.
    first.write("images/lab/rootfs/etc/lab", "lab two\n");
    let tags: Vec<String> =
        images(&site.release(&first, "c3")).iter().map(|i| i["tag"].to_string()).collect();
    assert_eq!(tags, ["\"5.3.0-0\"", "\"4.5.0-1\""]);
    first.write("images/hub/rootfs/etc/hub", "hub two\n");
    let tags: Vec<String> =
        images(&site.release(&first, "c4")).iter().map(|i| i["tag"].to_string()).collect();
    assert_eq!(tags, ["\"5.3.0-1\"", "\"4.5.0-1\""]);
    // A backport on its own branch.
    let backport = repository("4.1.6", "4.4.0", "backport");
    let ran = site.program(&backport, "c5", "4.x").run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(
        shown(&site.aliases("0 hub")),
        "4=4.1.6-0 4.1=4.1.6-0 4.1.6=4.1.6-0 5=5.3.0-1 5.3=5.3.0-1 5.3.0=5.3.0-1 latest=5.3.0-1"
    );
    // A first release of a new major version from another branch than the default leaves `latest`.
    let ran = site.program(&repository("6.0.0", "5.0.0", "next"), "c6", "6.x").run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(shown(&site.aliases("1 hub")).ends_with("6=6.0.0-0 6.0=6.0.0-0 6.0.0=6.0.0-0 latest=5.3.0-1"));
}

#[test]
fn a_failing_check_keeps_all_private() {
    let registry = Registry::with(PERIJOVE, BUILDS);
    let site = Site::of(&[&registry.address]);
    let repository = repository("5.3.0", "4.5.0", "one");
    let toml = std::fs::read_to_string(repository.join("perijove.toml")).unwrap();
    repository.write("perijove.toml", &format!("{toml}\n[[image.lab.test]]\nrun = [\"/bin/nowhere\"]\n"));
    let ran = site.release(&repository, "c1");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("lab: a check failed, so nothing is public"), "{}", ran.stderr);
    assert!(site.tags().values().all(BTreeMap::is_empty));
}

/// Images for a processor that this machine has not, with a check that would fail wherever it ran.
fn cannot_run_here() -> (Repository, &'static str) {
    let other = if std::env::consts::ARCH == "x86_64" { "linux/arm64" } else { "linux/amd64" };
    let repository = repository("5.3.0", "4.5.0", "one");
    let toml = std::fs::read_to_string(repository.join("perijove.toml")).unwrap();
    let toml = toml.replace(r#"["linux/amd64", "linux/arm64"]"#, &format!("[\"{other}\"]"));
    repository.write("perijove.toml", &format!("{toml}\n[[image.lab.test]]\nrun = [\"/bin/nowhere\"]\n"));
    (repository, other)
}

#[test]
fn what_cannot_run_here_is_untested_never_passed() {
    let registry = Registry::with(PERIJOVE, BUILDS);
    let site = Site::of(&[&registry.address]);
    let (repository, other) = cannot_run_here();
    let notes = site.cache.path().join("notes.md");
    let ran = site.program(&repository, "c1", "main").args(["--notes", &notes.display().to_string()]).run();
    let record = ran.json();
    let [check] = record["checks"].as_array().unwrap().as_slice() else { panic!("{record}") };
    assert_eq!((&check["result"], &check["platform"]), (&"untested".into(), &other.into()), "{check}");
    assert!(check["reason"].as_str().unwrap().contains("this machine is"), "{check}");
    assert!(ran.stderr.contains("untested") && !ran.stderr.contains("passed"), "{}", ran.stderr);
    let notes = std::fs::read_to_string(notes).unwrap();
    assert!(notes.contains("0 passed, 1 untested"), "{notes}");
}

/// Killed when its checks are through and nothing is public yet.
#[test]
fn a_release_that_is_killed_behind_its_checks_is_finished_by_the_next_run() {
    let (repository, _) = cannot_run_here();
    let (undisturbed, registry) = (Registry::with(PERIJOVE, BUILDS), Registry::with(PERIJOVE, BUILDS));
    let (undisturbed, site) = (Site::of(&[&undisturbed.address]), Site::of(&[&registry.address]));
    undisturbed.release(&repository, "c1").json();
    assert!(kill_at(&site, &repository, |lines| lines.find(|line| line.contains("untested")).is_some()));
    assert!(site.tags().values().all(|tags| !tags.contains_key("latest")), "at most blobs are there");
    assert_eq!(site.release(&repository, "c1").code, Some(0));
    assert_eq!(site.tags(), undisturbed.tags());
}

/// Kills at every step that is announced, and at random moments; the next run ends where an undisturbed one does.
#[test]
fn a_killed_release_is_finished_by_the_next_run() {
    finished_by_the_next_run(0..45, || {
        let (one, two) = (Registry::with(PERIJOVE, BUILDS), Registry::with(PERIJOVE, BUILDS));
        (vec![one.address.clone(), two.address.clone()], (one, two))
    });
}

/// The same where one of the two registries keeps no tag and takes one tag a request.
#[test]
fn a_killed_release_is_finished_where_a_registry_is_no_referee() {
    if Peer::start("a_killed_release_is_finished_where_a_registry_is_no_referee").is_none() {
        return;
    }
    finished_by_the_next_run((0..20).step_by(2).chain(28..34), || {
        let (one, two) = (Registry::with(PERIJOVE, BUILDS), Peer::start("docker-registry").unwrap());
        (vec![one.address.clone(), two.address.clone()], (one, two))
    });
}

/// `make` starts empty registries, and gives their addresses and what keeps them running.
fn finished_by_the_next_run<T>(trials: impl Iterator<Item = u64>, make: impl Fn() -> (Vec<String>, T)) {
    let repository = repository("5.3.0", "4.5.0", "one");
    let start = || {
        let (addresses, running) = make();
        let addresses: Vec<&str> = addresses.iter().map(String::as_str).collect();
        (Site::of(&addresses), running)
    };
    let undisturbed = {
        let (site, _running) = start();
        site.release(&repository, "c1").json();
        site.tags()
    };
    let (mut killed, mut tried) = (0, 0);
    for trial in trials {
        let (site, _running) = start();
        killed += u32::from(kill(&site, &repository, trial));
        tried += 1;
        let ran = site.release(&repository, "c1");
        assert_eq!(ran.code, Some(0), "trial {trial}: {}", ran.stderr);
        assert_eq!(site.tags(), undisturbed, "trial {trial}");
    }
    eprintln!("{killed} of {tried} releases were killed before their end");
    assert!(killed > tried / 2, "{killed} of {tried}");
}

/// Kills a release after step `trial`, a while after its first step (from trial 20 on), or a while after its start, when
/// it builds (from trial 30 on); whether it was still running.
fn kill(site: &Site, repository: &Repository, trial: u64) -> bool {
    let is_step = |line: &String| ["push ", "claim ", "alias ", "verify "].iter().any(|w| line.contains(w));
    kill_at(site, repository, |lines| {
        if trial < 20 {
            return lines.filter(is_step).nth(usize::try_from(trial).unwrap()).is_some();
        }
        if trial < 30 {
            let _ = lines.find(is_step);
        }
        std::thread::sleep(std::time::Duration::from_millis((trial * 7919) % 60));
        true
    })
}

/// What a program says.
type Lines = Box<dyn Iterator<Item = String>>;

/// Kills a release when `moment`, which reads what it says, has come; whether it was still running.
fn kill_at(site: &Site, repository: &Repository, moment: impl Fn(&mut Lines) -> bool) -> bool {
    let mut command = Command::new(PERIJOVE);
    command.args(["release", "--revision", "c1", "--branch", "main"]).current_dir(repository.path());
    command.env("HOME", site.cache.path()).env("XDG_CACHE_HOME", site.cache.path());
    command.env("PERIJOVE_REGISTRIES", site.registries.join(","));
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let mut lines: Lines = Box::new(lines);
    let _ = moment(&mut lines);
    let running = child.try_wait().unwrap().is_none();
    child.kill().unwrap();
    child.wait().unwrap();
    running
}

/// What a racer's record says.
struct Raced {
    revision: String,
    repository: Repository,
    /// Tag and digest of hub and lab.
    claimed: [(String, String); 2],
    /// Tags that another one took from it while it ran.
    overwritten: Vec<String>,
}

fn claimed(ran: &Ran) -> [(String, String); 2] {
    let all = images(ran);
    let claimed = [0, 1].map(|at| {
        let text = |name: &str| all[at][name].as_str().unwrap().to_owned();
        (text("tag"), text("digest"))
    });
    let number = |tag: &str| tag.rsplit_once('-').unwrap().1.to_owned();
    // Where others came over a release that is out, their builds are named.
    if all.iter().all(|image| image["why"] != "same_commit") {
        assert_eq!(number(&claimed[0].0), number(&claimed[1].0), "two numbers in one release");
    }
    claimed
}

/// Sixteen releases of different content at one time.
fn race(site: &Site) -> Vec<Raced> {
    let racers = (0..16).map(|n| (format!("c{n}"), repository("5.3.0", "4.5.0", &format!("racer {n}"))));
    let running: Vec<_> = racers
        .map(|(revision, repository)| {
            let running = site.program(&repository, &revision, "main").start();
            (revision, repository, running)
        })
        .collect();
    let ended = running.into_iter().map(|(revision, repository, racer)| {
        let ran = racer.end();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let overwritten = ran.json()["overwritten"].as_array().unwrap().clone();
        let overwritten = overwritten.iter().map(|tag| tag.as_str().unwrap().to_owned()).collect();
        Raced { revision, repository, claimed: claimed(&ran), overwritten }
    });
    ended.collect()
}

/// Whoever was last to look has set the aliases right.
fn aliases_name_the_greatest(site: &Site) {
    for image in ["0 hub", "0 lab"] {
        let tags = site.tags().remove(image).unwrap();
        // Not `sha256-…`, a list of referrers where the registry has none of its own.
        let number = |tag: &String| tag.rsplit_once('-').and_then(|(_, digits)| digits.parse::<u32>().ok());
        let (_, greatest) = tags.iter().max_by_key(|(tag, _)| number(tag)).unwrap();
        let mut aliases = tags.iter().filter(|(tag, _)| !tag.contains('-'));
        assert!(aliases.all(|(_, digest)| digest == greatest), "{image}: {tags:#?}");
    }
}

#[test]
fn sixteen_racing_releases_take_sixteen_numbers() {
    let registry = Registry::with(PERIJOVE, BUILDS);
    let site = Site::of(&[&registry.address]);
    let raced = race(&site);
    let tags = site.tags();
    let numbers: BTreeSet<&String> = raced.iter().map(|racer| &racer.claimed[0].0).collect();
    assert_eq!(numbers.len(), 16, "{numbers:?}");
    for racer in &raced {
        for ((tag, digest), image) in racer.claimed.iter().zip(["0 hub", "0 lab"]) {
            assert_eq!(&tags[image][tag], digest, "{tag} was overwritten");
        }
        assert_eq!(racer.overwritten, [""; 0]);
    }
    aliases_name_the_greatest(&site);
}

/// docker-registry takes one tag a request: the smallest alias goes first and `latest` last, so what is cut off half-way
/// is not done, and the next run sees that by `latest` alone.
#[test]
fn aliases_that_are_cut_off_half_way_are_finished() {
    let Some(registry) = Peer::start("aliases_that_are_cut_off_half_way_are_finished") else { return };
    let first = repository("5.3.0", "4.5.0", "one");
    let direct = Site::of(&[&registry.address]);
    assert_eq!(direct.release(&first, "c1").code, Some(0));
    first.write("images/hub/rootfs/etc/hub", "hub two\n");
    let goes = |asked: &perijove_testkit::web::Asked| {
        asked.method == "PUT" && asked.path.ends_with("/team/hub/manifests/5")
    };
    let front = Front::of(&registry.address, move |asked| if goes(asked) { Say::Cut } else { Say::Pass });
    let ran = Site::of(&[&front.address]).release(&first, "c2");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("/team/hub/manifests/5"), "{}", ran.stderr);
    let aliases = shown(&direct.aliases("0 hub"));
    assert_eq!(aliases, "5=5.3.0-0 5.3=5.3.0-1 5.3.0=5.3.0-1 latest=5.3.0-0");
    let ran = direct.release(&first, "c2");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let aliases = shown(&direct.aliases("0 hub"));
    assert_eq!(aliases, "5=5.3.0-1 5.3=5.3.0-1 5.3.0=5.3.0-1 latest=5.3.0-1");
}

/// docker-registry has no referee. A release whose tag another one overwrites while it runs sees that, says so in its
/// record and takes another number. How many do, and how many lose a tag when they have ended already, is up to chance
/// and printed; that the next run finds out and releases again is not.
#[test]
fn a_registry_without_a_referee_is_checked() {
    let Some(registry) = Peer::start("a_registry_without_a_referee_is_checked") else { return };
    let site = Site::of(&[&registry.address]);
    let raced = race(&site);
    let tags = site.tags();
    let holds = |racer: &Raced, tags: &BTreeMap<String, BTreeMap<String, String>>| {
        let mut images = racer.claimed.iter().zip(["0 hub", "0 lab"]);
        images.all(|((tag, digest), image)| &tags[image][tag] == digest)
    };
    for racer in &raced {
        for tag in &racer.overwritten {
            let (repository, tag) = tag.rsplit_once(':').unwrap();
            let at = usize::from(repository.ends_with("/lab"));
            assert_ne!(tags[["0 hub", "0 lab"][at]][tag], racer.claimed[at].1, "it never gets it back");
        }
    }
    let seen = raced.iter().filter(|racer| !racer.overwritten.is_empty()).count();
    let (stay, lost): (Vec<Raced>, Vec<Raced>) = raced.into_iter().partition(|racer| holds(racer, &tags));
    eprintln!(
        "docker-registry: of 16 racing releases {seen} saw a tag overwritten while they ran, {} lost one later",
        lost.len()
    );
    for racer in &lost {
        let ran = site.release(&racer.repository, &racer.revision);
        let again = Raced {
            claimed: claimed(&ran),
            revision: String::new(),
            repository: repository("5.3.0", "4.5.0", "none"),
            overwritten: vec![],
        };
        assert!(holds(&again, &site.tags()), "{}", ran.stderr);
    }
    // Nobody who had a tag has lost it by that.
    assert!(stay.iter().all(|racer| holds(racer, &site.tags())));
    aliases_name_the_greatest(&site);
    let repository = repository("6.0.0", "5.0.0", "alone");
    for image in images(&site.release(&repository, "alone")) {
        assert_eq!(image["repositories"][0]["referee"], "checked");
    }
    assert!(shown(&site.aliases("0 hub")).contains("6=6.0.0-0 6.0=6.0.0-0 6.0.0=6.0.0-0 latest=6.0.0-0"));
}

/// Another release overwrites a tag after it was claimed and read back: it is seen, said, and another number taken.
#[test]
fn a_tag_that_is_overwritten_while_a_release_runs_is_seen() {
    let Some(registry) = Peer::start("a_tag_that_is_overwritten_while_a_release_runs_is_seen") else {
        return;
    };
    let (address, done) = (registry.address.clone(), AtomicBool::new(false));
    let front = Front::of(&registry.address, move |asked| {
        // The lab is claimed after the hub.
        let late = asked.method == "PUT" && asked.path.ends_with("/lab/manifests/4.5.0-0");
        if late && !done.swap(true, Ordering::SeqCst) {
            somebody_releases(&address, "hub", "5.3.0-0");
        }
        Say::Pass
    });
    let site = Site::of(&[&front.address]);
    let ran = site.release(&repository("5.3.0", "4.5.0", "one"), "c1");
    let overwritten = format!("{}/hub:5.3.0-0", site.registries[0]);
    assert_eq!(ran.json()["overwritten"], serde_json::json!([overwritten]), "{}", ran.stderr);
    let [(hub, digest), (lab, _)] = claimed(&ran);
    assert_eq!((hub.as_str(), lab.as_str()), ("5.3.0-1", "4.5.0-1"));
    assert_ne!(site.tags()["0 hub"]["5.3.0-0"], digest, "theirs stays");
    aliases_name_the_greatest(&site);
}
