//! A disk that is full: wherever the program writes, it says where, and leaves nothing half-written.

use perijove_testkit::program::Program;
use perijove_testkit::{has, is_root, skip};

use crate::locks::Locked;
use crate::scene::Scene;

/// Whether this machine can mount a small disk for `test`.
fn can_mount(test: &str) -> bool {
    if !is_root() {
        skip(test, "only root can mount a small file system");
        return false;
    }
    let works = has(test, "unshare") && {
        let mount = ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"];
        std::process::Command::new("unshare").args(mount).status().is_ok_and(|status| status.success())
    };
    if !works {
        skip(test, "this machine lets nobody mount");
    }
    works
}

/// Runs `program` with a file system of `options` on `folder`, which it must fill, and say so of a path with `place`
/// in it; gives the files that are left there. In a mount namespace of its own, so that nothing stays mounted.
fn fill(program: Program, folder: &str, place: &str, options: &str, case: &str) -> Vec<String> {
    let script = format!(
        "mount -t tmpfs -o {options} none {folder} || exit 77; \"$@\"; code=$?; find {folder} -type f; exit $code"
    );
    let ran = program.under(&["unshare", "--mount", "sh", "-c", &script, "sh"]).run();
    assert_eq!(ran.code, Some(1), "{case}: {}", ran.stderr);
    let error = ran.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
    assert!(error.contains("No space left on device"), "{case}: {}", ran.stderr);
    assert!(error.contains(place), "{case} does not say where: {}", ran.stderr);
    assert!(ran.stderr.contains("hint: free some disk space"), "{case}: {}", ran.stderr);
    ran.stdout.lines().map(|line| line.trim_start_matches(folder).to_owned()).collect()
}

#[test]
fn a_full_disk() {
    if !can_mount("a_full_disk") {
        return;
    }
    let scene = Scene::new();
    std::fs::create_dir(scene.repository.join("disk")).unwrap();
    let folder = |path: &std::path::Path| path.display().to_string();
    let (cache, temporary) = (folder(scene.cache.path()), folder(scene.temporary.path()));
    let disk = folder(&scene.repository.join("disk"));
    let to = |output: &str| scene.perijove(&["build", "--output", output]);
    // Less than the large wheel; a folder and no more.
    let (small, none) = ("size=300k", "size=300k,nr_inodes=1");
    for (case, program, folder, options) in [
        ("the cache", scene.program(), &cache, small),
        ("an image layout", to("oci:disk/out"), &disk, small),
        ("an archive of a layout", to("oci-archive:disk/image.tar"), &disk, small),
        ("an archive for docker", to("docker-archive:disk/image.tar"), &disk, small),
        ("an archive, not even begun", to("oci-archive:disk/image.tar"), &disk, none),
        ("temporary files", scene.program(), &temporary, none),
    ] {
        let place = if folder == &disk { "disk/" } else { folder };
        let left = fill(program, folder, place, options, case);
        let half = |path: &&String| {
            let hidden = path.split('/').any(|step| step.starts_with('.'));
            // Blobs of a layout are whole, and nobody knows of them without an index.
            hidden || (case != "the cache" && !path.contains("/out/blobs/") && !path.ends_with("/oci-layout"))
        };
        assert_eq!(left.iter().find(half), None, "{case}: {left:?}");
        scene.assert_nothing_half_written();
    }
    assert_eq!(scene.build().code, Some(0), "and with room it works");
}

#[test]
fn a_full_disk_while_locking() {
    let test = "a_full_disk_while_locking";
    if !can_mount(test) || !has(test, "uv") {
        return;
    }
    let locked = Locked::new();
    let folder = locked.scene.repository.join(".perijove").display().to_string();
    for (case, options) in
        [("no room for the copy", "size=100k,nr_inodes=4"), ("none for the locks", "size=12k")]
    {
        fill(locked.upgrade(), &folder, &folder, options, case);
        assert_eq!(locked.locks(), locked.old, "{case}");
        locked.assert_clean();
    }
    assert_eq!(locked.upgrade().run().code, Some(0), "and with room it works");
    assert_eq!(locked.locks(), locked.new);
}
