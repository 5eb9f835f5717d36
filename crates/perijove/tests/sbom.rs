//! What an image says of itself. Every file of it belongs to a part that the SBOM names, every part that it names is
//! there; the annotations say where it comes from.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use perijove_testkit::has;
use perijove_testkit::layout::{Layout, Node};
use perijove_testkit::packages::{Deb, Packages, Wheel};
use perijove_testkit::program::Program;
use perijove_testkit::repository::{APP, Repository};
use serde_json::Value;

const PERIJOVE: &str = env!("CARGO_BIN_EXE_perijove");

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// `a/b/../c` → `a/c`.
fn joined(folder: &str, path: &str) -> String {
    let mut steps: Vec<&str> = folder.split('/').filter(|s| !s.is_empty()).collect();
    if path.starts_with('/') {
        steps.clear();
    }
    for step in path.split('/').filter(|s| !s.is_empty()) {
        match step {
            ".." => _ = steps.pop(),
            _ => steps.push(step),
        }
    }
    steps.join("/")
}

/// The wheels' own lists: normalised name and version → paths.
fn records(files: &BTreeMap<String, Node>) -> BTreeMap<(String, String), BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for (path, record) in files.iter().filter(|(path, _)| path.ends_with(".dist-info/RECORD")) {
        let info = path.trim_end_matches("/RECORD");
        let site = info.rsplit_once('/').unwrap().0;
        let metadata = String::from_utf8_lossy(&files[&format!("{info}/METADATA")].content).into_owned();
        let field =
            |name: &str| metadata.lines().find_map(|l| l.strip_prefix(name)).unwrap().trim().to_owned();
        let name = field("Name:").to_lowercase().replace(['_', '.'], "-");
        let rows = String::from_utf8_lossy(&record.content).into_owned();
        let rows =
            rows.lines().map(|row| joined(site, row.rsplitn(3, ',').nth(2).unwrap().trim_matches('"')));
        all.insert((name, field("Version:")), rows.collect());
    }
    all
}

/// What a Debian package owns: its list in the image, its entry there, and what md5sums leave out (links and
/// configuration files), which the part's own list in the cache has.
fn debian(component: &Value, files: &BTreeMap<String, Node>, cache: &Path) -> BTreeSet<String> {
    let entry = format!("var/lib/dpkg/status.d/{}", text(component, "name"));
    let sums = format!("{entry}.md5sums");
    let status = String::from_utf8_lossy(&files[&entry].content).into_owned();
    let version = status.lines().find_map(|l| l.strip_prefix("Version:")).unwrap().trim();
    assert_eq!(version, text(component, "version"), "{entry}");
    let mut owned: BTreeSet<String> = String::from_utf8_lossy(&files[&sums].content)
        .lines()
        .map(|line| line.split_once("  ").unwrap().1.to_owned())
        .collect();
    owned.extend([entry, sums]);
    let properties = component["properties"].as_array().unwrap();
    let key = properties.iter().find(|p| p["name"] == "perijove:part").unwrap();
    let hex = text(key, "value").trim_start_matches("sha256:");
    let part = cache.join("perijove/layers/tar.gz").join(&hex[..2]).join(hex).join("part.json");
    let part: Value = serde_json::from_slice(&std::fs::read(part).unwrap()).unwrap();
    owned.extend(part["owned"].as_array().unwrap().iter().map(|o| text(o, "path").to_owned()));
    owned
}

/// Fails with the files that no part owns and the parts that own no file.
fn everything_has_an_owner(layout: &Layout, manifest: &str, cache: &Path) {
    let files = layout.files(manifest);
    let sbom = layout.attached(manifest, "application/vnd.cyclonedx+json");
    assert_eq!((text(&sbom, "bomFormat"), text(&sbom, "specVersion")), ("CycloneDX", "1.6"));
    assert_eq!(text(&sbom["metadata"]["component"], "bom-ref"), manifest);
    let records = records(&files);
    let mut orphans: BTreeSet<&String> = files.keys().collect();
    let mut empty = Vec::new();
    for component in sbom["components"].as_array().unwrap() {
        let purl = text(component, "purl");
        let mut owned = BTreeSet::new();
        if purl.starts_with("pkg:deb/") {
            owned = debian(component, &files, cache);
        } else if purl.starts_with("pkg:pypi/") {
            let name = (text(component, "name").to_owned(), text(component, "version").to_owned());
            owned = records.get(&name).unwrap_or_else(|| panic!("no RECORD of {name:?}")).clone();
        } else {
            let places = component["evidence"]["occurrences"].as_array();
            let places = places.unwrap_or_else(|| panic!("{purl} says nowhere where it is"));
            for place in places.iter().map(|p| text(p, "location").trim_start_matches('/')) {
                // An npm package says its folder; the packages nested in it say theirs.
                let below = format!("{place}/");
                let found = files
                    .keys()
                    .filter(|f| *f == place || purl.starts_with("pkg:npm/") && f.starts_with(&below));
                owned.extend(found.cloned());
            }
        }
        let there = owned.iter().filter(|path| files.contains_key(*path)).count();
        if there == 0 {
            empty.push(purl.to_owned());
        }
        orphans.retain(|path| !owned.contains(*path));
    }
    assert!(orphans.is_empty(), "{} of {} files belong to no part: {orphans:#?}", orphans.len(), files.len());
    assert!(empty.is_empty(), "parts without a file: {empty:#?}");
    assert!(files.len() > 10, "only {} files", files.len());
}

#[test]
fn every_file_of_a_made_image_belongs_to_a_part() {
    let debs = [Deb::new("base", "1", "all", 1_000), Deb::new("lib", "2:1.0-1", "amd64", 1_000)];
    let wheels = [Wheel::new("one", "1.0", 1_000), Wheel::new("two-words", "2.0", 700_000)];
    let server = Packages::serve();
    server.debs(&debs);
    server.wheels(&wheels);
    let repository = Repository::app(&debs, &wheels);
    repository.write("images/app/rootfs/opt/deep/er/file", "x");
    let cache = tempfile::tempdir().unwrap();
    let program = Program::new(PERIJOVE, repository.path(), cache.path()).envs(server.environment());
    let result = program.args(["build", "--format", "json", "--output", "oci:out"]).run().json();
    let platforms = result["images"][0]["platforms"].as_array().unwrap();
    assert_eq!(platforms.len(), 2);
    for platform in platforms {
        everything_has_an_owner(&Layout(repository.join("out")), text(platform, "digest"), cache.path());
    }
}

#[test]
fn annotations_say_where_the_image_comes_from() {
    let debs = [Deb::new("base", "1", "all", 1_000)];
    let server = Packages::serve();
    server.debs(&debs);
    let repository = Repository::app(&debs, &[]);
    let source = "source = \"https://git.test/app\"\nplatforms =";
    repository.write("perijove.toml", &APP.replacen("platforms =", source, 1));
    let cache = tempfile::tempdir().unwrap();
    let program = Program::new(PERIJOVE, repository.path(), cache.path()).envs(server.environment());
    let program = program.env("PERIJOVE_REVISION", "0123abcd").env("SOURCE_DATE_EPOCH", "86400");
    let result = program.args(["build", "--format", "json", "--output", "oci:out"]).run().json();
    let layout = Layout(repository.join("out"));
    let image = &result["images"][0];
    // The index says the same as the manifest of each platform.
    let manifests = image["platforms"].as_array().unwrap();
    for digest in manifests.iter().map(|m| text(m, "digest")).chain([text(image, "digest")]) {
        let annotations = &layout.json(digest)["annotations"];
        for (name, value) in [
            ("source", "https://git.test/app"),
            ("revision", "0123abcd"),
            ("version", "1.0"),
            ("created", "1970-01-02T00:00:00Z"),
            ("title", "app"),
        ] {
            assert_eq!(text(annotations, &format!("org.opencontainers.image.{name}")), value, "{digest}");
        }
    }
}

#[test]
fn our_own_images_name_their_source() {
    let config = perijove_build::Config::find(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
    assert_eq!(config.repository.source.as_deref(), Some(env!("CARGO_PKG_REPOSITORY")));
}

/// hub, proxy, lab and demo, as they are built for every platform.
#[test]
fn every_file_of_our_own_images_belongs_to_a_part() {
    let test = "every_file_of_our_own_images_belongs_to_a_part";
    if !["apt-get", "npm", "uv"].iter().all(|program| has(test, program)) {
        return;
    }
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .unwrap();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let out = tempfile::tempdir().unwrap();
    let layout = Layout(out.path().join("layout"));
    let program = Program::of_this_site(PERIJOVE, &workspace);
    let output = format!("oci:{}", layout.0.display());
    let result = program.args(["build", "--format", "json", "--output"]).args([output]).run().json();
    let mut walked = Vec::new();
    for image in result["images"].as_array().unwrap() {
        for platform in image["platforms"].as_array().unwrap() {
            everything_has_an_owner(&layout, text(platform, "digest"), &cache);
            walked.push(format!("{} {}", text(image, "name"), text(platform, "platform")));
        }
        let sbom = layout.attached(text(&image["platforms"][0], "digest"), "application/vnd.cyclonedx+json");
        for component in sbom["components"].as_array().unwrap() {
            // The lock names every package's licence.
            let npm = text(component, "purl").starts_with("pkg:npm/");
            assert_eq!(component["licenses"][0]["license"]["name"].is_string(), npm, "{component}");
        }
    }
    walked.sort();
    let all = ["demo", "hub", "lab", "proxy"]
        .map(|image| ["amd64", "arm64"].map(|cpu| format!("{image} linux/{cpu}")));
    assert_eq!(walked, all.concat());
}
