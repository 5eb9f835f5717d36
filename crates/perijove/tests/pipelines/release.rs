//! The release pipeline: credentials, several registries, doing it again, a roll-back.

use perijove_testkit::has;
use perijove_testkit::packages::Wheel;
use perijove_testkit::peer::Peer;
use perijove_testkit::workflow::actions::git;
use perijove_testkit::workflow::github::Event;
use serde_json::Value;

use crate::oracle::Oracle;
use crate::scene::{Scene, tags};

fn push() -> Event {
    Event::Push("main".to_owned())
}

#[test]
fn a_push_releases_to_all_registries() {
    let test = "a_push_releases_to_all_registries";
    if !has(test, "uv") {
        return;
    }
    let Some(peer) = Peer::start(test) else { return };
    let scene = Scene::new("app\n", &[Wheel::new("app", "6.0.0", 100)]);
    let toml = std::fs::read_to_string(scene.checkout.join("perijove.toml")).unwrap();
    scene
        .checkout
        .write("perijove.toml", &toml.replace("/team\"]", &format!("/team\", \"{}/team\"]", peer.address)));
    scene.commit("Release to a second registry");
    scene.github.push(scene.checkout.path(), "main");
    let run = scene.github.run("release.yml", &push()).succeeded();
    let record = std::fs::read(run.artifacts["release"].join("record.json")).unwrap();
    let record: Value = serde_json::from_slice(&record).unwrap();
    assert_eq!(record["images"][0]["tag"], "6.0.0-0");
    assert!(std::fs::read_to_string(run.artifacts["release"].join("notes.md")).unwrap().contains("6.0.0-0"));
    let job = run.job("release")[0];
    assert!(job.summary.contains("6.0.0-0"), "{}", job.summary);
    // Both have all of it, byte for byte.
    assert_eq!(
        scene.tags("team/app").into_keys().collect::<Vec<_>>(),
        ["6", "6.0", "6.0.0", "6.0.0-0", "latest"]
    );
    let mut there = tags(&format!("{}/team/app", peer.address));
    // It has no list of what refers to an image, so that a tag holds it (distribution-spec, "Referrers Tag Schema").
    there.retain(|tag, _| !tag.starts_with("sha256-"));
    assert_eq!(scene.tags("team/app"), there);
    // Once more: nothing to do.
    let again = scene.github.run("release.yml", &push()).succeeded();
    assert!(again.job("release")[0].log.contains("nothing to release"), "{}", again.job("release")[0].log);
    let installed = scene.github.installed();
    assert!(installed.contains(&format!(" perijove=={}", env!("CARGO_PKG_VERSION"))), "{installed}");
}

#[test]
fn credentials_stay_in_a_file_of_the_job() {
    if !has("credentials_stay_in_a_file_of_the_job", "jq")
        || !has("credentials_stay_in_a_file_of_the_job", "uv")
    {
        return;
    }
    let mut scene = Scene::new("app\n", &[Wheel::new("app", "6.0.0", 100)]);
    // A step of the test's own, to look at the file.
    let release = std::fs::read_to_string(scene.checkout.join(".github/workflows/release.yml")).unwrap();
    let look = "          stat --format='mode %a' \"$REGISTRY_AUTH_FILE\"\n          \
                jq --raw-output '.auths | map_values(.auth | @base64d | gsub(\"[a-z]\"; \"x\"))' \"$REGISTRY_AUTH_FILE\"\n";
    let line = "          mkdir -p \"$RUNNER_TEMP/release\"\n";
    assert!(release.contains(line));
    scene.checkout.write(".github/workflows/release.yml", &release.replace(line, &format!("{look}{line}")));
    scene.commit("Look");
    scene.github.push(scene.checkout.path(), "main");
    let auth = r#"{"auths":{"quay.io":{"auth":"cm9ib3Q6c2VjcmV0"}}}"#;
    scene.github = scene.github.secret("REGISTRY_AUTH", auth);
    let run = scene.github.run("release.yml", &push()).succeeded();
    let log = &run.job("release")[0].log;
    assert!(log.contains("mode 600"), "{log}");
    assert!(log.contains(r#""ghcr.io": "xxxxxxxxxx:xxxxxxxx=xxxx,xxxxxxxx=xxxxx""#), "{log}");
    assert!(log.contains(r#""quay.io": "xxxxx:xxxxxx""#), "{log}");
    assert!(!log.contains("secret") && !log.contains("packages=write") && !log.contains("cm9ib3Q"), "{log}");
    // What is no JSON is named, and not repeated.
    scene.github = scene.github.secret("REGISTRY_AUTH", "robot:secret");
    let run = scene.github.run("release.yml", &push());
    let job = run.job("release")[0];
    assert_eq!(job.result, "failure");
    assert!(job.log.contains("REGISTRY_AUTH is not JSON") && !job.log.contains("robot"), "{}", job.log);
}

#[test]
fn a_revert_rolls_back_under_the_next_number() {
    if !has("a_revert_rolls_back_under_the_next_number", "uv") {
        return;
    }
    let scene = Scene::new("app\n", &[Wheel::new("app", "6.0.0", 100), Wheel::new("extra", "1.0", 50)]);
    let mut oracle = Oracle::new(&format!("{}/team/app", scene.registry.address));
    scene.github.run("release.yml", &push()).succeeded();
    oracle.check("6.0.0", true);
    scene.checkout.write("images/app/requirements.in", "app\nextra\n");
    scene.lock();
    scene.commit("Add what turns out to be bad");
    scene.github.push(scene.checkout.path(), "main");
    scene.github.run("release.yml", &push()).succeeded();
    oracle.check("6.0.0", true);
    git(scene.checkout.path(), &["revert", "--no-edit", "HEAD"]);
    scene.github.push(scene.checkout.path(), "main");
    scene.github.run("release.yml", &push()).succeeded();
    oracle.check("6.0.0", true);
    oracle.verify();
}
