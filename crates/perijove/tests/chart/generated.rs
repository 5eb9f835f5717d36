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

fn policy() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "Always", "IfNotPresent", "Never"])
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
    let container = ("[ab]/[c-e]:[12]", policy())
        .prop_map(|(image, policy)| json!({"image": image, "imagePullPolicy": policy}));
    prop::collection::vec(container, 0..3).prop_map(|list| json!(list))
}

fn tolerations() -> impl Strategy<Value = Value> {
    let one = "[ab]".prop_map(|key| json!({"key": key, "operator": "Exists"}));
    prop::collection::vec(one, 0..3).prop_map(|list| json!(list))
}

fn terms() -> impl Strategy<Value = Value> {
    let one = "[kz]".prop_map(|key| json!({"matchExpressions": [{"key": key, "operator": "Exists"}]}));
    prop::collection::vec(one, 0..3).prop_map(|list| json!(list))
}

fn secrets() -> impl Strategy<Value = Value> {
    let one = prop_oneof!["[st]".prop_map(Value::from), "[st]".prop_map(|name| json!({"name": name}))];
    prop::collection::vec(one, 0..3).prop_map(|list| json!(list))
}

fn volumes() -> impl Strategy<Value = Value> {
    let one = prop_oneof![
        Just(json!({"name": "home", "emptyDir": {}})),
        ("[mn]", "[vw]/[c-e]:[12]", policy()).prop_map(
            |(name, image, policy)| json!({"name": name, "image": {"reference": image, "pullPolicy": policy}})
        ),
    ];
    prop::collection::vec(one, 0..3).prop_map(|list| json!(list))
}

fn pod_config() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"nodeSelector": {"from": "pod"}})),
        Just(json!({"node_selector": null})),
        Just(json!({"affinity": {"podAntiAffinity": {}}})),
        containers().prop_map(|list| json!({"initContainers": list})),
        containers().prop_map(|list| json!({"containers": list})),
        tolerations().prop_map(|list| json!({"tolerations": list})),
        volumes().prop_map(|list| json!({"volumes": list})),
        secrets().prop_map(|list| json!({"imagePullSecrets": list})),
        terms().prop_map(|terms| {
            let required =
                json!({"requiredDuringSchedulingIgnoredDuringExecution": {"node_selector_terms": terms}});
            json!({"affinity": {"nodeAffinity": required}})
        }),
    ]
}

fn overriding() -> impl Strategy<Value = Value> {
    let resources = prop_oneof![
        Just(json!({"nvidia.com/gpu": "1"})),
        Just(json!({"nvidia.com/gpu": null})),
        Just(json!({"a.b/c": 0}))
    ];
    let container = ("[ab]/[c-e]:[12]", policy())
        .prop_map(|(image, policy)| json!({"image": image, "image_pull_policy": policy}));
    let setting = prop_oneof![
        3 => image().prop_map(|v| ("image", v)),
        3 => place().prop_map(|v| ("node_selector", v)),
        1 => tolerations().prop_map(|v| ("tolerations", v)),
        1 => terms().prop_map(|v| ("node_affinity_required", v)),
        1 => containers().prop_map(|v| ("init_containers", v)),
        1 => containers().prop_map(|v| ("extra_containers", v)),
        1 => container.prop_map(|v| ("extra_container_config", v)),
        1 => volumes().prop_map(|v| ("volumes", v)),
        1 => secrets().prop_map(|v| ("image_pull_secrets", v)),
        1 => resources.prop_map(|v| ("extra_resource_limits", v)),
        2 => pod_config().prop_map(|v| ("extra_pod_config", v)),
        1 => Just(("image_spec", json!("old/name:1"))),
        1 => Just(("mem_limit", json!("1G"))),
        1 => policy().prop_map(|v| ("image_pull_policy", json!(v))),
    ];
    prop::collection::vec(setting, 0..4).prop_map(|settings| {
        let map: Map<String, Value> =
            settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Value::Object(map)
    })
}

fn option() -> impl Strategy<Value = Value> {
    let free = prop_oneof![
        Just(json!({"image": "{value}"})),
        Just(json!({"image": "own/{value}:1"})),
        Just(json!({"node_selector": {"size": "{value}"}})),
        Just(json!({"node_selector": {"size": "l"}})),
    ];
    let free = (any::<bool>(), free)
        .prop_map(|(enabled, over)| json!({"enabled": enabled, "kubespawner_override": over}));
    let choices = prop::collection::btree_map("[A-Za-z0-9]{1,3}", overriding(), 0..4);
    (choices, prop::option::weighted(0.2, free)).prop_map(|(choices, free)| {
        let choices: Map<String, Value> =
            choices.into_iter().map(|(key, over)| (key, json!({"kubespawner_override": over}))).collect();
        json!({"choices": choices, "unlisted_choice": free})
    })
}

fn profile() -> impl Strategy<Value = Value> {
    // Without circles (`10` < `1a` < `9-x` < `10`): the order within one is by chance.
    let keys = prop::sample::select(vec![
        ["a", "b", "9-x", "10-x", "image", "_z"],
        ["10", "1a", "a10", "a1b", "image-2", "image10"],
        ["09", "9", "100", "1000", "é", "A"],
    ]);
    let keys = keys.prop_flat_map(|keys| prop::sample::subsequence(keys.to_vec(), 0..4));
    let options = (keys, prop::collection::vec(option(), 3)).prop_map(|(keys, options)| {
        let named = keys.into_iter().zip(options).map(|(key, option)| (key.to_owned(), option));
        Value::Object(named.collect())
    });
    (overriding(), options)
        .prop_map(|(over, options)| json!({"kubespawner_override": over, "profile_options": options}))
}

/// Statements: some are always run, some perhaps, some are text that only looks like code.
fn code() -> impl Strategy<Value = String> {
    let image = || "[a-f]/[a-c]:[1-3]";
    let statement = prop_oneof![
        3 => image().prop_map(|image| format!("c.KubeSpawner.image = '{image}'  # was 'no/no:1'")),
        2 => image().prop_map(|image| format!("if x:\n    c.KubeSpawner.image = \"{image}\"  # '")),
        2 => image().prop_map(|image| format!("def f(s):\n    s.image = '{image}' # \"it's\"")),
        2 => image().prop_map(|image| format!("y = g({{'b': \"'#'\", 'image': '{image}'}})")),
        2 => image().prop_map(|image| format!("y = g(b='\\'', image='{image}')  # {{'image': 'no/no:1'}}")),
        3 => prop::sample::select(vec![
            "'''\nc.KubeSpawner.image = 'no/no:1'\n'''",
            "x = \"\"\"{'image': 'no/no:2'}\"\"\"",
            "'''it's \"image\": 'no/no:3', \\'''#'''",
            "x = 'an open text\ny = \"{'image': 'no/no:4'}\"",
            "# c.KubeSpawner.image = 'no/no:5'",
            "c.DockerSpawner.image = 'no/no:6'",
            "c.Spawner.image = 'no/no:7'",
        ])
        .prop_map(str::to_owned),
    ];
    prop::collection::vec(statement, 0..4).prop_map(|statements| statements.join("\n"))
}

fn user() -> impl Strategy<Value = Value> {
    let profiles = prop::collection::vec(profile(), 0..4);
    let pods = (place(), containers(), containers(), tolerations(), terms());
    let images = (policy(), secrets(), volumes(), prop::option::weighted(0.3, pod_config()));
    (profiles, any::<bool>(), pods, images).prop_map(
        |(profiles, tools, (place, init, extra, tolerations, terms), (policy, secrets, volumes, config))| {
            json!({
                "image": {"pullPolicy": policy, "pullSecrets": secrets},
                "storage": {"extraVolumes": volumes},
                "extraPodConfig": config.unwrap_or_else(|| json!({})),
                "extraNodeAffinity": {"required": terms},
                "nodeSelector": place, "initContainers": init, "extraContainers": extra,
                "extraTolerations": tolerations, "profileList": profiles,
                "cloudMetadata": {"blockWithIptables": tools},
            })
        },
    )
}

fn deployment() -> impl Strategy<Value = Value> {
    let purpose = prop::sample::select(vec!["ignore", "prefer", "require"]);
    let class = prop::sample::select(vec!["KubeSpawner", "Spawner", "BinderSpawner", "DockerSpawner"]);
    let config = prop::collection::btree_map(class, overriding(), 0..3);
    let extra = prop::option::of("[a-c]/[a-c]:[1-3]");
    (user(), purpose, config, extra, secrets(), code()).prop_map(
        |(user, purpose, config, extra, secrets, code)| {
            let image = extra.map(|image| {
                let (name, tag) =
                    image.split_once(':').map(|(n, t)| (n.to_owned(), t.to_owned())).unwrap_or_default();
                json!({"extra": {"name": name, "tag": tag}})
            });
            json!({
                "imagePullSecrets": secrets,
                "singleuser": user,
                "scheduling": {"userPods": {"nodeAffinity": {"matchNodePurpose": purpose}}},
                "hub": {"config": config, "extraConfig": {"made": code}},
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
