//! Real wheels beside `pip install`.

use std::collections::BTreeMap;
use std::path::Path;

use perijove_build::unpack::{WheelOptions, wheel};

use crate::collect::Collect;
use crate::tools::{file_name, listing, or_skip, run, same, with_ending};

/// Data files and commands; compiled modules; headers.
const WHEELS: &[&str] = &["jupyterhub", "sqlalchemy", "greenlet", "notebook"];

#[test]
fn wheels_are_installed_as_pip_does() {
    let test = "wheels_are_installed_as_pip_does";
    let folder = tempfile::tempdir().unwrap();
    let pip = ["-m", "pip", "--disable-pip-version-check", "-q"];
    let download = [&pip[..], &["download", "--no-deps", "--only-binary", ":all:"], WHEELS].concat();
    if or_skip(test, run("python3", &download, folder.path())).is_none() {
        return;
    }
    let wheels = with_ending(folder.path(), ".whl");
    assert_eq!(wheels.len(), WHEELS.len());
    for archive in wheels {
        let name = file_name(&archive);
        let prefix = tempfile::tempdir().unwrap();
        let to = prefix.path().to_str().unwrap();
        let install = [
            &pip[..],
            &[
                "install",
                "--no-deps",
                "--no-index",
                "--no-compile",
                "--no-warn-script-location",
                "--ignore-installed",
                "--prefix",
                to,
                name,
            ],
        ]
        .concat();
        run("python3", &install, folder.path()).unwrap();
        let theirs = listing(prefix.path());

        let options = layout(&theirs, name);
        let mut sink = Collect::default();
        let metadata = wheel(&archive, name, &options, &mut sink).unwrap();
        let ours: BTreeMap<_, _> = sink
            .listing()
            .into_iter()
            .filter_map(|(path, what)| Some((path.strip_prefix("p/")?.to_owned(), what)))
            .collect();
        same(&without_own_words(&ours), &without_own_words(&theirs), name);

        for command in &metadata.commands {
            // Theirs names another interpreter and copes with Windows; it must call the same function.
            let ours = sink.text(&format!("p/bin/{command}")).to_owned();
            let theirs = std::fs::read_to_string(prefix.path().join("bin").join(command)).unwrap();
            assert_eq!(sink.mode(&format!("p/bin/{command}")), 0o755);
            assert!(ours.starts_with("#!/usr/bin/python3\n"), "{ours}");
            for line in ours.lines().filter(|l| l.contains("import") || l.contains("sys.exit(")) {
                assert!(theirs.lines().any(|t| t.trim() == line.trim()), "{command}: {line}\n{theirs}");
            }
        }
        records(&sink, prefix.path(), &options, name);
    }
}

/// Where this pip put things, as our options.
fn layout(theirs: &BTreeMap<String, String>, name: &str) -> WheelOptions {
    let info = theirs.keys().find(|p| p.ends_with(".dist-info")).unwrap();
    let (purelib, _) = info.rsplit_once('/').unwrap();
    let project = name.split('-').next().unwrap();
    let headers =
        theirs.keys().find_map(|p| p.strip_suffix(&format!("/{project}")).filter(|p| p.contains("include")));
    assert_eq!(purelib.split('/').count(), 3, "{purelib}: this pip has a layout of its own");
    WheelOptions {
        purelib: format!("p/{purelib}"),
        prefix: "p".to_owned(),
        headers: format!("p/{}", headers.unwrap_or("include")),
        python: "/usr/bin/python3".to_owned(),
    }
}

/// Without what each installer says in its own way.
fn without_own_words(listing: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let own = |path: &str| {
        let name = path.rsplit('/').next().unwrap();
        path.contains(".dist-info/")
            && ["INSTALLER", "RECORD", "REQUESTED", "direct_url.json"].contains(&name)
    };
    listing
        .iter()
        .filter(|(path, _)| !own(path))
        .map(|(path, what)| {
            (path.clone(), if path.starts_with("bin/") { "command".to_owned() } else { what.clone() })
        })
        .collect()
}

/// The rows of RECORD, but for commands and the installer's own files.
fn records(sink: &Collect, prefix: &Path, options: &WheelOptions, name: &str) {
    let path = sink.paths().into_iter().find(|p| p.ends_with(".dist-info/RECORD")).unwrap().to_owned();
    let own = |line: &&str| !line.contains("/bin/") && !line.contains(".dist-info/");
    let kept = |text: &str| {
        text.lines().filter(own).map(|l| (l.to_owned(), String::new())).collect::<BTreeMap<_, _>>()
    };
    let theirs = std::fs::read_to_string(prefix.join(path.strip_prefix("p/").unwrap())).unwrap();
    same(&kept(sink.text(&path)), &kept(&theirs), &format!("RECORD of {name}"));
    for line in sink.text(&path).lines() {
        let listed = line.split(",sha256=").next().unwrap().trim_end_matches(",,").trim_matches('"');
        let mut at: Vec<_> = options.purelib.split('/').collect();
        for part in listed.split('/') {
            match part {
                ".." => drop(at.pop()),
                _ => at.push(part),
            }
        }
        assert!(sink.get(&at.join("/")).is_some(), "{name}: {listed}");
    }
}
