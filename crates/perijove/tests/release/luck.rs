//! Bad luck while a release runs: it ends well, or with a clear message and nothing wrong; the next run finishes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use perijove_testkit::front::{Front, Say};
use perijove_testkit::peer::Peer;
use perijove_testkit::registry::Registry;
use perijove_testkit::web::{Answer, Asked};
use perijove_testkit::{has, is_root, skip};

use crate::scene::{BUILDS, Site, images, repository};

pub fn registry() -> Registry {
    Registry::with(crate::PERIJOVE, BUILDS)
}

/// What an undisturbed release leaves in two registries.
pub fn undisturbed() -> String {
    let (one, two) = (registry(), registry());
    let site = Site::of(&[&one.address, &two.address]);
    assert_eq!(site.release(&repository("5.3.0", "4.5.0", "one"), "c1").code, Some(0));
    site.text()
}

fn is_claim(asked: &Asked) -> bool {
    asked.method == "PUT" && asked.path.contains("/manifests/") && asked.path.contains("-0")
}

/// Whether a registry goes away at a request, after so many claims.
type Goes = fn(&Asked, usize) -> bool;

/// The second registry goes away at a step, and is back for the next run.
#[test]
fn one_registry_of_two_goes_down() {
    let expected = undisturbed();
    let steps: [(&str, Goes); 4] = [
        ("look", |asked, _| asked.path.contains("/tags/list")),
        ("push", |asked, _| asked.method == "POST"),
        ("claim", |asked, _| is_claim(asked)),
        ("verify", |asked, claims| claims == 2 && asked.path.contains("/tags/list")),
    ];
    for (step, goes) in steps {
        let (one, two) = (registry(), registry());
        let (down, up, claims) =
            (AtomicBool::new(false), Arc::new(AtomicBool::new(false)), AtomicUsize::new(0));
        let mended = Arc::clone(&up);
        let front = Front::of(&two.address, move |asked| {
            if mended.load(Ordering::SeqCst) {
                return Say::Pass;
            }
            if down.load(Ordering::SeqCst) || goes(asked, claims.load(Ordering::SeqCst)) {
                down.store(true, Ordering::SeqCst);
                return Say::Cut;
            }
            claims.fetch_add(usize::from(is_claim(asked)), Ordering::SeqCst);
            Say::Pass
        });
        let site = Site::of(&[&one.address, &front.address]);
        let repository = repository("5.3.0", "4.5.0", "one");
        let ran = site.release(&repository, "c1");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{step}: {}", ran.stderr);
        assert!(ran.stderr.contains(&front.address), "{step}: {}", ran.stderr);
        up.store(true, Ordering::SeqCst);
        let ran = site.release(&repository, "c1");
        assert_eq!(ran.code, Some(0), "{step}: {}", ran.stderr);
        assert_eq!(site.text(), expected, "{step}");
    }
}

/// The second registry takes its tags one by one, and goes away at an alias; the first one has all of them by then, or
/// none.
#[test]
fn one_registry_of_two_goes_down_while_its_aliases_move() {
    let start = || Some((registry(), Peer::start("one_registry_of_two_goes_down_while_its_aliases_move")?));
    let repository = repository("5.3.0", "4.5.0", "one");
    let Some((one, two)) = start() else { return };
    let site = Site::of(&[&one.address, &two.address]);
    assert_eq!(site.release(&repository, "c1").code, Some(0));
    let expected = site.text();
    for alias in ["5.3.0", "5", "latest"] {
        let Some((one, two)) = start() else { return };
        let down = AtomicBool::new(false);
        let front = Front::of(&two.address, move |asked| {
            let at = asked.method == "PUT" && asked.path.ends_with(&format!("/hub/manifests/{alias}"));
            if down.load(Ordering::SeqCst) || at {
                down.store(true, Ordering::SeqCst);
                return Say::Cut;
            }
            Say::Pass
        });
        let ran = Site::of(&[&one.address, &front.address]).release(&repository, "c1");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{alias}: {}", ran.stderr);
        assert!(ran.stderr.contains(&front.address), "{alias}: {}", ran.stderr);
        let direct = Site::of(&[&one.address, &two.address]);
        assert!(direct.tags()["1 hub"].contains_key("5.3.0-0"), "{alias}: it was claimed");
        assert!(!direct.tags()["1 hub"].contains_key(alias), "{alias}");
        let ran = direct.release(&repository, "c1");
        assert_eq!(ran.code, Some(0), "{alias}: {}", ran.stderr);
        assert_eq!(direct.text(), expected, "{alias}");
    }
}

#[test]
fn a_registry_that_is_new_gets_the_builds_that_are_out() {
    let (one, two) = (registry(), registry());
    let repository = repository("5.3.0", "4.5.0", "one");
    assert_eq!(Site::of(&[&one.address]).release(&repository, "c1").code, Some(0));
    let both = Site::of(&[&one.address, &two.address]);
    // What a dry run says of it.
    let dry = both.program(&repository, "c2", "main").args(["--dry-run"]).run().json();
    let steps: Vec<&str> =
        dry["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap()).collect();
    let second = &both.registries[1];
    let (copy, alias) =
        (format!("copy {second}/hub:5.3.0-0"), format!("alias {second}/hub: 5.3.0 5.3 5 latest"));
    assert!(steps.contains(&copy.as_str()) && steps.contains(&alias.as_str()), "{steps:?}");
    assert_eq!(steps.iter().filter(|step| !step.starts_with("verify ")).count(), 4, "{steps:?}");
    assert!(both.tags()["1 hub"].is_empty());
    // Another commit with the same content: the bytes that are out are copied, not made anew.
    let ran = both.release(&repository, "c2");
    assert_eq!(ran.json()["nothing_to_release"], true, "{}", ran.stderr);
    assert!(ran.stderr.contains(&format!("copy {}/hub:5.3.0-0", both.registries[1])), "{}", ran.stderr);
    let tags = both.tags();
    assert_eq!((&tags["0 hub"], &tags["0 lab"]), (&tags["1 hub"], &tags["1 lab"]));
    assert_eq!(tags["1 hub"].len(), 5);
}

fn delete(address: &str, path: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!("DELETE {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
}

/// Somebody deletes tags between the claim and the look that follows it.
#[test]
fn tags_that_are_deleted_under_us_are_put_back() {
    let expected = undisturbed();
    for gone in ["5.3", "latest", "5.3.0-0"] {
        let (one, two) = (registry(), registry());
        let (claimed, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let address = two.address.clone();
        let front = Front::of(&two.address, move |asked| {
            let look = asked.path.contains("/hub/tags/list") && claimed.load(Ordering::SeqCst);
            if look && !done.swap(true, Ordering::SeqCst) {
                delete(&address, &format!("/v2/team/hub/manifests/{gone}"));
            }
            // The lab's claim is the last.
            if is_claim(asked) && asked.path.contains("/lab/") {
                claimed.store(true, Ordering::SeqCst);
            }
            Say::Pass
        });
        let site = Site::of(&[&one.address, &front.address]);
        let ran = site.release(&repository("5.3.0", "4.5.0", "one"), "c1");
        assert_eq!(ran.code, Some(0), "{gone}: {}", ran.stderr);
        assert_eq!(site.text(), expected, "{gone}");
    }
}

/// Pages, junk and doubles in the list of tags; the newest build is on the last page.
#[test]
fn a_list_of_tags_in_pages_with_junk() {
    let registry = registry();
    let front = Front::of(&registry.address, |asked| {
        if asked.method != "GET" || !asked.path.contains("/tags/list") || asked.path.contains("last=junk") {
            return Say::Pass;
        }
        let repository = asked.path.split("/tags/").next().unwrap();
        let junk = [
            "zzz",
            "sha-123",
            "5.3.0-",
            "1.2.3.4",
            "5.3.0-1.pr7",
            "nightly",
            "99999999999999999999.1.2-7",
            "2024-01-15",
        ];
        let name = repository.trim_start_matches("/v2/");
        let body = serde_json::json!({ "name": name, "tags": junk });
        let mut page = Answer::ok("application/json", body.to_string());
        // The registry's own list is the second page: `last` sorts before all that is in it.
        page.headers
            .push(("Link", format!("<{repository}/tags/list?n=1000&last=0&after=last=junk>; rel=\"next\"")));
        Say::Answer(page)
    });
    let site = Site::of(&[&front.address]);
    let repository = repository("5.3.0", "4.5.0", "one");
    for (revision, tag) in [("c1", "5.3.0-0"), ("c2", "5.3.0-1")] {
        repository.write("images/hub/rootfs/etc/hub", revision);
        assert_eq!(images(&site.release(&repository, revision))[0]["tag"], tag);
    }
    let direct = Site::of(&[&registry.address]);
    assert_eq!(direct.aliases("0 hub")["latest"], "5.3.0-1");
}

/// 429 and 503 to each PUT of a tag, once: one by one where the registry takes one tag in a request.
#[test]
fn limits_are_waited_for() {
    let expected = undisturbed();
    for status in [429, 503] {
        let (one, two) = (registry(), registry());
        let fronts = [&one.address, &two.address].map(|address| reluctant(address, status));
        let site = Site::of(&[&fronts[0].address, &fronts[1].address]);
        let ran = site.release(&repository("5.3.0", "4.5.0", "one"), "c1");
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_eq!(site.text(), expected);
    }
    let Some(peer) = Peer::start("limits_are_waited_for") else { return };
    let front = reluctant(&peer.address, 429);
    let site = Site::of(&[&front.address]);
    let ran = site.release(&repository("5.3.0", "4.5.0", "one"), "c1");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(site.aliases("0 hub").len(), 4);
    assert!(site.aliases("0 hub").values().all(|tag| tag == "5.3.0-0"));
}

fn reluctant(address: &str, status: u16) -> Front {
    let asked_before = std::sync::Mutex::new(std::collections::BTreeSet::new());
    Front::of(address, move |asked| {
        let tag = asked.method == "PUT" && asked.path.contains("/manifests/");
        if tag && asked_before.lock().unwrap().insert(asked.path.clone()) {
            let headers = vec![("Retry-After", "0".to_owned())];
            return Say::Answer(Answer { headers, ..Answer::status(status) });
        }
        Say::Pass
    })
}

#[test]
fn a_manifest_with_another_digest_is_refused() {
    let registry = registry();
    let repository = repository("5.3.0", "4.5.0", "one");
    let straight = Site::of(&[&registry.address]);
    assert_eq!(straight.release(&repository, "c1").code, Some(0));
    let digest = straight.tags()["0 hub"]["5.3.0-0"].clone();
    let front = Front::of(&registry.address, move |asked| {
        if asked.method != "GET" || !asked.path.ends_with("/hub/manifests/5.3.0-0") {
            return Say::Pass;
        }
        let mut other = Answer::ok("application/vnd.oci.image.index.v1+json", r#"{"manifests":[]}"#);
        other.headers.push(("Docker-Content-Digest", digest.clone()));
        Say::Answer(other)
    });
    repository.write("images/hub/rootfs/etc/hub", "hub two\n");
    let before = straight.text();
    let ran = Site::of(&[&front.address]).release(&repository, "c2");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("expected sha256:"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: something between here"), "{}", ran.stderr);
    assert_eq!(straight.text(), before);
}

#[test]
fn a_full_disk_leaves_nothing_public() {
    let test = "a_full_disk_leaves_nothing_public";
    if !is_root() {
        return skip(test, "only root can mount a small file system");
    }
    if !has(test, "unshare") {
        return;
    }
    let registry = registry();
    let site = Site::of(&[&registry.address]);
    let repository = repository("5.3.0", "4.5.0", "one");
    repository.write("images/lab/rootfs/large", &"0123456789".repeat(100_000));
    // Too small for the layers of the second image.
    let noise: String =
        (0..40_000u64).map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect();
    repository.write("images/lab/rootfs/noise", &noise);
    let cache = site.cache.path().display().to_string();
    let script = format!("mount -t tmpfs -o size=200k none {cache} || exit 77; exec \"$@\"");
    let words = ["unshare", "--mount", "sh", "-c", &script, "sh"];
    let ran = site.program(&repository, "c1", "main").under(&words).run();
    if ran.code == Some(77) {
        return skip(test, "this machine lets nobody mount");
    }
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: free some disk space"), "{}", ran.stderr);
    assert!(site.tags().values().all(std::collections::BTreeMap::is_empty));
    assert_eq!(site.release(&repository, "c1").code, Some(0));
    assert_eq!(site.aliases("0 lab").len(), 4);
}

/// Ctrl-C after each step that is announced; the next run ends where an undisturbed one does.
#[test]
fn an_interrupt_at_any_step() {
    let expected = undisturbed();
    let mut ended = 0;
    for step in 0..14 {
        let (one, two) = (registry(), registry());
        let site = Site::of(&[&one.address, &two.address]);
        let repository = repository("5.3.0", "4.5.0", "one");
        let mut command = std::process::Command::new(crate::PERIJOVE);
        command.args(["release", "--revision", "c1", "--branch", "main"]).current_dir(repository.path());
        command.env("HOME", site.cache.path()).env("XDG_CACHE_HOME", site.cache.path());
        command.env("PERIJOVE_REGISTRIES", site.registries.join(","));
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let is_step =
            |line: &String| ["push ", "claim ", "alias ", "verify "].iter().any(|w| line.contains(w));
        lines.by_ref().filter(is_step).nth(step);
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        let rest: Vec<String> = lines.collect();
        match child.wait().unwrap().code() {
            Some(1) => {
                ended += 1;
                assert!(rest.iter().any(|line| line.contains("interrupted")), "{step}: {rest:?}");
                assert!(rest.iter().any(|line| line.contains("hint: run it again")), "{step}: {rest:?}");
            }
            code => assert_eq!(code, Some(0), "{step}: {rest:?}"),
        }
        let ran = site.release(&repository, "c1");
        assert_eq!(ran.code, Some(0), "{step}: {}", ran.stderr);
        assert_eq!(site.text(), expected, "{step}");
    }
    eprintln!("{ended} of 14 releases were ended half-way");
    assert!(ended > 4, "{ended}");
}

#[test]
fn what_is_written_wrong_is_said_before_anything_is_public() {
    let registry = registry();
    let site = Site::of(&[&registry.address]);
    let good =
        "[repository]\nregistries = []\n\n[image.hub]\nversion = \"5.3.0\"\nbase = { debian = \"trixie\" }\n";
    for (case, toml, says) in [
        ("a typo", good.replace("registries", "registrys"), "did you mean `registries`?"),
        ("a typo in an image", good.replace("version", "verson"), "did you mean `version`?"),
        ("two images with one name", format!("{good}\n[image.hub]\nversion = \"1.0.0\"\n"), "duplicate key"),
        (
            "two images in one repository",
            good.replace("[]", "[\"127.0.0.1:1/team\", \"127.0.0.1:1/team/\"]"),
            "one repository twice",
        ),
        (
            "no version in the lock",
            good.replace("version = \"5.3.0\"", "version-from = \"jupyterhub\""),
            "which no lock of the image has",
        ),
        (
            "no version at all",
            good.replace("version = \"5.3.0\"\n", ""),
            "neither `version-from` nor `version`",
        ),
        (
            "a version that is none",
            good.replace("5.3.0", "5.3"),
            "image hub: its version makes no tag: 5.3-0: ",
        ),
    ] {
        let repository = perijove_testkit::repository::Repository::new(&toml);
        repository.lock_debs("hub", &[]);
        let ran = site.program(&repository, "c1", "main").run();
        assert_eq!(ran.code, Some(2), "{case}: {ran:?}");
        assert!(ran.stderr.contains(says) && ran.stderr.contains("hint: "), "{case}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{case}");
    }
    assert!(site.tags().values().all(std::collections::BTreeMap::is_empty));
}

/// Two registries that have different builds under one tag: nobody can know which is right.
#[test]
fn registries_that_differ_are_left_to_people() {
    let (one, two) = (registry(), registry());
    for (registry, content) in [(&one, "one"), (&two, "two")] {
        let site = Site::of(&[&registry.address]);
        assert_eq!(site.release(&repository("5.3.0", "4.5.0", content), "c1").code, Some(0));
    }
    let both = Site::of(&[&one.address, &two.address]);
    let before = both.text();
    let ran = both.release(&repository("5.3.0", "4.5.0", "one"), "c2");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    assert!(
        ran.stderr.contains(&format!("{}/hub:5.3.0-0 was overwritten", both.registries[1])),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("perijove tags verify"), "{}", ran.stderr);
    assert_eq!(both.text(), before);
}
