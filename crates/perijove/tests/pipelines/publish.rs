//! The pipeline that publishes this project itself: for a tag the pre-puller's image, the chart that names it, then the
//! program.

use std::path::{Path, PathBuf};

use perijove_prepull::manifests::OWN_IMAGE;
use perijove_testkit::cluster::programs::helm;
use perijove_testkit::registry::Registry;
use perijove_testkit::repository::Repository;
use perijove_testkit::workflow::actions::git;
use perijove_testkit::workflow::github::{Event, GitHub};
use perijove_testkit::{has, skip};

use crate::scene::{PERIJOVE, tags, workspace};

/// Where the project's own images are.
const HOME: &str = "quay.io/jupyterhub";

/// `make` without a compiler: what was made before.
const MAKE: &str = r#"#!/bin/sh
set -e
case $1 in
dist)
  mkdir -p target/dist
  cp -L "$(command -v perijove)" target/dist/perijove
  echo wheel > "target/dist/perijove-$(uname -m).whl";;
await-image)
  for architecture in amd64 arm64; do
    install -D -m 0755 "$AWAITER" "target/await-image/images/perijove-await/rootfs.$architecture/perijove-awaiter"
  done
  cp images/perijove-await/perijove.toml target/await-image/;;
*) exit 2;;
esac
"#;

/// The static program of the image `perijove-await`: of `PERIJOVE_AWAITER`, else where `make await-image` leaves it.
fn awaiter() -> PathBuf {
    let made = || workspace().join("target/await-image/images/perijove-await/rootfs.amd64/perijove-awaiter");
    std::env::var_os("PERIJOVE_AWAITER").map_or_else(made, PathBuf::from)
}

/// What the pipeline reads of this repository, with a registry on loopback for the project's own.
fn checkout(registry: &str) -> Repository {
    let checkout = Repository::new("");
    let mut files = vec![
        ".gitignore".into(),
        "Cargo.toml".into(),
        ".github/workflows/publish.yml".into(),
        "images/perijove-await/perijove.toml".into(),
    ];
    let charts = walkdir::WalkDir::new(workspace().join("charts"));
    let charts = charts.into_iter().map(Result::unwrap).filter(|entry| entry.file_type().is_file());
    files.extend(charts.map(|entry| entry.path().strip_prefix(workspace()).unwrap().to_owned()));
    for file in files {
        let text = std::fs::read_to_string(workspace().join(&file)).unwrap();
        let own = text.replace(HOME, &format!("{registry}/jupyterhub"));
        let text = if file.starts_with(".github") { own } else { text };
        checkout.write(&file.display().to_string(), &text);
    }
    git(checkout.path(), &["init", "--quiet", "-b", "main"]);
    git(checkout.path(), &["add", "--all"]);
    git(checkout.path(), &["commit", "--quiet", "--message", "First version"]);
    checkout
}

#[test]
fn a_tag_publishes_the_image_first_and_nothing_twice() {
    let test = "a_tag_publishes_the_image_first_and_nothing_twice";
    if !has(test, "jq") || !helm().is_file() || !awaiter().is_file() {
        return skip(test, "helm or the awaiter is not built: make tools-kube, make await-image");
    }
    let registry = Registry::with(PERIJOVE, &["--create-only", r"\d+\.\d+\.\d+.*-\d+"]);
    let at = |name: &str| tags(&format!("{}/jupyterhub/{name}", registry.address));
    let github = GitHub::new(PERIJOVE).program("make", MAKE).recorded("cargo").recorded("uv");
    // The registry on loopback has no certificate; with this file there, it cannot be read.
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken");
    let plain = format!(
        "#!/bin/sh\ncase $1 in package) exec '{0}' \"$@\";; show) if [ -e '{1}' ]; then echo 'Error: unexpected status 502' >&2; exit 1; fi;; esac\nexec '{0}' \"$@\" --plain-http\n",
        helm().display(),
        broken.display(),
    );
    let github = github.program("helm", &plain).secret("REGISTRY_AUTH", r#"{"auths": {}}"#);
    let github = github.env("AWAITER", &awaiter().canonicalize().unwrap().display().to_string());
    let version = env!("CARGO_PKG_VERSION");
    let tag: &'static str = Box::leak(format!("v{version}").into_boxed_str());
    let checkout = checkout(&registry.address);
    github.push(checkout.path(), "main");
    github.git(&["tag", tag, "refs/heads/main"]);

    let run = github.run("publish.yml", &Event::Tag(tag)).succeeded();
    let order: Vec<&str> = run.jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(order[order.len() - 2..], ["registry", "publish"], "{order:?}");
    let image = at("perijove-await");
    assert!(image.contains_key(&format!("{version}-0")), "{image:?}");
    // What `perijove warm` and the chart ask for is there.
    let (name, own) = OWN_IMAGE.rsplit_once(':').unwrap();
    assert_eq!(name, format!("{HOME}/perijove-await"));
    assert_eq!(image[own], image[&format!("{version}-0")]);
    let chart = at("charts/perijove");
    assert_eq!(chart.keys().collect::<Vec<_>>(), [version]);

    // Once more: nothing is there twice, and nothing has moved.
    let again = github.run("publish.yml", &Event::Tag(tag)).succeeded();
    assert!(again.job("registry")[0].log.contains("nothing to release"), "{}", again.job("registry")[0].log);
    assert_eq!((at("perijove-await"), at("charts/perijove")), (image, chart.clone()));

    // A registry that does not say is no registry without the chart.
    std::fs::write(&broken, "").unwrap();
    let run = github.run("publish.yml", &Event::Tag(tag));
    let ended = run.job("registry")[0];
    assert!(ended.result == "failure" && ended.log.contains("502"), "{}", ended.log);
    assert!(run.job("publish").is_empty());
    assert_eq!(at("charts/perijove"), chart);
}

/// Versions that have to be the same, wherever they stand.
#[test]
fn the_image_and_the_chart_have_the_version_of_the_program() {
    let version = env!("CARGO_PKG_VERSION");
    for (file, line) in [
        ("images/perijove-await/perijove.toml", format!("version = \"{version}\"")),
        ("charts/perijove/Chart.yaml", format!("version: {version}")),
        ("charts/perijove/Chart.yaml", format!("appVersion: {version}")),
        ("Cargo.toml", format!("version = \"{version}\"")),
    ] {
        let text = std::fs::read_to_string(workspace().join(Path::new(file))).unwrap();
        assert!(text.lines().any(|one| one == line), "{file}: {line}");
    }
    assert_eq!(OWN_IMAGE, format!("{HOME}/perijove-await:{version}"));
}
