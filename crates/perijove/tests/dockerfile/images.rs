//! What buildah made of a Dockerfile, treated as every image: kept, shared, released.

use perijove_oci::media::CYCLONEDX;
use perijove_testkit::packages::Wheel;
use perijove_testkit::registry::Registry;
use serde_json::{Value, json};

use crate::PERIJOVE;
use crate::scene::*;

#[test]
fn a_changed_input_changes_the_image() {
    if !ready("a_changed_input_changes_the_image") {
        return;
    }
    let scene = Scene::new(ALONE, TWO_STAGES);
    let first = scene.build();
    assert!(first.stderr.contains("RUN --mount=type=bind,from=stage"), "{}", first.stderr);
    let first = first.json();
    assert_eq!(files(&scene.out(), &manifest(&first))["made"].content, b"one\n");
    scene.assert_nothing_left();

    let again = scene.build();
    assert!(!again.stderr.contains("RUN --mount"), "the builder ran: {}", again.stderr);
    assert_eq!(again.json()["images"], first["images"]);

    scene.repository.write("images/app/input", "two\n");
    let changed = scene.build().json();
    assert_ne!(manifest(&changed), manifest(&first));
    assert_eq!(files(&scene.out(), &manifest(&changed))["made"].content, b"two\n");

    // What was kept does not come back where it does not belong, and what is rebuilt is the same.
    scene.repository.write("images/app/input", "one\n");
    assert_eq!(scene.build().json()["images"], first["images"]);
    let rebuilt = scene.program().args(["build", "app", "--format", "json", "--rebuild"]).run();
    assert!(rebuilt.stderr.contains("RUN --mount"), "{}", rebuilt.stderr);
    assert_eq!(rebuilt.json()["images"], first["images"], "two runs of the builder differ");
    scene.assert_nothing_left();
}

#[test]
fn a_parent_of_this_repository_is_built_first_and_shared() {
    if !ready("a_parent_of_this_repository_is_built_first_and_shared") {
        return;
    }
    let scene = Scene::new(ON_HUB, FROM_HUB);
    let revision = "0123456789012345678901234567890123456789";
    let program = scene.program().args(["build", "--format", "json", "--revision", revision]);
    let result = program.args(["--output", "oci:out"]).run().json();
    let image = |at: usize| &result["images"][at]["platforms"][0];
    let (app, hub) = (image(1), image(0));
    let digests = |image: &Value| -> Vec<String> {
        let layers = image["layers"].as_array().unwrap().iter();
        layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
    };
    let (on_hub, below) = (digests(app), digests(hub));
    assert!(on_hub.len() > below.len() && on_hub.starts_with(&below), "{on_hub:?} {below:?}");
    let digest = app["digest"].as_str().unwrap();
    let files = files(&scene.out(), digest);
    assert_eq!(files["srv/version"].content, b"version 1.2.3\n");
    assert_eq!(files["srv/input"].content, b"one\n");

    let manifest = scene.out().json(digest);
    let annotations = &manifest["annotations"];
    let expected = [
        ("org.opencontainers.image.title", "app"),
        ("org.opencontainers.image.version", "1.2.3"),
        ("org.opencontainers.image.revision", revision),
        ("org.opencontainers.image.source", "https://git.example/team/images"),
        // The suite's date in the parent's debs.lock.
        ("org.opencontainers.image.created", "2026-09-12T07:55:41Z"),
        ("org.opencontainers.image.base.digest", result["images"][0]["digest"].as_str().unwrap()),
    ];
    for (name, value) in expected {
        assert_eq!(annotations[name], value, "{name}");
    }
    let config = scene.out().json(manifest["config"]["digest"].as_str().unwrap());
    assert_eq!(config["created"], "2026-09-12T07:55:41Z");
    assert_eq!(config["config"]["Env"], json!(["PATH=/bin"]));
    let hub_parts = scene.out().json(hub["digest"].as_str().unwrap());
    for (at, layer) in hub_parts["layers"].as_array().unwrap().iter().enumerate() {
        assert_eq!(&manifest["layers"][at], layer, "with its key");
    }
    let sbom = scene.out().attached(digest, CYCLONEDX);
    let names: Vec<&str> =
        sbom["components"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"base") && names.contains(&"hub files"), "{names:?}");
    assert_eq!(sbom["compositions"][0]["aggregate"], "incomplete");

    // The test runs what was built: the builder does not run again.
    let tested = scene.program().args(["test", "app", "--runtime", "builtin"]).run();
    assert_eq!(tested.code, Some(0), "{}{}", tested.stdout, tested.stderr);
    assert!(tested.stdout.contains("passed") && !tested.stderr.contains("RUN echo"), "{}", tested.stderr);

    // What changes in the parent changes the child.
    scene.repository.write("images/hub/rootfs/etc/new", "new\n");
    let changed = scene.build().json();
    assert_eq!(self::files(&scene.out(), &self::manifest(&changed))["etc/new"].content, b"new\n");
    scene.assert_nothing_left();
}

#[test]
fn nothing_changed_needs_no_builder_and_pushes_nothing() {
    if !ready("nothing_changed_needs_no_builder_and_pushes_nothing") {
        return;
    }
    let scene = Scene::new(ON_HUB, FROM_HUB);
    let registry = Registry::start(PERIJOVE);
    let repository = format!("{}/team/app", registry.address);
    let push = |path: Option<&str>| {
        let cache = tempfile::tempdir().unwrap();
        let program = scene.with_cache(cache.path());
        let program = path.map_or(program.clone(), |path| program.env("PATH", path));
        program.args(["build", "app", "--format", "json", "--push", &repository]).run()
    };
    let first = push(None).json();
    assert!(first["pushed_bytes"].as_u64().unwrap() > 1_000_000);
    let again = push(Some("/nonexistent")).json();
    assert_eq!((&again["images"], &again["pushed_bytes"]), (&first["images"], &json!(0)));
    scene.repository.write("images/app/input", "two\n");
    let without = push(Some("/nonexistent"));
    assert_eq!(without.code, Some(1));
    assert!(
        without.stderr.contains("no builder of Dockerfiles: buildah: not installed"),
        "{}",
        without.stderr
    );
    assert!(without.stderr.contains("hint: get buildah"), "{}", without.stderr);
    let changed = push(None).json();
    let pushed = changed["pushed_bytes"].as_u64().unwrap();
    assert!((1..60_000).contains(&pushed), "the parent's layers went up again: {pushed}");
}

#[test]
fn a_base_from_a_registry_keeps_its_layers() {
    if !ready("a_base_from_a_registry_keeps_its_layers") {
        return;
    }
    let scene = Scene::new(ON_HUB, FROM_HUB);
    let registry = Registry::start(PERIJOVE);
    let hub = format!("{}/team/hub", registry.address);
    let pushed = scene.program().args(["build", "hub", "--format", "json", "--push", &hub]).run().json();
    let base = format!("{hub}@{}", pushed["images"][0]["digest"].as_str().unwrap());
    let toml = format!("{ALONE}base = {{ image = \"{base}\" }}\n");
    scene.repository.write("perijove.toml", &toml);
    let result = scene.build().json();
    let layers = |result: &Value| result["images"][0]["platforms"][0]["layers"].as_array().unwrap().clone();
    for (own, below) in layers(&result).iter().zip(layers(&pushed)) {
        assert_eq!(own["digest"], below["digest"]);
    }
    assert_eq!(layers(&result).len(), layers(&pushed).len() + 1);
    assert_eq!(files(&scene.out(), &manifest(&result))["srv/version"].content, b"version 1.2.3\n");
    let annotations = scene.out().json(&manifest(&result))["annotations"].clone();
    assert_eq!(annotations["org.opencontainers.image.base.name"], base);
    let sbom = scene.out().attached(&manifest(&result), CYCLONEDX);
    assert_eq!(sbom["components"].as_array().unwrap().len(), 1, "the base and nothing else is known");
    scene.assert_nothing_left();
}

#[test]
fn a_lock_gives_the_version() {
    if !ready("a_lock_gives_the_version") {
        return;
    }
    let toml = "[image.app]\nversion-from = \"jupyterhub\"\npython = \"requirements.txt\"\ndockerfile = \"deep/Dockerfile\"\n";
    let scene = Scene::new(toml, "");
    let dockerfile = "FROM scratch\nARG VERSION\nCOPY requirements.txt /locked\nENV VERSION=$VERSION\n";
    scene.repository.write("images/app/deep/Dockerfile", dockerfile);
    scene.repository.lock_wheels("app", &[Wheel::new("jupyterhub", "5.3.0", 10)]);
    let result = scene.build().json();
    assert_eq!(result["images"][0]["version"], "5.3.0");
    let manifest_json = scene.out().json(&manifest(&result));
    let config = scene.out().json(manifest_json["config"]["digest"].as_str().unwrap());
    assert!(config["config"]["Env"].as_array().unwrap().contains(&json!("VERSION=5.3.0")), "{config}");
    let files = files(&scene.out(), &manifest(&result));
    assert!(files["locked"].content.starts_with(b"jupyterhub==5.3.0"));
    // A lock that is behind is no version.
    scene.repository.lock_wheels("app", &[Wheel::new("other", "1.0", 10)]);
    let ran = scene.build();
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("version-from names `jupyterhub`, which no lock"), "{}", ran.stderr);
}
