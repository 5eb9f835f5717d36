//! What the user wrote is wrong.

use perijove_testkit::program::Program;
use perijove_testkit::repository::APP;

use crate::PERIJOVE;
use crate::scene::Scene;

#[test]
fn a_wrong_perijove_toml() {
    let scene = Scene::new();
    scene.repository.write("perijove.toml", &APP.replace("python =", "pyton ="));
    assert_refusal!(scene, @r#"
    exit 2
    error: perijove.toml:8: unknown field `pyton`, expected one of `description`, `version-from`, `version`, `base`, `python`, `python-version`, `glibc`, `npm`, `files`, `user`, `user-name`, `home`, `directories`, `env`, `workdir`, `entrypoint`, `command`, `ports`, `labels`, `dockerfile`, `test`
    hint: did you mean `python`? docs/configuration.md lists every key
    "#);
    scene.repository.write("perijove.toml", &APP.replace("trixie\" }", "trixie\" "));
    assert_refusal!(scene, @r#"
    exit 2
    error: perijove.toml:8: missing comma between key-value pairs, expected `,`
    hint: docs/configuration.md lists every key
    "#);
    scene.repository.write("perijove.toml", &APP.replace("\"1000:1000\"", "\"jovyan\""));
    assert_refusal!(scene, @r#"
    exit 2
    error: perijove.toml: image.app: user `jovyan` is not uid:gid in numbers
    hint: say user = "1000:1000"
    "#);
    scene.repository.write("perijove.toml", &APP.replace("version = \"1.0\"", "version-from = \"nothing\""));
    assert_refusal!(scene, @r#"
    exit 2
    error: perijove.toml: image.app: version-from names `nothing`, which no lock of the image has
    hint: name a package in requirements.txt, package-lock.json or debs.lock, or run `perijove lock`
    "#);
    scene.repository.write("perijove.toml", &APP.replace("\"requirements.txt\"", "\"missing.txt\""));
    assert_refusal!(scene, @r#"
    exit 2
    error: [repository]/images/app/missing.txt: there is no such file
    hint: write the locks with `perijove lock`
    "#);
    scene.repository.write("perijove.toml", &APP.replace("\"rootfs\"", "\"missing\""));
    assert_refusal!(scene, @r#"
    exit 2
    error: perijove.toml: image.app: `files` names images/app/missing, which is no folder
    hint: make the folder, or take `files` out
    "#);
    std::fs::remove_file(scene.repository.join("perijove.toml")).unwrap();
    assert_refusal!(scene, @r#"
    exit 2
    error: [repository]: no perijove.toml here or in any folder above
    hint: go to an image repository (or give its folder by -C), or make one: perijove init
    "#);
}

#[test]
fn wrong_usage() {
    let scene = Scene::new();
    for arguments in
        [&["build", "nobody"][..], &["build", "--output", "tar:x"], &["build", "--platform", "linux/s390x"]]
    {
        let program = Program::new(PERIJOVE, scene.repository.path(), scene.cache.path());
        let ran = program.args(arguments.iter().copied()).run();
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: "), "{}", ran.stderr);
    }
    // The last is after the year 9999, for which dates have no text.
    for time in ["yesterday", "-1", "99999999999999999"] {
        let ran = scene.program().env("SOURCE_DATE_EPOCH", time).run();
        assert_eq!(ran.code, Some(2), "{time}: {}", ran.stderr);
        assert!(ran.stderr.contains(&format!("SOURCE_DATE_EPOCH is `{time}`")), "{}", ran.stderr);
    }
    scene.assert_nothing_half_written();
}
