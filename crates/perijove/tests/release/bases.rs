//! An image from a Dockerfile whose FROM moves: the same commit is released again, because its base changed.

use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;
use perijove_testkit::{has, is_root, skip};

use crate::scene::{BUILDS, Site, repository};

#[test]
fn a_base_that_moves_is_a_release() {
    let test = "a_base_that_moves_is_a_release";
    if !is_root() {
        return skip(test, "buildah is run as root here");
    }
    if !has(test, "buildah") {
        return;
    }
    let (registry, bases) = (Registry::with(crate::PERIJOVE, BUILDS), Registry::start(crate::PERIJOVE));
    let site = Site::of(&[&registry.address]);
    // What somebody else pushes, again and again, to one tag.
    let theirs = repository("1.0.0", "1.0.0", "first");
    let base = format!("{}/base:stable", bases.address);
    let push = || site.perijove(&theirs, &["build", "hub", "--push", &base]).run();
    assert_eq!(push().code, Some(0), "{}", push().stderr);
    let ours = Repository::new("[image.app]\nversion = \"5.3.0\"\ndockerfile = \"Dockerfile\"\n");
    ours.write("images/app/Dockerfile", &format!("FROM {base}\nCOPY marker /srv/marker\n"));
    ours.write("images/app/marker", "marker\n");
    ours.write("plain.conf", &format!("[[registry]]\nlocation = \"{}\"\ninsecure = true\n", bases.address));
    let settings = ours.join("plain.conf").display().to_string();
    let release = || {
        let program = site.perijove(&ours, &["release", "--format", "json", "--revision", "c1"]);
        program.env("CONTAINERS_REGISTRIES_CONF", &settings).run()
    };
    let tag = |ran: &perijove_testkit::program::Ran| ran.json()["images"][0]["tag"].clone();
    assert_eq!(tag(&release()), "5.3.0-0");
    assert_eq!(release().json()["nothing_to_release"], true);
    theirs.write("images/hub/rootfs/etc/hub", "hub second\n");
    assert_eq!(push().code, Some(0));
    let moved = release();
    assert_eq!(tag(&moved), "5.3.0-1", "{}", moved.stderr);
    assert_eq!(moved.json()["images"][0]["why"], "changed");
    assert_eq!(release().json()["nothing_to_release"], true);
}
