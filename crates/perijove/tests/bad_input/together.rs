//! Several commands at once in one folder.

use crate::locks::Locked;
use crate::scene::{Scene, assert_no_remains, outputs};

#[test]
fn two_builds_at_once_in_one_folder() {
    let alone = Scene::new();
    assert_eq!(alone.build().code, Some(0));
    let scene = Scene::new();
    let builds: Vec<_> = (0..3).map(|_| scene.program().start()).collect();
    for build in builds {
        let ran = build.end();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    assert_eq!(outputs(&scene.repository), outputs(&alone.repository));
    assert_no_remains(scene.cache.path());
    assert_no_remains(scene.repository.path());
}

#[test]
fn two_locks_at_once_in_one_folder() {
    if !perijove_testkit::has("two_locks_at_once_in_one_folder", "uv") {
        return;
    }
    let locked = Locked::new();
    let two: Vec<_> = (0..2).map(|_| locked.upgrade().start()).collect();
    for lock in two {
        let ran = lock.end();
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    assert_eq!(locked.locks(), locked.new);
    locked.assert_clean();
}
