//! A disk that is full.

use perijove_testkit::{has, is_root, skip};

use crate::scene::Scene;

#[test]
fn a_full_disk() {
    let test = "a_full_disk";
    if !is_root() {
        return skip(test, "only root can mount a small file system");
    }
    if !has(test, "unshare") {
        return;
    }
    let scene = Scene::new();
    let cache = scene.cache.path().display().to_string();
    // In a mount namespace of its own, so that nothing stays mounted; the last words are what lies half-written.
    let script = format!(
        "mount -t tmpfs -o size=300k none {cache} || exit 77; \"$@\"; code=$?; find {cache} -name '.*' -type f; exit $code"
    );
    let ran = scene.program().under(&["unshare", "--mount", "sh", "-c", &script, "sh"]).run();
    if ran.code == Some(77) {
        return skip(test, "this machine lets nobody mount");
    }
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(ran.stdout, "", "files are left half-written");
    assert!(ran.stderr.contains("No space left on device"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: free some disk space"), "{}", ran.stderr);
    scene.assert_nothing_half_written();
}
