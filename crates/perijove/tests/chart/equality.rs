//! The chart's image set is what `perijove images` says: the same images in the same groups, in the same order, with
//! the same policies and secrets.

use perijove_prepull::{ImageSet, Options, ValuesFile, image_set};
use serde_json::{Value, json};

use crate::scene::{Scene, component, deployments, hook_sets, of_kind, pod};

/// A secret of the chart's own stands for the one that Zero to JupyterHub makes.
const MADE: &str = "hub-perijove-pull-hook";

/// What the pullers of a set have to be, group by group.
pub fn wanted(set: &ImageSet, makes_secret: bool) -> Vec<Value> {
    let policy = |image: &String| {
        set.images.iter().find(|known| known.image == *image).and_then(|known| known.pull_policy.clone())
    };
    let group = |group: &perijove_prepull::Group| {
        let place = &group.placement;
        let mut tolerations = place.tolerations.clone();
        tolerations.extend(set.puller_tolerations.iter().cloned());
        tolerations
            .extend(place.extended_resources.iter().map(|name| json!({"key": name, "operator": "Exists"})));
        for taint in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            tolerations.push(json!({"key": taint, "operator": "Exists"}));
        }
        let mut once: Vec<Value> = Vec::new();
        for toleration in tolerations {
            if !once.contains(&toleration) {
                once.push(toleration);
            }
        }
        let images: Vec<Value> = group.images.iter().map(|image| json!([image, policy(image)])).collect();
        let secret = |name: &String| {
            if makes_secret && name.ends_with("image-pull-secret") { MADE } else { name }.to_owned()
        };
        json!({
            "selector": place.node_selector,
            "tolerations": once,
            "affinity": place.affinity,
            "images": images,
            "secrets": group.pull_secrets.iter().map(secret).collect::<Vec<_>>(),
        })
    };
    set.groups.iter().map(group).collect()
}

/// The same of a rendered DaemonSet.
pub fn found(set: &Value) -> Value {
    let pod = pod(set).unwrap();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let volume = |name: &Value| list(&pod["volumes"]).into_iter().find(|volume| volume["name"] == *name);
    let image = |container: &Value| {
        let mounted = volume(&container["name"]).map(|volume| volume["image"].clone());
        match mounted {
            Some(source) => json!([source["reference"], source["pullPolicy"]]),
            None => json!([container["image"], container["imagePullPolicy"]]),
        }
    };
    let terms = &pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    json!({
        "selector": pod.get("nodeSelector").cloned().unwrap_or_else(|| json!({})),
        "tolerations": pod["tolerations"],
        "affinity": list(&terms["nodeSelectorTerms"]),
        "images": list(&pod["containers"]).iter().map(image).collect::<Vec<_>>(),
        "secrets": list(&pod["imagePullSecrets"]).iter().map(|s| s["name"].clone()).collect::<Vec<_>>(),
    })
}

/// Where chart and `perijove images` differ, for values on which both agree that they can be read.
pub fn differences(scene: &Scene, values: &[&str], flags: &[&str]) -> Option<String> {
    let files: Vec<ValuesFile> =
        values.iter().enumerate().map(|(n, text)| ValuesFile::new(format!("{n}"), *text)).collect();
    let set = image_set(&files, &Options::default()).unwrap();
    let makes_secret = values.iter().any(|text| text.contains("password:"));
    let mut all = vec!["--set", "perijove.order=values"];
    all.extend(flags);
    let objects = scene.render(values, &all);
    let rendered: Vec<Value> = hook_sets(&objects).into_iter().map(found).collect();
    let wanted = wanted(&set, makes_secret);
    (rendered != wanted).then(|| {
        let text = |value: &[Value]| serde_json::to_string_pretty(value).unwrap();
        format!("the chart:\n{}\nperijove images:\n{}", text(&rendered), text(&wanted))
    })
}

#[test]
fn every_deployment_gives_the_same_set() {
    let Some(scene) = Scene::new("every_deployment_gives_the_same_set") else { return };
    for (name, values) in deployments("every_deployment_gives_the_same_set") {
        for version in ["1.30.0", "1.36.0"] {
            let differences = differences(&scene, &[&values], &["--kube-version", version]);
            assert!(differences.is_none(), "{name}: {}", differences.unwrap());
        }
    }
}

/// Below `jupyterhub:`, as a wrapping chart's file has them, and two levels down.
#[test]
fn values_of_wrapping_charts_give_the_same_set() {
    let Some(scene) = Scene::new("values_of_wrapping_charts_give_the_same_set") else { return };
    for (name, values) in deployments("values_of_wrapping_charts_give_the_same_set") {
        let below = |key: &str, text: &str| {
            let lines: Vec<String> = text.lines().map(|line| format!("  {line}\n")).collect();
            format!("{key}:\n{}", lines.concat())
        };
        let wrapped = below("jupyterhub", &values);
        for text in [wrapped.clone(), below("basehub", &wrapped)] {
            let differences = differences(&scene, &[&text], &[]);
            assert!(differences.is_none(), "{name}: {}", differences.unwrap());
        }
    }
}

/// The continuous pullers keep what the hook pulls.
#[test]
fn continuous_pullers_are_of_the_same_set() {
    let Some(scene) = Scene::new("continuous_pullers_are_of_the_same_set") else { return };
    for (name, values) in deployments("continuous_pullers_are_of_the_same_set") {
        let objects = scene.render(&[&values], &[]);
        let text = |set: &&Value| found(set).to_string().replace("-pull-continuous", "-pull-hook");
        let mut hook: Vec<String> = hook_sets(&objects).iter().map(text).collect();
        let sets = of_kind(&objects, "DaemonSet");
        let mut kept: Vec<String> =
            sets.iter().filter(|set| component(set) == "continuous-image-puller").map(text).collect();
        hook.sort();
        kept.sort();
        assert!(!hook.is_empty());
        assert_eq!(hook, kept, "{name}");
    }
}

/// What a reader of values must get right, one rule a row.
const RULES: [&str; 58] = [
    "",
    "singleuser: {image: {name: a/b, tag: '3'}}",
    "singleuser: {image: {name: a/b, tag: null}}",
    "singleuser: {networkTools: null}",
    "singleuser: {image: null}",
    "singleuser: {cloudMetadata: {blockWithIptables: no}}",
    "singleuser: {networkTools: {image: {pullPolicy: Always}}}",
    "singleuser: {image: {name: docker.io/library/python}, initContainers: [{image: 'python:latest'}, {image: python}]}",
    "singleuser: {nodeSelector: {a: 1, b: yes, c: text, d: 1000000, e: null}}",
    "singleuser: {extraTolerations: [{key: a, operator: Exists}], extraNodeAffinity: {required: [{matchExpressions: [{key: x, operator: Exists}]}]}}",
    "scheduling: {userPods: {tolerations: null, nodeAffinity: {matchNodePurpose: require}}}",
    "singleuser: {storage: {extraVolumes: [{name: v, image: {reference: 'a/vol:1', pullPolicy: Always}}]}}",
    "singleuser: {extraPodConfig: {nodeSelector: {p: q}, tolerations: [], initContainers: [{image: 'x/y:1'}]}}",
    "singleuser: {extraPodConfig: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: z, operator: Exists}]}]}}}}}",
    "singleuser: {extraPodConfig: {containers: [{image: 'only/this:1'}], image_pull_secrets: [{name: s}]}}",
    "singleuser: {extraResource: {limits: {nvidia.com/gpu: '1'}, guarantees: {amd.com/gpu: 0, cpu: 2}}}",
    "singleuser: {initContainers: {b: {image: 'b/b:1'}, a: {image: 'a/a:1'}}}",
    "imagePullSecrets: [one, {name: two}]\nsingleuser: {image: {pullSecrets: [three]}}",
    "hub: {config: {KubeSpawner: {image: 'k/k:1', node_selector: {pool: k}, extra_containers: [{image: 'side/car:1', imagePullPolicy: Always}]}}}",
    "hub: {config: {Spawner: {image: 'weak/weak:1'}, KubeSpawner: {image_spec: 'old/old:1', singleuser_node_selector: {old: name}}, BinderSpawner: {image: 'last/last:1'}}}",
    "hub: {config: {KubeSpawner: {node_selector: null, profile_list: [{kubespawner_override: {image: 'p/p:1'}}]}}}",
    "singleuser: {profileList: [{kubespawner_override: {image: null, node_selector: {a: null, b: c}}}], nodeSelector: {a: x, d: e}}",
    "singleuser: {profileList: [{profile_options: {10-x: {choices: {a: {kubespawner_override: {image: 'ten/x:1'}}}}, 9-x: {choices: {a: {kubespawner_override: {image: 'nine/x:1'}}}}}}]}",
    "singleuser: {profileList: [{profile_options: {1a: {choices: {a: {kubespawner_override: {image: 'one-a/x:1'}}}}, '10': {choices: {a: {kubespawner_override: {image: 'ten/x:1'}}}}}}]}",
    "singleuser: {profileList: [{profile_options: {a1b: {choices: {a: {kubespawner_override: {image: 'letter/x:1'}}}}, a10: {choices: {a: {kubespawner_override: {image: 'ten/x:1'}}}}}}]}",
    "singleuser: {profileList: [{profile_options: {é: {choices: {a: {kubespawner_override: {image: 'accent/x:1'}}}}, '100': {choices: {a: {kubespawner_override: {image: 'hundred/x:1'}}}}, '09': {choices: {a: {kubespawner_override: {image: 'nine/x:1'}}}}}}]}",
    "singleuser: {profileList: [{profile_options: {i: {choices: {}, unlisted_choice: {enabled: true, kubespawner_override: {image: '{value}'}}}, s: {choices: {s: {kubespawner_override: {node_selector: {size: s}}}, l: {kubespawner_override: {node_selector: {size: l}}}}}}}]}",
    "singleuser: {profileList: [{profile_options: {s: {unlisted_choice: {enabled: true, kubespawner_override: {node_selector: {size: '{value}'}}}}}}]}",
    "singleuser: {initContainers: [{image: 'home/{username}:1'}, {image: 'ENC[x]'}]}",
    "prePuller: {extraImages: {e: {name: ex/tra, tag: '1', pullPolicy: Always}, n: null}, extraTolerations: [{key: p, operator: Exists}]}",
    "prePuller: {extraImages: {e: {name: gpu/one, tag: '1'}}}\nsingleuser: {nodeSelector: {c: d}, profileList: [{kubespawner_override: {image: 'gpu/one:1', node_selector: {c: gpu}}}]}",
    "small: {singleuser: {nodeSelector: {s: s}}}\nlarge: {singleuser: {nodeSelector: {l: l}}}",
    "singleuser: {nodeSelector: {c: d}, initContainers: [{image: 'i/i:1'}], profileList: [{}, {profile_options: {s: {unlisted_choice: {enabled: true, kubespawner_override: {node_selector: {'{value}': x}, image: 'a/b:1'}}}}}, {kubespawner_override: {image: 'last/one:1'}}]}",
    "singleuser: {nodeSelector: {c: d}, initContainers: [{image: 'i/i:1'}], profileList: [{}, {profile_options: {s: {unlisted_choice: {enabled: true, kubespawner_override: {tolerations: [{key: k, value: '{value}'}, {key: x, operator: Exists}]}}}}}, {kubespawner_override: {image: 'last/one:1'}}]}",
    "singleuser: {nodeSelector: {c: d}, initContainers: [{image: 'i/i:1'}], profileList: [{}, {profile_options: {s: {unlisted_choice: {enabled: true, kubespawner_override: {node_affinity_required: [{matchExpressions: [{key: '{value}', operator: Exists}]}], image: 'a/b:1'}}}}}, {kubespawner_override: {image: 'last/one:1'}}]}",
    "singleuser: {nodeSelector: {c: d}, initContainers: [{image: 'i/i:1'}], profileList: [{}, {profile_options: {s: {unlisted_choice: {enabled: true, kubespawner_override: {extra_resource_limits: {'{value}/gpu': 1}, image: 'a/b:1'}}}}}, {kubespawner_override: {image: 'last/one:1'}}]}",
    "singleuser: {nodeSelector: {c: d}, initContainers: [{image: 'i/i:1'}], profileList: [{}, {profile_options: {s: {unlisted_choice: {enabled: true, kubespawner_override: {image_pull_secrets: [one, '{value}'], image_pull_policy: '{value}'}}}}}, {kubespawner_override: {image: 'last/one:1'}}]}",
    "singleuser: {nodeSelector: {c: d}, initContainers: [{image: 'i/i:1'}], profileList: [{}, {profile_options: {s: {unlisted_choice: {enabled: true, kubespawner_override: {extra_pod_config: {nodeName: '{value}', hostname: h}}}}}}, {kubespawner_override: {image: 'last/one:1'}}]}",
    "singleuser: {extraPodConfig: {nodeSelector: {user: '{username}'}}, profileList: [{}, {kubespawner_override: {extra_pod_config: {nodeSelector: null}}}]}",
    "singleuser: {extraPodConfig: {tolerations: [{key: u, value: '{username}'}, {key: x, operator: Exists}], imagePullSecrets: [{name: '{username}'}, {name: s}], hostname: '{username}'}}",
    "singleuser: {extraPodConfig: {nodeName: n1}, extraNodeAffinity: {required: [{matchExpressions: [{key: a, operator: Exists}]}, {matchFields: [{key: metadata.name, operator: NotIn, values: [n2]}]}]}}",
    "singleuser: {extraPodConfig: {node_name: n1}}",
    "singleuser: {profileList: [{kubespawner_override: {extra_container_config: {resources: {limits: {nvidia.com/gpu: 1}}}}}, {}]}",
    "singleuser: {extraResource: {limits: {a.b/c: 1}}, profileList: [{kubespawner_override: {extra_container_config: {resources: {}}}}, {kubespawner_override: {extra_container_config: {tty: true}}}]}",
    "singleuser: {extraContainers: [{image: 's/s:1', resources: {requests: {a.b/c: 2, cpu: 1}}}], initContainers: {i: {image: 'i/i:1', resources: {limits: {d.e/f: '1', g.h/i: '0'}}}}}",
    "singleuser: {extraResource: {limits: {a.b/c: 1}}, extraPodConfig: {containers: [{image: 'c/c:1', resources: {limits: {d.e/f: 1}}}]}}",
    "singleuser: {image: {name: a/b, tag: '1'}, extraContainers: [{image: 'a/b:1', imagePullPolicy: Never}]}",
    "singleuser: {image: {name: a/b, tag: '1', pullPolicy: Never}, extraContainers: [{image: 'a/b:1'}]}",
    "singleuser: {image: {name: a/b, tag: '1', pullPolicy: Never}}",
    "singleuser: {image: {name: a/b, tag: latest}, extraContainers: [{image: a/b, imagePullPolicy: IfNotPresent}]}",
    "singleuser: {image: {name: a/b, tag: latest, pullPolicy: IfNotPresent}}",
    "hub: {config: {KubeSpawner: {singleuser_extra_container_config: {image: 'old/old:1'}}}}",
    "hub: {singleuser: {image: {name: a/b, tag: '1'}}}",
    "hub: {jupyterhub: {singleuser: {image: {name: a/b, tag: '1'}}}}",
    "hub: {jupyterhub: {hub: {}}, config: {}}",
    "fullnameOverride: jh\nimagePullSecret: {create: true, registry: r.io, username: u, password: p}",
    "singleuser: {image: {pullPolicy: Always}, profileList: [{kubespawner_override: {extra_container_config: {image: 'a/d:1', image_pull_policy: ''}}}]}",
    "singleuser: {profileList: [{kubespawner_override: {init_containers: [], volumes: {v: {name: v, image: {reference: 'v/v:1'}}}, extra_container_config: {image: 'ecc/ecc:1', imagePullPolicy: IfNotPresent}}}]}",
];

#[test]
fn each_rule_gives_the_same_set() {
    let Some(scene) = Scene::new("each_rule_gives_the_same_set") else { return };
    for values in RULES {
        let differences = differences(&scene, &[values], &[]);
        assert!(differences.is_none(), "{values}: {}", differences.unwrap());
    }
}

#[test]
fn several_files_merge_as_helm_merges_them() {
    let Some(scene) = Scene::new("several_files_merge_as_helm_merges_them") else { return };
    let (base, over) = (
        "singleuser: {image: {name: a/a, tag: '1'}, nodeSelector: {x: y, z: z}, profileList: [{}, {}]}",
        "singleuser: {image: {tag: '2'}, nodeSelector: {x: null}, profileList: [{kubespawner_override: {image: 'b/b:1'}}]}",
    );
    let differences = differences(&scene, &[base, over], &[]);
    assert!(differences.is_none(), "{}", differences.unwrap());
}

/// What code says plainly is read by both.
#[test]
fn plain_code_gives_the_same_set() {
    let Some(scene) = Scene::new("plain_code_gives_the_same_set") else { return };
    for code in [
        "c.KubeSpawner.image = 'a/b:1'",
        "c.KubeSpawner.image = \"a/b:1\"  # ours\n# c.KubeSpawner.image = 'no/no:1'",
        "c.Spawner.image = 'weak/weak:1'",
        "c.DockerSpawner.image = 'other/other:1'",
        "def f(spawner):\n    spawner.image = 'by/hook:1'\nc.KubeSpawner.pre_spawn_hook = f",
        "def f(s, pod):\n    pod.spec.containers.append({'name': 'x', 'image': 'side/car:1'})\nc.KubeSpawner.modify_pod_hook = f",
        "c.KubeSpawner.init_containers.append({'image': 'more/init:1', 'name': 'x'})",
        "x = make(name='y', image='made/by:1')",
        "x = make(image=f'not/{this}:1')\ny = {'image': name}",
        // Perhaps run: the image may be needed, and so may the one that it would replace.
        "if x:\n    c.KubeSpawner.image = 'q/x:1'",
        "if x:\n    c.Spawner.image = 'q/x:1'\n    c.DockerSpawner.image = 'q/y:1'",
        // Text is no code.
        "\"\"\"{'image': 'q/doc:1'}\"\"\"\nx = 1",
        "def f():\n    '''\n    c.KubeSpawner.image = 'q/doc:1'\n    '''\n    spawner.image = 'q/x:1'",
        "'''\nc.KubeSpawner.image = 'q/doc:1'\n'''",
        "usage = \"{'image': 'q/doc:1'}\"",
        "usage = '{\\'image\\': \"q/doc:1\"}'",
        "y = 1  # {'image': 'q/old:1'}",
        "y = {'image': 'q/x:1'}  # was 'q/old:1', {'image': 'q/older:1'}",
        "c.KubeSpawner.image = 'q/x:1'  # was 'q/old:1'",
        "y = f('#', image='q/x:1')  # '",
        "y = 'an open text\nz = {'image': 'q/x:1'}",
        "y = {'text': \"it's\", 'image': 'q/x:1'}",
    ] {
        let lines: Vec<String> = code.lines().map(|line| format!("      {line}\n")).collect();
        let values = format!("hub:\n  extraConfig:\n    a: |\n{}", lines.concat());
        let differences = differences(&scene, &[&values], &[]);
        assert!(differences.is_none(), "{code}: {}", differences.unwrap());
    }
}

/// What `perijove images` reads in code and the chart does not: exactly this. `perijove.imageSet` brings it in.
#[test]
fn what_only_perijove_images_reads_is_handed_over() {
    let test = "what_only_perijove_images_reads_is_handed_over";
    let Some(scene) = Scene::new(test) else { return };
    for code in [
        "c.KubeSpawner.node_selector = {'pool': 'code'}",
        "c.KubeSpawner.profile_list = [{'kubespawner_override': {'image': 'by/code:1'}}]",
        "IMAGE = 'by/name:1'\nc.KubeSpawner.image = IMAGE",
        "c.KubeSpawner.image = (\n  'two/lines:1'\n)",
        "if x: c.KubeSpawner.image = 'by/header:1'",
        "c.KubeSpawner.image = 'first/one:1'; x = 1",
        "c.KubeSpawner.image = '''three/quotes:1'''",
    ] {
        let lines: Vec<String> = code.lines().map(|line| format!("      {line}\n")).collect();
        let values = format!("hub:\n  extraConfig:\n    a: |\n{}", lines.concat());
        assert!(differences(&scene, &[&values], &[]).is_some(), "the chart reads this now: {code}");
        let set = image_set(&[ValuesFile::new("v", values.as_str())], &Options::default()).unwrap();
        let given = json!({"perijove": {"imageSet": set, "order": "values"}}).to_string();
        let objects = scene.render(&[&values, &given], &[]);
        let rendered: Vec<Value> = hook_sets(&objects).into_iter().map(found).collect();
        assert_eq!(rendered, wanted(&set, false), "{code}");
    }
}

#[test]
fn the_defaults_are_those_of_perijove_images() {
    for name in ["releases.tsv", "values.yaml"] {
        let read = |folder: &str| {
            std::fs::read_to_string(crate::scene::workspace().join(folder).join(name)).unwrap()
        };
        let own = read("crates/prepull/src/imageset/defaults");
        assert!(own == read("charts/perijove/z2jh"), "copy {name} into charts/perijove/z2jh");
    }
}

#[test]
fn the_release_whose_defaults_hold_is_settable() {
    let Some(scene) = Scene::new("the_release_whose_defaults_hold_is_settable") else { return };
    for (version, expected) in [("3.3.8", "3.3.8"), ("v4.3", "4.3.5"), ("2", "2.0.0")] {
        let objects = scene.render(&[], &["--set-string", &format!("perijove.z2jhVersion={version}")]);
        let images = found(hook_sets(&objects)[0])["images"].to_string();
        assert!(images.contains(&format!("k8s-singleuser-sample:{expected}")), "{version}: {images}");
    }
    let said = scene.try_render(&[], &["--set-string", "perijove.z2jhVersion=1.2.0"]).unwrap_err();
    assert!(said.contains("no release 1.2.0 of Zero to JupyterHub is known; known are 2.0.0"), "{said}");
}
