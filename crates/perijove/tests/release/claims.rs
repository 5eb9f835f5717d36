//! A claim that does not go as planned: the registry dies within it, or another release overtakes it.

use perijove_testkit::has;
use perijove_testkit::registry::Registry;

use crate::PERIJOVE;
use crate::scene::{BUILDS, Site, repository, shown};

/// One PUT names the build's tag and all aliases. The registry dies at each of them in turn: the build's tag comes first
/// and the greatest alias last, so the next run, which looks at the greatest alone, sees that something is missing.
#[test]
fn a_registry_that_dies_within_a_claim_has_lost_nothing() {
    if !has("a_registry_that_dies_within_a_claim_has_lost_nothing", "strace") {
        return;
    }
    let repository = repository("4.1.6", "4.5.0", "one");
    for tag in ["4.1.6-0", "4.1.6", "4.1", "4"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let tags = root.join("store/repositories/team/hub/_tags");
        let path = tags.join(tag).display().to_string();
        // -D: the registry is our child, and the tracer goes with it.
        let rename = "inject=rename,renameat,renameat2:signal=SIGKILL";
        let killer = ["strace", "-D", "-f", "-o", "/dev/null", "-P", &path, "-e", rename];
        let dying = Registry::on(PERIJOVE, &root, &killer, BUILDS);
        let release = |registry: &Registry| {
            Site::of(&[&registry.address]).program(&repository, "c1", "4.x").args(["hub"]).run()
        };
        let ran = release(&dying);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{tag}: {}", ran.stderr);
        let set = tags.read_dir().map_or(0, Iterator::count);
        let before = ["4.1.6-0", "4.1.6", "4.1", "4"].iter().position(|other| *other == tag);
        assert_eq!(Some(set), before, "{tag}: those before it are there, and no other");
        drop(dying);
        let registry = Registry::on(PERIJOVE, &root, &[], BUILDS);
        let ran = release(&registry);
        assert_eq!(ran.code, Some(0), "{tag}: {}", ran.stderr);
        let aliases = Site::of(&[&registry.address]).aliases("0 hub");
        assert_eq!(shown(&aliases), "4=4.1.6-0 4.1=4.1.6-0 4.1.6=4.1.6-0", "{tag}");
    }
}
