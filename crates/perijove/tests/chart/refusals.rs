//! What is refused, and what is said of it.

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
