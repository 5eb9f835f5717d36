//! The pods of the chart's pullers are those that `perijove warm` makes (crates/prepull/src/manifests.rs): field by field,
//! but for what is listed here.

use std::collections::BTreeMap;

use perijove_prepull::manifests::{Group, Mode, OWN_IMAGE, Puller};
use perijove_prepull::{Options, ValuesFile, image_set};
use serde_json::Value;

use crate::scene::{Scene, deployments, hook_sets, pod};

/// Fields that the chart's pods have and those of `perijove warm` have not, with the reason.
const OF_THE_CHART: [(&str, &str); 2] = [
    (
        "serviceAccountName",
        "an account that may carry a cloud identity; warm makes none and takes the default",
    ),
    ("priorityClassName", "scheduling.podPriority: the class is of the whole cluster, and warm makes none"),
];

/// The secret that the chart makes where values have a login; warm takes the hub's own, which is there.
const SECRETS: (&str, &str) = ("hub-perijove-pull-hook", "image-pull-secret");

/// All that a group can say, beside what deployments do.
const MADE: &str = "
imagePullSecrets: [one]
imagePullSecret: {create: true, registry: r.example.org, username: u, password: p}
scheduling: {podPriority: {enabled: true}}
prePuller: {extraTolerations: [{key: own, operator: Exists}]}
singleuser:
  image: {name: a/b, tag: '1', pullPolicy: Always}
  initContainers: [{image: 'init/it:1', imagePullPolicy: Never}]
  extraNodeAffinity: {required: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]}
  profileList:
  - {}
  - kubespawner_override: {image: 'gpu/gpu:1', node_selector: {pool: gpu}, extra_resource_limits: {nvidia.com/gpu: '1'}}
";

/// Without what is the same as not being there: an empty list, or an empty dictionary.
fn bare(pod: &Value) -> Value {
    let empty = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(serde_json::Map::is_empty)
    };
    pod.as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| !empty(value))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

#[test]
fn the_charts_pods_are_those_of_warm() {
    let test = "the_charts_pods_are_those_of_warm";
    let Some(scene) = Scene::new(test) else { return };
    let none = BTreeMap::new();
    let mut compared = 0;
    let mut of_the_chart: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, values) in deployments(test).into_iter().chain([("made".to_owned(), MADE.to_owned())]) {
        let set = image_set(&[ValuesFile::new(&*name, &*values)], &Options::default()).unwrap();
        let groups = Group::of(&set);
        for (word, mode) in [("image-volumes", Mode::ImageVolumes), ("noop", Mode::Noop)] {
            let settings = format!("perijove.order=values,perijove.mode={word}");
            let objects = scene.render(&[&values], &["--set", &settings]);
            let sets = hook_sets(&objects);
            assert_eq!(sets.len(), groups.len(), "{name}");
            for (set, group) in sets.into_iter().zip(&groups) {
                let puller = Puller {
                    name: "warm",
                    labels: &none,
                    annotations: &none,
                    group,
                    only: &[],
                    mode,
                    own_image: OWN_IMAGE,
                };
                let mut found = bare(pod(set).unwrap());
                for (field, _) in OF_THE_CHART {
                    let had = found.as_object_mut().unwrap().remove(field).is_some();
                    *of_the_chart.entry(field).or_default() += usize::from(had);
                }
                for secret in
                    found.get_mut("imagePullSecrets").and_then(Value::as_array_mut).into_iter().flatten()
                {
                    if secret["name"] == SECRETS.0 {
                        secret["name"] = SECRETS.1.into();
                    }
                }
                let text = |value: &Value| serde_json::to_string_pretty(value).unwrap();
                assert_eq!(text(&found), text(&bare(&puller.pod())), "{name}, {word}");
                assert_eq!(set["spec"]["updateStrategy"], puller.daemon_set()["spec"]["updateStrategy"]);
                compared += 1;
            }
        }
    }
    assert!(compared > 20, "{compared}");
    assert!(
        of_the_chart.values().all(|count| *count > 0),
        "a difference that is none any more: {of_the_chart:?}"
    );
}
