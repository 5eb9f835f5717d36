//! Made values: the chart and `perijove images` say the same of each. Several deployments go through one helm.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

use crate::equality::differences;
use crate::scene::Scene;

fn image() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-c](/[a-c])?:[1-3]".prop_map(Value::from),
        Just(json!("python")),
        Just(json!("docker.io/library/python:latest")),
        Just(json!("r.io:5000/x/y@sha256:0b7d3e5f9a1c2846d0e8f4a6b2c91735e7d5f3a1b9c8064282e6a4d0f1b3c597")),
        Just(Value::Null),
    ]
}

fn place() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just(Value::Null),
        "[xy]".prop_map(Value::from),
        (1..3i32).prop_map(Value::from),
        any::<bool>().prop_map(Value::from)
    ];
    prop::collection::btree_map("[pqr]", value, 0..3).prop_map(|map| json!(map))
}

fn containers() -> impl Strategy<Value = Value> {
    let policy = prop::sample::select(vec!["", "Always", "IfNotPresent"]);
    let container = ("[ab]/[c-e]:[12]", policy)
        .prop_map(|(image, policy)| json!({"image": image, "imagePullPolicy": policy}));
    prop::collection::vec(container, 0..3).prop_map(|list| json!(list))
}

fn tolerations() -> impl Strategy<Value = Value> {
    let one = "[ab]".prop_map(|key| json!({"key": key, "operator": "Exists"}));
    prop::collection::vec(one, 0..3).prop_map(|list| json!(list))
}

fn overriding() -> impl Strategy<Value = Value> {
    let resources = prop_oneof![
        Just(json!({"nvidia.com/gpu": "1"})),
        Just(json!({"nvidia.com/gpu": null})),
        Just(json!({"a.b/c": 0}))
    ];
    let pod = prop_oneof![
        Just(json!({"nodeSelector": {"from": "pod"}})),
        Just(json!({"node_selector": null})),
        containers().prop_map(|list| json!({"initContainers": list})),
    ];
    let setting = prop_oneof![
        3 => image().prop_map(|v| ("image", v)),
        3 => place().prop_map(|v| ("node_selector", v)),
        1 => tolerations().prop_map(|v| ("tolerations", v)),
        1 => containers().prop_map(|v| ("init_containers", v)),
        1 => containers().prop_map(|v| ("extra_containers", v)),
        1 => resources.prop_map(|v| ("extra_resource_limits", v)),
        1 => pod.prop_map(|v| ("extra_pod_config", v)),
        1 => Just(("image_spec", json!("old/name:1"))),
        1 => Just(("mem_limit", json!("1G"))),
        1 => Just(("image_pull_policy", json!("Always"))),
    ];
    prop::collection::vec(setting, 0..4).prop_map(|settings| {
        let map: Map<String, Value> =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Value::Object(map)
    })
}

fn profile() -> impl Strategy<Value = Value> {
    let choices = prop::collection::btree_map("[A-Za-z0-9]{1,3}", overriding(), 0..4).prop_map(|choices| {
        let choices: Map<String, Value> =
            choices.into_iter().map(|(key, over)| (key, json!({"kubespawner_override": over}))).collect();
        json!({"choices": choices})
    });
    let options = prop::collection::btree_map(
        prop::sample::select(vec!["a", "b", "9-x", "10-x", "image", "_z"]),
        choices,
        0..4,
    );
    (overriding(), options)
        .prop_map(|(over, options)| json!({"kubespawner_override": over, "profile_options": options}))
}

fn deployment() -> impl Strategy<Value = Value> {
    let purpose = prop::sample::select(vec!["ignore", "prefer", "require"]);
    let config = prop::option::of(overriding());
    let extra = prop::option::of("[a-c]/[a-c]:[1-3]");
    (place(), containers(), tolerations(), prop::collection::vec(profile(), 0..4), purpose, any::<bool>(), config, extra).prop_map(
        |(place, init, tolerations, profiles, purpose, tools, config, extra)| {
            let image = extra.map(|image| {
                let (name, tag) = image.split_once(':').map(|(n, t)| (n.to_owned(), t.to_owned())).unwrap_or_default();
                json!({"extra": {"name": name, "tag": tag}})
            });
            json!({
                "singleuser": {
                    "nodeSelector": place, "initContainers": init, "extraTolerations": tolerations, "profileList": profiles,
                    "cloudMetadata": {"blockWithIptables": tools},
                },
                "scheduling": {"userPods": {"nodeAffinity": {"matchNodePurpose": purpose}}},
                "hub": {"config": {"KubeSpawner": config.unwrap_or_else(|| json!({}))}},
                "prePuller": {"extraImages": image.unwrap_or_else(|| json!({}))},
            })
        },
    )
}

#[test]
fn made_values_give_the_same_set() {
    let Some(scene) = Scene::new("made_values_give_the_same_set") else { return };
    let config = Config { cases: 16, max_shrink_iters: 200, failure_persistence: None, ..Config::default() };
    let rng = proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let several = prop::collection::vec(deployment(), 8);
    let outcome = runner.run(&several, |deployments| {
        let named: Map<String, Value> =
            deployments.into_iter().enumerate().map(|(n, values)| (format!("hub{n}"), values)).collect();
        let text = Value::Object(named).to_string();
        match differences(&scene, &[&text], &["--set", "perijove.continuous.enabled=false"]) {
            None => Ok(()),
            Some(differences) => Err(TestCaseError::fail(format!("{text}\n{differences}"))),
        }
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
