//! `perijove migrate` as the owner of a site meets it: what it finds, what it writes, and that what it writes is an
//! image repository that locks, builds and passes its checks.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "tests fail at once, and say why they are skipped"
)]

mod image_folder;
mod side_by_side;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use perijove_testkit::layout::files_below;
use perijove_testkit::program::{Program, Ran};
use serde_json::Value;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

/// A folder of the test's own.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Site { folder }
    }

    /// A copy of the files in `tests/migrate/site`.
    fn fixture() -> Self {
        let site = Site::empty();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate/site");
        for path in files_below(&from) {
            let name = path.strip_prefix(&from).unwrap().to_str().unwrap().to_owned();
            site.write(&name, std::fs::read(&path).unwrap());
        }
        site
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let program = Program::new(PERIJOVE, self.folder.path(), self.folder.path());
        program.args(["migrate"]).args(arguments.iter().copied()).run()
    }

    fn json(&self, arguments: &[&str]) -> (Option<i32>, Value) {
        let mut all = arguments.to_vec();
        all.extend(["--format", "json"]);
        let ran = self.run(&all);
        (ran.code, serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {}", ran.stderr)))
    }

    /// All files with their contents.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let named = |path: &Path| path.strip_prefix(self.folder.path()).unwrap().to_str().unwrap().to_owned();
        let all = files_below(self.folder.path());
        all.iter()
            .filter(|path| path.is_file())
            .map(|path| (named(path), std::fs::read(path).unwrap()))
            .collect()
    }
}

/// The fixture's findings, `file:line rule`.
fn places(found: &Value) -> Vec<String> {
    let all = found["findings"].as_array().unwrap();
    all.iter()
        .map(|f| format!("{}:{} {}", f["file"].as_str().unwrap(), f["line"], f["rule"].as_str().unwrap()))
        .collect()
}

#[test]
fn a_site_as_text() {
    let site = Site::fixture();
    let before = site.files();
    let ran = site.run(&["."]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    insta::assert_snapshot!("site", format!("{}--- stderr\n{}", ran.stdout, ran.stderr));
    assert_eq!(site.files(), before, "nothing is written");
}

#[test]
fn a_site_as_json() {
    let site = Site::fixture();
    let (code, found) = site.json(&["docker-compose.yml", "scripts"]);
    assert_eq!((code, &found["files_read"], &found["fixed"]), (Some(1), &2.into(), &0.into()));
    let first = &found["findings"][0];
    assert_eq!(
        (&first["file"], &first["line"], &first["column"], &first["rule"], &first["image"], &first["fixed"]),
        (
            &"docker-compose.yml".into(),
            &2.into(),
            &25.into(),
            &"retired-image".into(),
            &"quay.io/jupyterhub/singleuser:5.2.1".into(),
            &false.into()
        )
    );
    for key in ["why", "instead", "source"] {
        assert!(!first[key].as_str().unwrap().is_empty(), "{key}");
    }
}

#[test]
fn what_is_sure_is_written_once() {
    let site = Site::fixture();
    site.write("node_modules/x/Dockerfile", "FROM jupyterhub/jupyterhub\n");
    site.write("old/Dockerfile", "FROM jupyterhub/jupyterhub\n");
    site.write(".gitignore", "old/\n");
    std::fs::set_permissions(site.folder.path().join("scripts/pull"), PermissionsExt::from_mode(0o755))
        .unwrap();
    let before = site.files();
    let flags = [
        ".",
        "--fix",
        "--registry",
        "registry.example/team",
        "--singleuser",
        "quay.io/jupyter/base-notebook",
        "--proxy-apart",
    ];
    let (code, found) = site.json(&flags);
    assert_eq!(code, Some(1), "some of it takes a person");
    assert!(found["fixed"].as_u64().unwrap() >= 6, "{found}");
    let after = site.files();
    let text = |name: &str| String::from_utf8(after[name].clone()).unwrap();
    let old = |name: &str| String::from_utf8(before[name].clone()).unwrap();
    let lab = "quay.io/jupyter/base-notebook:hub-5.2.1";
    for (name, from, to) in [
        ("docker-compose.yml", "quay.io/jupyterhub/singleuser:5.2.1", lab),
        ("scripts/pull", "jupyterhub/singleuser:5.2.1", lab),
        (".env.example", "quay.io/jupyterhub/singleuser:5.2.1", lab),
        ("hub/jupyterhub_config.py", "quay.io/jupyterhub/singleuser:5.2.1", lab),
        (".github/workflows/test.yml", "quay.io/jupyterhub/singleuser:5.2.1", lab),
        ("k8s/hub.yaml", "docker.io/jupyterhub/jupyterhub:5.2.1", "registry.example/team/hub:5.2.1"),
        ("deploy/lab/Dockerfile", "jupyterhub/singleuser:5.2.1", lab),
        (
            "values.yaml",
            "repository: jupyterhub/singleuser\n    tag: \"5.2.1\"",
            "repository: jupyter/base-notebook\n    tag: \"hub-5.2.1\"",
        ),
    ] {
        assert_eq!(text(name), old(name).replace(from, to), "{name}");
    }
    for name in ["hub/Dockerfile", "chart/templates/hub.yaml", "node_modules/x/Dockerfile", "old/Dockerfile"]
    {
        assert_eq!(after[name], before[name], "{name}");
    }
    let mode = std::fs::metadata(site.folder.path().join("scripts/pull")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    assert!(text("perijove.toml").contains("[image.hub]"), "{}", text("perijove.toml"));
    assert_eq!(
        after["images/hub/rootfs/srv/jupyterhub/jupyterhub_config.py"],
        after["hub/jupyterhub_config.py"]
    );

    let (_, again) = site.json(&flags);
    assert_eq!(site.files(), after, "a second time");
    assert_eq!((&again["fixed"], &again["folders"][0]["state"]), (&0.into(), &"there".into()));
}

#[test]
fn the_registry_is_that_of_the_repository() {
    let site = Site::empty();
    site.write("perijove.toml", "[repository]\nregistries = [\"registry.example/team\"]\n");
    site.write("deploy/pod.yaml", "image: jupyterhub/jupyterhub:5.2.1\n");
    site.write("deploy/proxy.yaml", "image: quay.io/jupyterhub/configurable-http-proxy:4.6.3\n");
    let (code, found) = site.json(&["deploy", "--fix"]);
    assert_eq!((code, &found["fixed"]), (Some(0), &1.into()), "{found}");
    assert_eq!(site.files()["deploy/pod.yaml"], b"image: registry.example/team/hub:5.2.1\n");
    // Without a word about registries nothing is invented.
    let site = Site::empty();
    site.write("pod.yaml", "image: jupyterhub/jupyterhub:5.2.1\n");
    let (code, found) = site.json(&["pod.yaml", "--fix", "--proxy-apart"]);
    assert_eq!((code, &found["fixed"]), (Some(1), &0.into()));
    assert!(found["findings"][0]["instead"].as_str().unwrap().contains("<registry>/hub:5.2.1"));
}

#[test]
fn nothing_found() {
    let site = Site::empty();
    site.write("compose.yml", "services: {hub: {image: quay.io/jupyterhub/k8s-hub:4.0.0}}\n");
    let ran = site.run(&["."]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("1 files read, 0 findings"), "{}", ran.stderr);
}

#[test]
fn bad_input_is_named_and_the_rest_goes_on() {
    let pod = "image: jupyterhub/singleuser:5.2.1\n";
    let singleuser = ["--singleuser", "registry.example/lab:1.0.0-1"];
    // Named, and there is none: nothing is written anywhere.
    let site = Site::empty();
    site.write("pod.yaml", pod);
    let ran = site.run(&["pod.yaml", "missing", "--fix", singleuser[0], singleuser[1]]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("missing: ") && ran.stderr.contains("nothing was written"), "{}", ran.stderr);
    assert!(ran.stdout.contains("pod.yaml:1:8: retired-image"), "{}", ran.stdout);
    assert_eq!(site.files()["pod.yaml"], pod.as_bytes());
    // YAML that is none: named with its line, and the others are written.
    site.write("broken.yaml", "a: [1\nimage: jupyterhub/singleuser:5.2.1\n");
    let ran = site.run(&[".", "--fix", singleuser[0], singleuser[1]]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("broken.yaml: line 2: not YAML"), "{}", ran.stderr);
    assert!(ran.stdout.contains("broken.yaml:2:8: retired-image\n"), "{}", ran.stdout);
    assert_eq!(site.files()["pod.yaml"], b"image: registry.example/lab:1.0.0-1\n");
    assert_eq!(site.files()["broken.yaml"], b"a: [1\nimage: jupyterhub/singleuser:5.2.1\n");
    // No UTF-8: skipped with a word in a folder, an error where it is named.
    let site = Site::empty();
    site.write("latin.yaml", b"image: jupyterhub/singleuser # \xe9\n");
    let ran = site.run(&["."]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("latin.yaml: skipped, not UTF-8"), "{}", ran.stderr);
    assert_eq!(site.run(&["latin.yaml"]).code, Some(2));
    // Too large, a link out of the tree, a registry that is none.
    site.write("large.yaml", vec![b'#'; (4 << 20) + 1]);
    assert!(site.run(&["."]).stderr.contains("large.yaml: skipped, larger than 4 MiB"));
    let outside = Site::empty();
    outside.write("pod.yaml", pod);
    std::os::unix::fs::symlink(outside.folder.path(), site.folder.path().join("linked")).unwrap();
    assert_eq!(site.run(&["."]).stdout, "");
    for flags in
        [["--registry", "quay.io/A B"], ["--registry", "example"], ["--singleuser", "user:pw@host/x"]]
    {
        let ran = site.run(&[".", flags[0], flags[1]]);
        assert_eq!(ran.code, Some(2), "{flags:?}");
        assert!(!ran.stderr.contains("pw@"), "{}", ran.stderr);
    }
}

/// A run that was ended after its folders were in place and before `perijove.toml` was: the next one finishes it.
#[test]
fn a_run_that_was_cut_off_is_finished_by_the_next() {
    let dockerfile = "FROM jupyterhub/jupyterhub-onbuild:5.3.0\nRUN pip install oauthenticator==17.3.0\n";
    let make = || {
        let site = Site::empty();
        site.write("Dockerfile", dockerfile);
        site.write("jupyterhub_config.py", "c = get_config()\n");
        site
    };
    let (undisturbed, cut_off) = (make(), make());
    undisturbed.run(&[".", "--fix"]);
    let all = undisturbed.files();
    assert!(all.contains_key("perijove.toml") && all.contains_key("images/hub/requirements.in"), "{all:?}");
    for (name, content) in all.iter().filter(|(name, _)| name.starts_with("images/")) {
        cut_off.write(name, content);
    }
    cut_off.run(&[".", "--fix"]);
    assert_eq!(cut_off.files(), all);
}

#[test]
fn a_link_out_of_the_repository_is_not_followed() {
    let (site, outside) = (Site::empty(), tempfile::tempdir().unwrap());
    site.write("Dockerfile", "FROM jupyterhub/jupyterhub:5.2.1\nRUN pip install oauthenticator\n");
    site.write("run.sh", "docker run jupyterhub/singleuser:5.2.1\n");
    std::os::unix::fs::symlink(outside.path(), site.folder.path().join("images")).unwrap();
    let ran = site.run(&[".", "--fix"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("images: a link out of the repository"), "{}", ran.stderr);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    assert!(!site.folder.path().join("perijove.toml").exists());
}

#[test]
fn a_folder_that_is_in_the_way_is_left_alone() {
    let site = Site::empty();
    site.write("Dockerfile", "FROM jupyterhub/jupyterhub:5.2.1\nRUN pip install oauthenticator\n");
    site.write("images/hub/own", "mine");
    let before = site.files();
    let ran = site.run(&[".", "--fix"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("images/hub: there already"), "{}", ran.stderr);
    assert_eq!(site.files(), before);
    // Settings that do not parse are named, and nothing is read as if there were none.
    site.write("perijove.toml", "[repository\n");
    let ran = site.run(&[".", "--fix"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("perijove.toml:1"), "{}", ran.stderr);
}

#[test]
fn the_findings_of_the_fixture() {
    let (_, found) = Site::fixture().json(&["hub", "values.yaml", ".github"]);
    assert_eq!(
        places(&found),
        [
            "hub/Dockerfile:3 retired-image",
            "hub/Dockerfile:3 onbuild-copy",
            "hub/Dockerfile:3 proxy-in-hub",
            "hub/Dockerfile:10 unlocked-install",
            "hub/Dockerfile:14 proxy-in-hub",
            "hub/jupyterhub_config.py:7 retired-image",
            "hub/jupyterhub_config.py:9 proxy-in-hub",
            "values.yaml:4 retired-image",
            ".github/workflows/test.yml:6 retired-image",
            ".github/workflows/test.yml:12 retired-image",
        ]
    );
}
