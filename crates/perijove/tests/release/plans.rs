//! `perijove plan`, and what a release says and writes of itself.

use perijove_testkit::packages::{Deb, Packages};
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;

use crate::scene::{BUILDS, Site, repository};

/// One image of Debian packages.
struct Locked {
    packages: Packages,
    repository: Repository,
    site: Site,
    _registry: Registry,
}

impl Locked {
    fn new() -> Self {
        let registry = Registry::with(crate::PERIJOVE, BUILDS);
        let toml = "[repository]\nplatforms = [\"linux/amd64\", \"linux/arm64\"]\ndefault-branch = \"main\"\n\n\
                    [image.hub]\nversion = \"5.3.0\"\nbase = { debian = \"trixie\" }\nfiles = \"rootfs\"\n";
        let repository = Repository::new(toml);
        repository.write("images/hub/rootfs/etc/hub", "hub\n");
        let site = Site::of(&[&registry.address]);
        Locked { packages: Packages::serve(), repository, site, _registry: registry }
    }

    fn lock(&self, debs: &[Deb]) {
        self.packages.debs(debs);
        self.repository.lock_debs("hub", debs);
    }

    fn run(&self, revision: &str, words: &[&str]) -> perijove_testkit::program::Ran {
        let program = self.site.perijove(&self.repository, words).envs(self.packages.environment());
        let all = self.packages.environment().into_iter().find(|(name, _)| name == "PERIJOVE_DEBIAN_MIRROR");
        // One server is both archives.
        let program = program.env("PERIJOVE_DEBIAN_SECURITY_MIRROR", &all.unwrap().1);
        program.args(["--branch", "main", "--revision", revision]).run()
    }
}

/// A lock as `perijove lock` writes it, with one of its packages from the security archive.
fn from_security(repository: &Repository, name: &str) {
    let path = "images/hub/debs.lock";
    let text = std::fs::read_to_string(repository.join(path)).unwrap();
    let line = text.lines().find(|line| line.starts_with(&format!("deb {name} "))).unwrap();
    repository.write(path, &text.replace(line, &line.replace(" debian ", " debian-security ")));
}

#[test]
fn a_plan_names_packages_layers_and_bytes() {
    let scene = Locked::new();
    let deb = |name: &str, version: &str, size| Deb::new(name, version, "all", size);
    scene.lock(&[deb("base", "1", 3_000_000), deb("gone", "1", 100), deb("libssl3t64", "3.5.1-1", 50_000)]);
    let first = scene.run("c1", &["plan"]);
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    assert!(
        first.stdout.starts_with("hub 5.3.0-0 5.3.0 5.3 5 latest (the first of its line)\n"),
        "{}",
        first.stdout
    );
    assert_eq!(scene.run("c1", &["release"]).code, Some(0));
    scene.lock(&[
        deb("base", "1", 3_000_000),
        deb("libssl3t64", "3.5.1-1+deb13u1", 60_000),
        deb("new", "2", 90),
    ]);
    from_security(&scene.repository, "libssl3t64");
    let text = scene.run("c2", &["plan"]);
    assert_eq!(text.code, Some(0), "{}", text.stderr);
    insta::with_settings!({ filters => [(r"\d+\.\d (kB|MB|B)|\d+ B", "[size]"), (r"\d+ of \d+ layers", "[n] of [n] layers")] }, {
        insta::assert_snapshot!("plan_text", text.stdout);
    });
    let plan = scene.run("c2", &["plan", "--format", "json"]).json();
    let image = &plan["images"][0];
    assert_eq!(
        (&image["tag"], &image["previous"], &image["why"]),
        (&"5.3.0-1".into(), &"5.3.0-0".into(), &"changed".into())
    );
    for platform in image["platforms"].as_array().unwrap() {
        let number = |key: &str| platform[key].as_u64().unwrap();
        assert!(number("pull_bytes") > 0 && number("pull_bytes") * 10 < number("size_bytes"), "{platform}");
        let moving: u64 = platform["layers"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|l| l["moves"] == true)
            .map(|l| l["size_bytes"].as_u64().unwrap())
            .sum();
        assert_eq!(moving, number("pull_bytes"));
    }
    let markdown = scene.run("c2", &["plan", "--format", "markdown"]).stdout;
    assert!(markdown.starts_with("<!-- perijove -->\n## Perijove plan\n"), "{markdown}");
    assert!(
        markdown.contains("| `libssl3t64` | deb | `3.5.1-1` | `3.5.1-1+deb13u1` | security |"),
        "{markdown}"
    );
    let dry = scene.run("c2", &["release", "--dry-run"]).stdout;
    let address = &scene.site.registries[0];
    assert!(dry.contains(&format!("claim {address}/hub:5.3.0-1\n")), "{dry}");
    // A plan of what is out.
    scene.lock(&[deb("base", "1", 3_000_000), deb("gone", "1", 100), deb("libssl3t64", "3.5.1-1", 50_000)]);
    let same = scene.run("c2", &["plan"]);
    assert_eq!(same.stdout, "hub: nothing changed since 5.3.0-0\n");
}

#[test]
fn a_verb_without_markdown_says_so() {
    let scene = Locked::new();
    let ran = scene.site.perijove(&scene.repository, &["test", "--format", "markdown"]).run();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    assert!(ran.stderr.contains("this verb has no markdown"), "{}", ran.stderr);
}

#[test]
fn a_record_notes_outputs_and_a_summary() {
    let registry = Registry::with(crate::PERIJOVE, BUILDS);
    let site = Site::of(&[&registry.address]);
    let repository = repository("5.3.0", "4.5.0", "one");
    let out = tempfile::tempdir().unwrap();
    let file = |name: &str| out.path().join(name).display().to_string();
    let read = |name: &str| std::fs::read_to_string(out.path().join(name)).unwrap_or_default();
    std::fs::write(out.path().join("outputs"), "earlier=step\n").unwrap();
    let release = |revision: &str| {
        let program = site.program(&repository, revision, "main");
        let program = program.args(["--record", &file("record.json"), "--notes", &file("notes.md")]);
        program.env("GITHUB_OUTPUT", &file("outputs")).env("GITHUB_STEP_SUMMARY", &file("summary.md")).run()
    };
    let ran = release("c1");
    let record = ran.json();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read("record.json")).unwrap(), record);
    let outputs = read("outputs");
    let lines: Vec<&str> = outputs.lines().collect();
    assert_eq!(lines[..3], ["earlier=step", "released=true", "tags=hub:5.3.0-0 lab:4.5.0-0"]);
    let line = lines[3].strip_prefix("record=").unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap(), record);
    assert_eq!(lines.len(), 4);
    assert!(read("summary.md").starts_with("## Perijove release\n"), "{}", read("summary.md"));
    assert!(read("notes.md").starts_with("### `hub` `5.3.0-0`\n"), "{}", read("notes.md"));
    assert_eq!((&record["commit"], &record["branch"]), (&"c1".into(), &"main".into()));
    let hub = &record["images"][0];
    assert_eq!(hub["platforms"].as_array().unwrap().len(), 2);
    assert!(record["pushed_bytes"].as_u64().unwrap() > 0 && record["seconds"].as_f64().unwrap() > 0.0);
    for time in ["build_seconds", "test_seconds", "push_seconds", "claim_seconds", "verify_seconds"] {
        assert!(record["times"][time].is_f64(), "{time}");
    }
    // As after a crash between the last alias and the record: the next run says what is there.
    std::fs::remove_file(out.path().join("record.json")).unwrap();
    let again = release("c1").json();
    assert!(read("outputs").contains("\nreleased=false\ntags=\nrecord={"), "{}", read("outputs"));
    assert_eq!(again["nothing_to_release"], true);
    for (image, tag) in [(0, "5.3.0-0"), (1, "4.5.0-0")] {
        let (there, made) = (&again["images"][image], &record["images"][image]);
        assert_eq!((&there["tag"], &there["already_there"]), (&tag.into(), &true.into()), "{there}");
        for same in ["image", "version", "digest", "aliases"] {
            assert_eq!(there[same], made[same], "{same}");
        }
    }
    assert_eq!(serde_json::from_str::<serde_json::Value>(&read("record.json")).unwrap(), again);
    let dry = site.program(&repository, "c1", "main").args(["--dry-run"]).run().json();
    assert_eq!((&dry["images"][0]["tag"], &dry["images"][0]["released"]), (&"5.3.0-0".into(), &true.into()));
    assert!(dry["steps"].as_array().is_some_and(|steps| !steps.is_empty()), "{dry}");
    let plain = site.program(&repository, "c1", "main").run();
    assert!(plain.stderr.contains("all repositories have hub:latest as sha256:"), "{}", plain.stderr);
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 4, "nothing temporary is left");
    let nowhere = site.program(&repository, "c1", "main").args(["--record", "/nowhere/record.json"]).run();
    assert_eq!(nowhere.code, Some(1), "{}", nowhere.stderr);
    assert!(nowhere.stderr.contains("what was released stays released"), "{}", nowhere.stderr);
}
