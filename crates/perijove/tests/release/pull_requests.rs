//! Images of pull requests: made, replaced, removed; never an alias, never a release's tag.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use perijove_testkit::front::{Front, Say};
use perijove_testkit::peer::Peer;
use perijove_testkit::program::Ran;
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;
use perijove_testkit::web::{Answer, Asked};

use crate::scene::{BUILDS, Site, repository};

/// A release registry and a staging registry, looked at alike.
struct Scene {
    site: Site,
    staging: Site,
    repository: Repository,
    _registry: Registry,
}

impl Scene {
    /// With one release.
    fn new(staging: &str) -> Self {
        let registry = Registry::with(crate::PERIJOVE, BUILDS);
        let (site, repository) = (Site::of(&[&registry.address]), repository("5.3.0", "4.5.0", "one"));
        assert_eq!(site.release(&repository, "c1").code, Some(0));
        Scene { site, staging: Site::of(&[staging]), repository, _registry: registry }
    }

    fn run(&self, words: &[&str]) -> Ran {
        let program = self.site.perijove(&self.repository, &["release", "--revision", "c2"]);
        program
            .env("GITHUB_REF_NAME", "7/merge")
            .env("GITHUB_BASE_REF", "main")
            .args(words.iter().copied())
            .run()
    }

    fn staged(&self, words: &[&str]) -> Ran {
        let staging = self.staging.registries[0].clone();
        self.run(&[&["--staging", staging.as_str()], words].concat())
    }

    fn names(&self) -> BTreeMap<String, Vec<String>> {
        let tags = self.staging.tags().into_iter();
        tags.map(|(repository, tags)| {
            (repository, tags.into_keys().filter(|t| !t.starts_with("sha256-")).collect())
        })
        .collect()
    }
}

#[test]
fn changed_images_are_pushed_replaced_and_removed() {
    let embedded = Registry::start(crate::PERIJOVE);
    pushed_replaced_removed(&embedded.address);
}

#[test]
fn docker_registry_stages_too() {
    let Some(peer) = Peer::start("docker_registry_stages_too") else { return };
    pushed_replaced_removed(&peer.address);
}

fn pushed_replaced_removed(staging: &str) {
    let scene = Scene::new(staging);
    let before = scene.site.text();
    scene.repository.write("images/hub/rootfs/etc/hub", "hub two\n");
    let ran = scene.staged(&["--pull-request", "7", "--format", "markdown"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let place = format!("{}/hub:5.3.0-1.pr7", scene.staging.registries[0]);
    assert!(ran.stdout.contains(&format!("docker pull {place}\n")), "{}", ran.stdout);
    assert!(ran.stdout.contains("| `lab` | `4.5.0-0`, unchanged |"), "{}", ran.stdout);
    assert_eq!(scene.names()["0 hub"], ["5.3.0-1.pr7"]);
    assert_eq!(scene.names()["0 lab"], [""; 0]);
    // Another pull request, and another number for this one after the next release.
    scene.repository.write("images/hub/rootfs/etc/hub", "hub of another\n");
    assert_eq!(scene.staged(&["--pull-request", "77"]).code, Some(0));
    scene.repository.write("images/hub/rootfs/etc/hub", "hub two\n");
    let other = repository("5.3.0", "4.5.0", "other");
    assert_eq!(scene.site.release(&other, "c3").code, Some(0));
    let ran = scene.staged(&["--pull-request", "7"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let names = scene.names();
    assert!(names["0 hub"].contains(&"5.3.0-2.pr7".to_owned()), "{names:?}");
    let closed = scene.staged(&["--pull-request", "7", "--close"]);
    assert_eq!(closed.code, Some(0), "{}", closed.stderr);
    assert!(
        closed.stdout.contains(&format!("removed {}/hub:5.3.0-2.pr7", scene.staging.registries[0])),
        "{}",
        closed.stdout
    );
    let names = scene.names();
    assert_eq!(names["0 hub"], ["5.3.0-1.pr77"], "what is another's stays");
    // Done again, it finds nothing.
    let again = scene.staged(&["--pull-request", "7", "--close"]);
    assert_eq!((again.code, again.stdout.as_str()), (Some(0), ""), "{}", again.stderr);
    assert!(again.stderr.contains("has nothing of pull request 7"), "{}", again.stderr);
    assert_ne!(scene.site.text(), before, "the release in between");
    assert!(!scene.site.text().contains(".pr"), "nothing of it in the release registry");
}

/// The manifest may be another tag's too; then a registry that deletes no tags keeps both.
#[test]
fn a_manifest_with_another_tag_stays() {
    let embedded = Registry::start(crate::PERIJOVE);
    // A registry as the specification allows: tags are not deleted, manifests are.
    let front = Front::of(&embedded.address, |asked| {
        let by_tag = asked.method == "DELETE" && !asked.path.contains("sha256:");
        if by_tag { Say::Answer(Answer::status(405)) } else { Say::Pass }
    });
    let scene = Scene::new(&front.address);
    scene.repository.write("images/hub/rootfs/etc/hub", "hub two\n");
    assert_eq!(scene.staged(&["--pull-request", "7"]).code, Some(0));
    // The same content under another pull request's tag.
    assert_eq!(scene.staged(&["--pull-request", "8"]).code, Some(0));
    let ran = scene.staged(&["--pull-request", "7", "--close"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("5.3.0-1.pr7: the registry deletes no tags"), "{}", ran.stdout);
    assert_eq!(scene.names()["0 hub"], ["5.3.0-1.pr7", "5.3.0-1.pr8"]);
}

#[test]
fn a_registry_that_deletes_nothing_says_so() {
    let test = "a_registry_that_deletes_nothing_says_so";
    let Some(peer) = Peer::start_without_delete(test) else { return };
    let scene = Scene::new(&peer.address);
    scene.repository.write("images/hub/rootfs/etc/hub", "hub two\n");
    assert_eq!(scene.staged(&["--pull-request", "7"]).code, Some(0));
    let ran = scene.staged(&["--pull-request", "7", "--close"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("deletion is switched off in this registry"), "{}", ran.stderr);
    assert_eq!(scene.names()["0 hub"], ["5.3.0-1.pr7"]);
}

/// A pipeline of a stranger's fork: no credentials, so nothing is pushed and nothing asked for.
#[test]
fn a_fork_keeps_its_images_as_files() {
    let public = Registry::with(crate::PERIJOVE, BUILDS);
    let front = Front::counting(&public.address);
    let (site, repository) = (Site::of(&[&front.address]), repository("5.3.0", "4.5.0", "one"));
    assert_eq!(site.release(&repository, "c1").code, Some(0));
    front.requests();
    repository.write("images/hub/rootfs/etc/hub", "hub two\n");
    crate::scene::set(&repository, &format!("staging = \"{}/staging\"", front.address));
    let out = tempfile::tempdir().unwrap();
    let folder = out.path().join("images").display().to_string();
    let words =
        ["release", "--revision", "c2", "--branch", "main", "--pull-request", "7", "--output", &folder];
    let ran = site.perijove(&repository, &words).args(["--format", "markdown"]).run();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("podman load --input hub-5.3.0-1.pr7.tar"), "{}", ran.stdout);
    let requests = front.requests();
    assert!(
        requests.iter().all(|line| line.starts_with("GET ") || line.starts_with("HEAD ")),
        "{requests:?}"
    );
    let files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["hub-5.3.0-1.pr7.tar"]);
    let archive = std::fs::read(out.path().join("images/hub-5.3.0-1.pr7.tar")).unwrap();
    let mut tar = tar::Archive::new(&archive[..]);
    let names: Vec<String> =
        tar.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert!(
        names.contains(&"index.json".to_owned()) && names.contains(&"oci-layout".to_owned()),
        "{names:?}"
    );
}

#[test]
fn a_failing_check_is_in_the_comment_and_nothing_is_pushed() {
    let embedded = Registry::start(crate::PERIJOVE);
    let scene = Scene::new(&embedded.address);
    scene.repository.write("images/hub/rootfs/etc/hub", "hub two\n");
    let toml = std::fs::read_to_string(scene.repository.join("perijove.toml")).unwrap();
    scene
        .repository
        .write("perijove.toml", &format!("{toml}\n[[image.hub.test]]\nrun = [\"/bin/nowhere\"]\n"));
    let ran = scene.staged(&["--pull-request", "7", "--format", "markdown"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stdout.contains("**failed**"), "{}", ran.stdout);
    assert!(ran.stderr.contains("hub: a check failed, so nothing is pushed"), "{}", ran.stderr);
    assert!(scene.names().values().all(Vec::is_empty));
}

#[test]
fn images_need_a_place() {
    let embedded = Registry::start(crate::PERIJOVE);
    let scene = Scene::new(&embedded.address);
    let ran = scene.run(&["--pull-request", "7"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("`staging`") && ran.stderr.contains("--output DIR"), "{}", ran.stderr);
    for words in [&["--close"][..], &["--output", "x"], &["--pull-request", "seven"]] {
        assert_eq!(scene.run(words).code, Some(2), "{words:?}");
    }
    // Where nothing is staged there is nothing to remove.
    let ran = scene.run(&["--pull-request", "7", "--close"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}

/// `--dry-run` says what would be done, also of a pull request, and does nothing that others see.
#[test]
fn a_dry_run_pushes_and_removes_nothing() {
    let embedded = Registry::start(crate::PERIJOVE);
    let front = Front::counting(&embedded.address);
    let scene = Scene::new(&front.address);
    scene.repository.write("images/hub/rootfs/etc/hub", "hub two\n");
    let out = tempfile::tempdir().unwrap();
    let (outputs, folder) = (out.path().join("outputs"), out.path().join("images"));
    let dry = |words: &[&str]| {
        front.requests();
        let staging = scene.staging.registries[0].clone();
        let words = [&["release", "--revision", "c2", "--branch", "main", "--dry-run"], words].concat();
        let program = scene.site.perijove(&scene.repository, &words).args(["--staging", &staging]);
        let ran = program.env("GITHUB_OUTPUT", &outputs.display().to_string()).run();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let requests = front.requests();
        let reads = |line: &String| line.starts_with("GET ") || line.starts_with("HEAD ");
        assert!(requests.iter().all(reads), "{requests:?}");
        ran.stdout
    };
    let folder_text = folder.display().to_string();
    let said = dry(&["--pull-request", "7", "--output", &folder_text]);
    let staged = format!("{}/hub:5.3.0-1.pr7", scene.staging.registries[0]);
    assert!(said.contains(&format!("\npush {staged}\n")), "{said}");
    assert!(said.contains(&format!("write {folder_text}/hub-5.3.0-1.pr7.tar\n")), "{said}");
    assert!(!said.contains("lab:4.5.0"), "the lab has not changed: {said}");
    assert!(scene.names().values().all(Vec::is_empty), "nothing is pushed");
    assert!(!folder.exists() && !outputs.exists(), "nothing is written");
    // Nor is anything removed.
    assert_eq!(scene.staged(&["--pull-request", "7"]).code, Some(0));
    let before = scene.names();
    assert_eq!(dry(&["--pull-request", "7", "--close"]), format!("remove {staged}\n"));
    assert_eq!(scene.names(), before);
    assert_eq!(dry(&["--pull-request", "8", "--close"]), "");
}

/// Killed at each of its writing requests in turn, when the registry has it or not; the next run ends where an
/// undisturbed one does.
#[test]
fn killed_at_any_request_it_is_finished_by_the_next_run() {
    let first = Registry::start(crate::PERIJOVE);
    let mut scene = Scene::new(&first.address);
    for image in ["hub", "lab"] {
        scene.repository.write(&format!("images/{image}/rootfs/etc/{image}"), "two\n");
    }
    let push: fn(&Asked) -> bool = |asked| asked.method == "PUT" && asked.path.contains("/manifests/");
    let close: fn(&Asked) -> bool = |asked| asked.method == "DELETE";
    let pushed = ["5.3.0-1.pr7".to_owned()];
    for (words, wanted, trials) in [(&[][..], push, 6), (&["--close"], close, 2)] {
        for nth in 0..trials {
            let embedded = Registry::start(crate::PERIJOVE);
            scene.staging = Site::of(&[&embedded.address]);
            if !words.is_empty() {
                assert_eq!(scene.staged(&["--pull-request", "7"]).code, Some(0));
            }
            let (tell, told) = channel();
            let (go_on, waiting) = channel::<()>();
            let (count, waiting) = (AtomicUsize::new(0), Mutex::new(waiting));
            let front = Front::of(&embedded.address, move |asked| {
                if wanted(asked) && count.fetch_add(1, Ordering::SeqCst) == nth {
                    tell.send(()).unwrap();
                    let _ = waiting.lock().unwrap().recv();
                }
                Say::Pass
            });
            let staging = format!("{}/team", front.address);
            let all =
                [&["release", "--revision", "c2", "--branch", "main", "--pull-request", "7"], words].concat();
            let running = scene.site.perijove(&scene.repository, &all).args(["--staging", &staging]).start();
            told.recv_timeout(Duration::from_secs(60))
                .unwrap_or_else(|_| panic!("{words:?} {nth}: never asked"));
            running.kill();
            drop(go_on);
            assert_eq!(
                scene.staged(&[&["--pull-request", "7"], words].concat()).code,
                Some(0),
                "{words:?} {nth}"
            );
            let hub = &scene.names()["0 hub"];
            assert_eq!(hub.as_slice(), if words.is_empty() { &pushed[..] } else { &[] }, "{words:?} {nth}");
        }
    }
}
