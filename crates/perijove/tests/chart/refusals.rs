//! What is refused, and what is said of it.

use perijove_prepull::{Options, ValuesFile, image_set};
use serde_json::json;

use crate::scene::{Scene, deployments};

#[test]
fn wrong_values_are_refused_with_their_place() {
    let Some(scene) = Scene::new("wrong_values_are_refused_with_their_place") else { return };
    for (values, expected) in [
        ("perijove: {hook: {deadlin: 5m}}", &["/perijove/hook", "'deadlin' not allowed"][..]),
        ("perijove: {pullers: true}", &["/perijove", "'pullers' not allowed"]),
        ("perijove: {mode: volumes}", &["/perijove/mode", "'auto', 'image-volumes', 'noop'"]),
        ("perijove: {hook: {deadline: soon}}", &["/perijove/hook/deadline"]),
        ("perijove: {hook: {quorum: 120%}}", &["/perijove/hook/quorum"]),
        ("perijove: {hook: {tokenSeconds: 60}}", &["/perijove/hook/tokenSeconds", "600"]),
        ("perijove: {hook: {enabled: 'yes'}}", &["/perijove/hook/enabled", "boolean"]),
        ("singleuser: {image: {tag: 3.10}}", &["/singleuser/image/tag"]),
        ("jupyterhub: {singleuser: {image: {tag: 3.10}}}", &["/jupyterhub/singleuser/image/tag"]),
        ("singleuser: {profileList: 'lambda self: []'}", &["/singleuser/profileList"]),
        (
            "basehub: {jupyterhub: {singleuser: {profileList: 'text'}}}",
            &["basehub.jupyterhub.singleuser.profileList: expected a list of profiles, found text"],
        ),
        ("singleuser: {profileList: [text]}", &["singleuser.profileList[0]: expected a mapping, found text"]),
        (
            "singleuser: {profileList: [{kubespawner_override: {image: 3}}]}",
            &["singleuser.profileList[0].kubespawner_override.image: expected text, found a number"],
        ),
        (
            "singleuser: {profileList: [{profile_options: {a: {choices: {b: {kubespawner_override: {node_selector: x}}}}}}]}",
            &[
                "profile_options.a.choices.b.kubespawner_override.node_selector: expected a mapping, found text",
            ],
        ),
        ("singleuser: {image: {name: UPPER/case, tag: '1'}}", &["`UPPER/case:1` is not an image reference"]),
        (
            "prePuller: {extraImages: {x: {name: a b, tag: '1'}}}",
            &["prePuller.extraImages.x: `a b:1` is not an image reference"],
        ),
        (
            "hub: {config: {KubeSpawner: {tolerations: 1}}}",
            &["hub.config.KubeSpawner.tolerations: expected a list, found a number"],
        ),
        ("imagePullSecret: {create: true}", &["imagePullSecret.registry: missing"]),
    ] {
        let said = scene.try_render(&[values], &[]).expect_err(values);
        for part in expected {
            assert!(said.contains(part), "{values}: {said}");
        }
    }
}

/// At any level, also where the schema does not reach.
#[test]
fn wrong_kinds_are_refused_with_their_place() {
    let Some(scene) = Scene::new("wrong_kinds_are_refused_with_their_place") else { return };
    for (expected, keys) in [
        (
            "a mapping",
            &[
                "singleuser.image",
                "singleuser.storage",
                "singleuser.cloudMetadata",
                "singleuser.networkTools",
                "singleuser.extraResource",
                "singleuser.extraNodeAffinity",
                "scheduling.userPods",
                "scheduling.userPods.nodeAffinity",
                "scheduling.podPriority",
                "scheduling.corePods",
                "imagePullSecret",
                "rbac",
                "hub.labels",
                "hub.extraFiles",
                "prePuller.labels",
                "prePuller.annotations",
                "prePuller.resources",
                "prePuller.containerSecurityContext",
                "prePuller.hook",
                "prePuller.hook.nodeSelector",
                "prePuller.hook.resources",
                "prePuller.hook.containerSecurityContext",
                "prePuller.hook.daemonsetAnnotations",
                "prePuller.hook.serviceAccount",
                "prePuller.hook.serviceAccount.annotations",
                "prePuller.hook.serviceAccountImagePuller",
                "prePuller.continuous",
                "prePuller.continuous.daemonsetAnnotations",
                "prePuller.continuous.serviceAccount",
            ][..],
        ),
        ("a list", &["imagePullSecrets", "scheduling.corePods.tolerations", "prePuller.hook.tolerations"]),
        (
            "a number",
            &[
                "scheduling.podPriority.imagePullerPriority",
                "prePuller.revisionHistoryLimit",
                "prePuller.hook.podSchedulingWaitDuration",
            ],
        ),
    ] {
        for key in keys {
            let hub = key.rsplit('.').fold(json!("some"), |value, name| json!({ name: value }));
            let mut deployment = json!({"singleuser": {}});
            deployment.as_object_mut().unwrap().extend(hub.as_object().unwrap().clone());
            let values = json!({"basehub": {"jupyterhub": deployment}}).to_string();
            let said = scene.try_render(&[&values], &[]).expect_err(key);
            let wanted = format!("basehub.jupyterhub.{key}: expected {expected}");
            assert!(said.contains(&wanted) && said.contains("found text"), "{values}: {said}");
        }
    }
}

#[test]
fn references_are_refused_as_perijove_images_refuses_them() {
    let Some(scene) = Scene::new("references_are_refused_as_perijove_images_refuses_them") else { return };
    let (hex, long) = (|digits: usize| "0".repeat(digits), |letters: usize| "a".repeat(letters));
    // Docker's own registry has those without a slash below `library/`.
    let library = 255 - "library/".len();
    for (reference, is_fine) in [
        (format!("a/b:{}", long(128)), true),
        (format!("a/b:{}", long(129)), false),
        ("a/b:-x".to_owned(), false),
        (format!("a/b@sha256:{}", hex(64)), true),
        (format!("a/b:1@sha512:{}", hex(128)), true),
        ("a/b@sha256:00".to_owned(), false),
        (format!("a/b@sha256:{}", hex(65)), false),
        (format!("a/b@sha256:{}", hex(128)), false),
        (format!("a/b@sha512:{}", hex(64)), false),
        (format!("a/b@md5:{}", hex(32)), false),
        (format!("{}:1", long(library)), true),
        (format!("{}:1", long(library + 1)), false),
        (format!("r.example.org:5000/{}:1", long(255)), true),
        (format!("r.example.org:5000/{}:1", long(256)), false),
        (format!("a/{}:1", long(253)), true),
        (format!("a/{}:1", long(254)), false),
    ] {
        let values = json!({"singleuser": {"initContainers": [{"image": reference}]}}).to_string();
        let read = image_set(&[ValuesFile::new("values", values.as_str())], &Options::default());
        assert_eq!(read.is_ok(), is_fine, "{reference}");
        let rendered = scene.try_render(&[&values], &[]);
        assert_eq!(rendered.is_ok(), is_fine, "{reference}");
        if let Err(said) = rendered {
            assert!(said.contains(&format!("`{reference}` is not an image reference")), "{said}");
        }
    }
}

/// The file of a hub is taken as it is: the keys of the chart that it is for are not ours to refuse.
#[test]
fn unknown_keys_of_a_hub_are_taken() {
    let Some(scene) = Scene::new("unknown_keys_of_a_hub_are_taken") else { return };
    let values = "proxy: {secretToken: x}\nprePuller: {hook: {image: {name: a, tag: b}, podSchedulingWaitDuration: 10, new: 1}, pause: {}}\nfullnameOverride: null\nnameOverride: hub\nglobal: {safeToShowValues: false}\ncustom: {a: [1]}";
    assert!(!scene.render(&[values], &[]).is_empty());
    for (name, values) in deployments("unknown_keys_of_a_hub_are_taken") {
        assert!(!scene.render(&[&values], &[]).is_empty(), "{name}");
    }
}
