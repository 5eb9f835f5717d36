//! A claim that does not go as planned: the registry dies within it, or another release overtakes it.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use perijove_testkit::front::{Front, Say};
use perijove_testkit::has;
use perijove_testkit::peer::Peer;
use perijove_testkit::registry::Registry;

use crate::PERIJOVE;
use crate::scene::{BUILDS, Site, repository, shown};

/// One PUT names the build's tag and all aliases. The registry is killed behind each of them in turn (`strace` makes it
/// slow to name files): the build's tag comes first and the greatest alias last, so the next run, which looks at the
/// greatest alone, sees that something is missing.
#[test]
fn a_registry_that_dies_within_a_claim_has_lost_nothing() {
    if !has("a_registry_that_dies_within_a_claim_has_lost_nothing", "strace") {
        return;
    }
    const ORDER: [&str; 4] = ["4.1.6-0", "4.1.6", "4.1", "4"];
    let repository = repository("4.1.6", "4.5.0", "one");
    for there in 1..ORDER.len() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let tags = || {
            let found = root.join("store/repositories/team/hub/_tags").read_dir();
            let names =
                found.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
            names.collect::<BTreeSet<String>>()
        };
        // -D: the registry is our child, and the tracer goes with it.
        let slowly = "inject=rename,renameat,renameat2:delay_enter=200000";
        let dying =
            Registry::on(PERIJOVE, &root, &["strace", "-D", "-f", "-o", "/dev/null", "-e", slowly], BUILDS);
        let site = Site::of(&[&dying.address]);
        let program = |site: &Site| site.program(&repository, "c1", "4.x").args(["hub"]);
        let running = program(&site).start();
        while tags().len() < there {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(dying);
        let set = tags();
        // It may have come further where this machine has much to do.
        assert!(ORDER[..set.len()].iter().all(|tag| set.contains(*tag)), "out of order: {set:?}");
        let ran = running.end();
        assert!(set.len() == ORDER.len() || ran.code == Some(1), "{there}: {}", ran.stderr);
        let registry = Registry::on(PERIJOVE, &root, &[], BUILDS);
        let site = Site::of(&[&registry.address]);
        let ran = program(&site).run();
        assert_eq!(ran.code, Some(0), "{there}: {}", ran.stderr);
        assert_eq!(shown(&site.aliases("0 hub")), "4=4.1.6-0 4.1=4.1.6-0 4.1.6=4.1.6-0", "{there}");
        assert!(tags().contains("4.1.6-0"), "{there}");
    }
}

/// Ours, its branch, the one of main that overtakes it, and where all aliases belong when both are out.
const OVERTAKEN: [(&str, &str, &str, &str); 2] = [
    ("5.3.1", "main", "5.3.2", "5=5.3.2-0 5.3=5.3.2-0 5.3.1=5.3.1-0 5.3.2=5.3.2-0 latest=5.3.2-0"),
    ("5.3.9", "5.x", "5.4.0", "5=5.4.0-0 5.3=5.3.9-0 5.3.9=5.3.9-0 5.4=5.4.0-0 5.4.0=5.4.0-0 latest=5.4.0-0"),
];

/// In front of `address`: lets the whole of another release come before our PUT with `part` in its path or query; behind that PUT nothing
/// gets through where we are `cut` off.
fn overtaking(address: &str, theirs: &str, part: String, cut: bool) -> Front {
    let (direct, theirs) = (Site::of(&[address]), repository(theirs, "4.5.0", "theirs"));
    let overtaken = AtomicBool::new(false);
    Front::of(address, move |asked| {
        if overtaken.load(Ordering::SeqCst) {
            return if cut { Say::Cut } else { Say::Pass };
        }
        if asked.method == "PUT" && asked.path.split(['?', '&']).any(|found| found == part) {
            overtaken.store(true, Ordering::SeqCst);
            let ran = direct.program(&theirs, "theirs", "main").args(["hub"]).run();
            assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        }
        Say::Pass
    })
}

/// A greater version comes between our look and our claim, and we are cut off right behind the claim: nothing has moved
/// back, and the next run adds what is ours.
#[test]
fn a_release_that_is_overtaken_and_cut_off_moves_no_alias_back() {
    for (ours, branch, theirs, expected) in OVERTAKEN {
        let registry = Registry::with(PERIJOVE, BUILDS);
        let direct = Site::of(&[&registry.address]);
        let (claim, ours) = (format!("tag={ours}-0"), repository(ours, "4.5.0", "ours"));
        let front = overtaking(&registry.address, theirs, claim, true);
        let ran = Site::of(&[&front.address]).program(&ours, "ours", branch).args(["hub"]).run();
        assert_eq!(ran.code, Some(1), "{theirs}: {}", ran.stderr);
        for (alias, build) in direct.aliases("0 hub") {
            assert_eq!(build, format!("{theirs}-0"), "{alias}: {}", ran.stderr);
        }
        let ran = direct.program(&ours, "ours", branch).args(["hub"]).run();
        assert_eq!(ran.code, Some(0), "{theirs}: {}", ran.stderr);
        assert_eq!(shown(&direct.aliases("0 hub")), expected, "{theirs}");
    }
}

/// The same without being cut off, also where the registry knows no condition and takes the aliases one by one: they
/// end where they belong.
#[test]
fn a_release_that_is_overtaken_ends_with_the_aliases_right() {
    for (ours, branch, theirs, expected) in OVERTAKEN {
        let registry = Registry::with(PERIJOVE, BUILDS);
        let Some(peer) = Peer::start("a_release_that_is_overtaken_ends_with_the_aliases_right") else {
            return;
        };
        for (address, at) in [
            (&registry.address, format!("tag={ours}-0")),
            (&peer.address, format!("/v2/team/hub/manifests/{ours}")),
        ] {
            let front = overtaking(address, theirs, at, false);
            let ours = repository(ours, "4.5.0", "ours");
            let ran = Site::of(&[&front.address]).program(&ours, "ours", branch).args(["hub"]).run();
            assert_eq!(ran.code, Some(0), "{theirs}: {}", ran.stderr);
            assert_eq!(shown(&Site::of(&[address]).aliases("0 hub")), expected, "{theirs}");
        }
    }
}
