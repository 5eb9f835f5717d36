//! Where images are found, and where a pod with them lands.

use super::*;

#[test]
fn images_land_where_pods_land() {
    for (values, expected) in [
        ("", &["pool=a: base:1"][..]),
        // Init and extra containers, lists and dictionaries; image volumes.
        (
            "  initContainers: [{image: 'i:1'}, {name: none}]\n  extraContainers: {b: {image: 'e:1'}}\n",
            &["pool=a: base:1 e:1 i:1"],
        ),
        (
            "  storage: {extraVolumes: {m: {image: {reference: 'v:1'}}, n: {emptyDir: {}}}}\n",
            &["pool=a: base:1 v:1"],
        ),
        // A profile's override; null deletes a label, an empty profile is the base.
        (
            "  profileList: [{display_name: x, kubespawner_override: {image: 'p:1', node_selector: {pool: null, b: c}}}, {display_name: y}]\n",
            &["b=c: p:1", "pool=a: base:1"],
        ),
        ("  profileList: [{kubespawner_override: {image_spec: 'p:1'}}]\n", &["pool=a: p:1"]),
        // Lists replace, so the block of the cloud's metadata goes with the init containers.
        (
            "  initContainers: [{image: 'i:1'}]\n  profileList: [{kubespawner_override: {init_containers: [{image: 'j:1'}]}}]\n",
            &["pool=a: base:1 j:1"],
        ),
        // A dictionary over a list replaces it; a dictionary over a dictionary merges.
        (
            "  extraContainers: {a: {image: 'e:1'}}\n  profileList: [{kubespawner_override: {extra_containers: {a: {image: 'f:1'}, b: {image: 'g:1'}}}}]\n",
            &["pool=a: base:1 f:1 g:1"],
        ),
        // Options in natural order of their keys: 10 comes behind 9.
        (
            "  profileList: [{profile_options: {10-b: {choices: {x: {kubespawner_override: {image: 'ten:1'}}}}, 9-a: {choices: {x: {kubespawner_override: {image: 'nine:1'}}}}}}]\n",
            &["pool=a: ten:1"],
        ),
        // A choice without an image leaves the one before.
        (
            "  profileList: [{kubespawner_override: {image: 'p:1'}, profile_options: {i: {choices: {x: {kubespawner_override: {image: 'x:1'}}, y: {}}}}}]\n",
            &["pool=a: p:1 x:1"],
        ),
        // extra_pod_config and extra_container_config replace whole fields, camelCase or snake_case.
        (
            "  extraPodConfig: {nodeSelector: {b: c}, initContainers: [{image: 'i:2'}]}\n",
            &["b=c: base:1 i:2"],
        ),
        ("  extraPodConfig: {node_selector: {b: c}, containers: [{image: 'only:1'}]}\n", &["b=c: only:1"]),
        (
            "  profileList: [{kubespawner_override: {extra_container_config: {image: 'c:1'}}}]\n",
            &["pool=a: c:1"],
        ),
        // Code's old names count there as well.
        (
            "hub: {config: {KubeSpawner: {singleuser_extra_container_config: {image: 'old:1'}}}}\n",
            &["pool=a: old:1"],
        ),
        // hub.config.KubeSpawner replaces singleuser.*, the class Spawner does not.
        ("hub: {config: {KubeSpawner: {image: 'k:1', node_selector: {b: c}}}}\n", &["b=c: k:1"]),
        (
            "hub: {config: {Spawner: {image: 's:1'}, DockerSpawner: {image: 'd:1'}, MyKubeSpawner: {image: 'm:1'}}}\n",
            &["pool=a: m:1"],
        ),
        (
            "hub: {config: {KubeSpawner: {profile_list: {b: {kubespawner_override: {image: 'b:1'}}}}}}\n",
            &["pool=a: b:1"],
        ),
        // An unlisted choice keeps what else it says.
        (
            "  initContainers: [{image: 'i:1'}]\n  profileList: [{profile_options: {i: {unlisted_choice: {enabled: true, kubespawner_override: {image: '{value}', node_selector: {b: c}}}}}}]\n",
            &["b=c,pool=a: i:1"],
        ),
        (
            "  profileList: [{profile_options: {i: {unlisted_choice: {enabled: true, kubespawner_override: {node_selector: {pool: '{value}'}}}}}}]\n",
            &[],
        ),
        (
            "  profileList: [{profile_options: {i: {unlisted_choice: {enabled: false, kubespawner_override: {image: 'no:1'}}}}}]\n",
            &["pool=a: base:1"],
        ),
        // Extra images go where today's pullers go, or where a pod with them lands.
        ("prePuller: {extraImages: {x: {name: x, tag: '1'}}}\n", &["pool=a: base:1 x:1"]),
        (
            "  profileList: [{kubespawner_override: {image: 'x:1', node_selector: {pool: b}}}]\nprePuller: {extraImages: {x: {name: docker.io/library/x, tag: '1'}, w: {name: w, tag: '1'}}}\n",
            &["pool=b: x:1", "pool=a: w:1"],
        ),
    ] {
        assert_eq!(placed(&format!("{BASE}{values}")), expected, "{values}");
    }
}

#[test]
fn policies_secrets_taints_and_resources_come_along() {
    let set = set_of(
        "imagePullSecret: {create: true}\nimagePullSecrets: [{name: one}]\nscheduling: {userPods: {nodeAffinity: {matchNodePurpose: require}}}\n\
         prePuller: {extraTolerations: [{key: gpu, operator: Exists}]}\n\
         singleuser:\n  image: {name: q/a, tag: '1', pullPolicy: Always, pullSecrets: [two]}\n  cloudMetadata: {blockWithIptables: off}\n\
         \x20 extraResource: {limits: {nvidia.com/gpu: '1', other.com/x: 0}}\n  extraTolerations: [{key: gpu, operator: Exists}]\n",
    )
    .unwrap();
    let image = &set.images[0];
    assert_eq!((image.image.as_str(), image.pull_policy.as_deref()), ("q/a:1", Some("Always")));
    assert_eq!(image.pull_secrets, ["image-pull-secret", "one", "two"]);
    assert_eq!(set.groups[0].placement.extended_resources, ["nvidia.com/gpu"]);
    assert_eq!(set.groups[0].placement.tolerations.len(), 3);
    assert_eq!(
        set.groups[0].placement.affinity[0]["matchExpressions"][0]["key"],
        "hub.jupyter.org/node-purpose"
    );
    assert_eq!(set.puller_tolerations.len(), 1);
    assert_eq!((image.places[0].file.as_str(), image.places[0].line), ("values.yaml", 6));
}

/// The listed images but for the defaults, and what is said of the rest.
fn told(values: &str) -> (Vec<String>, Vec<String>) {
    let set = set_of(values).unwrap_or_else(|error| panic!("{values}\n{error}"));
    let json = serde_json::to_string(&set).unwrap();
    assert!(!json.contains('\u{f8ff}'), "{values}: {json}");
    let own =
        |image: &&Image| !image.image.contains("k8s-network-tools") && !image.roles.contains(&Role::Pause);
    let line = |image: &Image| format!("{} in {}", image.image, image.groups.len());
    (set.images.iter().filter(own).map(line).collect(), unknown(values))
}

#[test]
fn images_without_a_known_place_are_listed_and_the_place_named() {
    let choice = "singleuser.profileList[0].profile_options.s.unlisted_choice.kubespawner_override";
    for (over, image, reason) in [
        (
            "node_selector: {pool: '{value}'}",
            "base:1 in 0",
            "node_selector.pool: unlisted_choice: node selector template '{value}'",
        ),
        (
            "node_selector: {'{value}': 'yes'}",
            "base:1 in 0",
            "node_selector.{value}: unlisted_choice: node selector template '{value}'",
        ),
        (
            "node_affinity_required: [{matchExpressions: [{key: pool, operator: In, values: ['p-{value}']}]}]",
            "base:1 in 0",
            "node_affinity_required[0].matchExpressions[0].values[0]: unlisted_choice: node affinity template 'p-{value}'",
        ),
        (
            "extra_resource_limits: {'{value}/gpu': 1}",
            "base:1 in 0",
            "extra_resource_limits.{value}/gpu: unlisted_choice: resource template '{value}/gpu'",
        ),
        (
            "extra_pod_config: {nodeName: '{value}'}",
            "base:1 in 0",
            "extra_pod_config.nodeName: unlisted_choice: node name template '{value}'",
        ),
        // A pod lands where no toleration is needed, too, and pulls what no secret is needed for.
        (
            "tolerations: [{key: team, value: '{value}'}, {key: x, operator: Exists}]",
            "base:1 in 1",
            "tolerations[0].value: unlisted_choice: toleration template '{value}'",
        ),
        (
            "image_pull_secrets: ['{value}']",
            "base:1 in 1",
            "image_pull_secrets[0]: unlisted_choice: pull secret template '{value}'",
        ),
    ] {
        let values = format!(
            "{BASE}  profileList: [{{profile_options: {{s: {{unlisted_choice: {{enabled: true, kubespawner_override: {{{over}}}}}}}}}}}]\n"
        );
        let said = vec![format!("{choice}.{reason}")];
        assert_eq!(told(&values), (vec![image.to_owned()], said), "{over}");
    }
    for over in
        ["mem_limit: '{value}'", "image_pull_policy: '{value}'", "extra_pod_config: {hostname: '{value}'}"]
    {
        let values = format!(
            "{BASE}  profileList: [{{profile_options: {{s: {{unlisted_choice: {{enabled: true, kubespawner_override: {{{over}}}}}}}}}}}]\n"
        );
        assert_eq!(told(&values), (vec!["base:1 in 1".to_owned()], vec![]), "{over}");
    }
    for (config, image, reason) in [
        (
            "nodeSelector: {user: '{username}'}",
            "base:1 in 0",
            &[
                "singleuser.extraPodConfig.nodeSelector.user: the node selector is another one for each user: `{username}`",
            ][..],
        ),
        (
            "tolerations: [{key: user, value: 'u-{username}'}]",
            "base:1 in 1",
            &[
                "singleuser.extraPodConfig.tolerations[0].value: the toleration is another one for each user: `u-{username}`",
            ],
        ),
        ("hostname: '{username}'", "base:1 in 1", &[]),
    ] {
        let values = format!("{BASE}  extraPodConfig: {{{config}}}\n");
        let reasons = reason.iter().map(|reason| (*reason).to_owned()).collect();
        assert_eq!(told(&values), (vec![image.to_owned()], reasons), "{config}");
    }
}

#[test]
fn resources_are_those_of_all_containers() {
    let gpu = "resources: {limits: {nvidia.com/gpu: 1}}";
    for (over, expected) in [
        (format!("extra_container_config: {{{gpu}}}"), &["nvidia.com/gpu"][..]),
        (
            format!("extra_resource_limits: {{a.b/c: 1}}, extra_container_config: {{{gpu}}}"),
            &["nvidia.com/gpu"],
        ),
        ("extra_resource_limits: {a.b/c: 1}, extra_container_config: {resources: {}}".to_owned(), &[]),
        // An override deletes what is null, so that nothing replaces the settings.
        (
            "extra_resource_limits: {a.b/c: 1}, extra_container_config: {resources: null}".to_owned(),
            &["a.b/c"],
        ),
        ("extra_resource_limits: {a.b/c: 1}, extra_container_config: {tty: true}".to_owned(), &["a.b/c"]),
        (format!("extra_containers: [{{image: 's:1', {gpu}}}]"), &["nvidia.com/gpu"]),
        (format!("init_containers: [{{image: 'i:1', {gpu}}}]"), &["nvidia.com/gpu"]),
        (
            format!(
                "extra_resource_limits: {{a.b/c: 1}}, extra_pod_config: {{containers: [{{image: 'c:1', {gpu}}}]}}"
            ),
            &["nvidia.com/gpu"],
        ),
        (
            "extra_containers: [{image: 's:1', resources: {requests: {a.b/c: 2, cpu: 1}}}]".to_owned(),
            &["a.b/c"],
        ),
        ("extra_containers: [{image: 's:1', resources: {limits: {a.b/c: 0}}}]".to_owned(), &[]),
    ] {
        let set = set_of(&format!("{BASE}  profileList: [{{kubespawner_override: {{{over}}}}}]\n")).unwrap();
        assert_eq!(set.groups.len(), 1, "{over}");
        assert_eq!(set.groups[0].placement.extended_resources, expected, "{over}");
    }
}

#[test]
fn a_node_by_name_is_required_beside_all_else() {
    let field = serde_json::json!([{"key": "metadata.name", "operator": "In", "values": ["n1"]}]);
    let set = set_of(&format!("{BASE}  extraPodConfig: {{nodeName: n1}}\n")).unwrap();
    assert_eq!(set.groups[0].placement.affinity, [serde_json::json!({"matchFields": field})]);
    let required = "{required: [{matchExpressions: [{key: a, operator: Exists}]}]}";
    let set = set_of(&format!("{BASE}  extraPodConfig: {{nodeName: n1}}\n  extraNodeAffinity: {required}\n"))
        .unwrap();
    let terms =
        serde_json::json!([{"matchExpressions": [{"key": "a", "operator": "Exists"}], "matchFields": field}]);
    assert_eq!(serde_json::json!(set.groups[0].placement.affinity), terms);
}

/// Z2JH's `get_name("image-pull-secret")`.
#[test]
fn the_charts_own_pull_secret_has_its_whole_name() {
    let create = "imagePullSecret: {create: true}\n";
    for (values, expected, notes) in [
        ("", "image-pull-secret", 0),
        ("fullnameOverride: ''\n", "image-pull-secret", 0),
        ("fullnameOverride: jh\n", "jh-image-pull-secret", 0),
        ("fullnameOverride: null\n", "image-pull-secret", 1),
    ] {
        let set = set_of(&format!("{create}{values}")).unwrap();
        assert_eq!(set.images[0].pull_secrets, [expected], "{values}");
        assert_eq!(set.notes.len(), notes, "{values}: {:?}", set.notes);
    }
    let set = set_of("jupyterhub: {imagePullSecret: {create: true}, fullnameOverride: jh}").unwrap();
    assert_eq!(set.images[0].pull_secrets, ["jh-image-pull-secret"]);
}

#[test]
fn an_image_in_two_places_says_what_they_have_in_common() {
    let set = set_of(
        "singleuser: {image: {name: a, tag: '1'}, nodeSelector: {zone: z}, profileList: [\
         {kubespawner_override: {node_selector: {pool: p}}}, {kubespawner_override: {node_selector: {pool: q}}}]}",
    )
    .unwrap();
    let image = &set.images[0];
    assert_eq!(image.groups, [0, 1]);
    assert_eq!(image.node_selector, [("zone".to_owned(), "z".to_owned())].into());
    assert_eq!(image.tolerations.len(), 2);
}

#[test]
fn files_defaults_and_wrappers_merge() {
    let files = |texts: &[&str]| {
        let files: Vec<ValuesFile> =
            texts.iter().enumerate().map(|(n, text)| ValuesFile::new(format!("{n}.yaml"), *text)).collect();
        let set = image_set(&files, &Options { z2jh_version: Some("3.3.8".to_owned()) }).unwrap();
        set.images.iter().map(|image| image.image.clone()).collect::<Vec<_>>().join(" ")
    };
    let (own, tools, pause) = (
        "quay.io/jupyterhub/k8s-singleuser-sample:3.3.8",
        "quay.io/jupyterhub/k8s-network-tools:3.3.8",
        "registry.k8s.io/pause:3.9",
    );
    for (texts, expected) in [
        (&[""][..], format!("{own} {tools} {pause}")),
        (
            &["singleuser: {image: {name: a}}", "singleuser: {image: {tag: b}}"],
            format!("a:b {tools} {pause}"),
        ),
        (&["jupyterhub: {singleuser: {image: {name: a, tag: b}}}"], format!("a:b {tools} {pause}")),
        // A null takes a default away: no tag, no tools.
        (
            &["singleuser: {image: {tag: null}, networkTools: null}"],
            format!("quay.io/jupyterhub/k8s-singleuser-sample {pause}"),
        ),
        (&["singleuser: {cloudMetadata: {blockWithIptables: no}}"], format!("{own} {pause}")),
        (
            &["scheduling: {userPlaceholder: {replicas: 2, image: {tag: '9'}}}"],
            format!("{own} {tools} {pause} registry.k8s.io/pause:9"),
        ),
    ] {
        assert_eq!(files(texts), expected, "{texts:?}");
    }
}
