//! Real hubs' values: which of their images a hook knows of, and which pools of nodes it brings them to. Of today's
//! hook by its rule: these keys, and one DaemonSet with singleuser's node selector.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use perijove_prepull::{ImageSet, Options, ValuesFile, image_set};
use serde_json::Value;

use super::table::Row;

/// Where the conformance values are.
pub fn folder() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    std::env::var_os("PERIJOVE_SHARED").map_or_else(beside, PathBuf::from).join("conformance/values")
}

#[derive(Default)]
struct Count {
    images: usize,
    pools: usize,
}

/// Counts over every deployment of a folder.
pub fn rows(folder: &Path) -> Vec<Row> {
    let [mut all, mut today, mut ours] = [Count::default(), Count::default(), Count::default()];
    let mut hubs = 0;
    for hub in std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()) {
        let file = ValuesFile::open(&hub.join("values.yaml")).unwrap();
        let text = file.text.clone();
        let set = image_set(&[file], &Options::default()).unwrap();
        let expected = std::fs::read_to_string(hub.join("expected.txt")).unwrap();
        let expected: BTreeSet<String> = expected.lines().map(normal).collect();
        let known = |rule: &dyn Fn(&str) -> bool| {
            let found = set.images.iter().filter(|one| one.sources.iter().any(|source| rule(source)));
            found.map(|one| normal(&one.normalized)).filter(|image| expected.contains(image)).count()
        };
        all.images += expected.len();
        ours.images += known(&|_| true);
        today.images += known(&reads);
        let places = std::fs::read(hub.join("placement.json")).unwrap();
        let places: Vec<Value> = serde_json::from_slice(&places).unwrap();
        let selector = selector(&text);
        all.pools += places.len();
        today.pools += places.iter().filter(|place| lands(&selector, &place["nodeSelector"])).count();
        ours.pools += places.iter().filter(|place| reaches(&set, place)).count();
        hubs += 1;
    }
    let row = |what: &str, today: usize, ours: usize, all: usize| Row {
        what: format!("{what} of {hubs} deployments' values"),
        today: format!("{today} of {all}"),
        ours: format!("{ours} of {all}"),
        goal: "all",
        met: ours == all,
    };
    vec![
        row("images known", today.images, ours.images, all.images),
        row("pools of nodes reached", today.pools, ours.pools, all.pools),
    ]
}

/// Whether today's chart looks at a key path for images.
fn reads(path: &str) -> bool {
    let starts = [
        "singleuser.image",
        "singleuser.networkTools.image",
        "singleuser.initContainers",
        "singleuser.extraContainers",
        "prePuller.extraImages",
        "prePuller.pause.image",
    ];
    let of_profile =
        path.starts_with("singleuser.profileList") && path.ends_with(".kubespawner_override.image");
    of_profile || starts.iter().any(|start| path.starts_with(start))
}

/// `singleuser.nodeSelector` of values that are the chart's own.
fn selector(text: &str) -> Value {
    let values: Value = serde_yaml_ng::from_str(text).unwrap();
    values["singleuser"]["nodeSelector"].clone()
}

/// Whether pods with a node selector land on nodes of a pool: taints aside, to today's favour.
fn lands(selector: &Value, pool: &Value) -> bool {
    selector.as_object().is_none_or(|all| all.iter().all(|(key, value)| pool[key] == *value))
}

/// Whether a pool has a group with all of its images.
fn reaches(set: &ImageSet, place: &Value) -> bool {
    let wanted = place["images"].as_array().unwrap().iter().filter_map(Value::as_str).map(normal);
    let here = |group: &&perijove_prepull::Group| {
        serde_json::to_value(&group.placement.node_selector).is_ok_and(|own| own == place["nodeSelector"])
    };
    let landed: BTreeSet<String> =
        set.groups.iter().filter(here).flat_map(|group| &group.images).map(|image| normal(image)).collect();
    wanted.into_iter().all(|image| landed.contains(&image))
}

/// Equal for equal images: with the registry and the tag that are meant when there is none.
fn normal(image: &str) -> String {
    let first = image.split('/').next().unwrap_or_default();
    let has_registry = image.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let image = match (has_registry, image.contains('/')) {
        (true, _) => image.to_owned(),
        (false, true) => format!("docker.io/{image}"),
        (false, false) => format!("docker.io/library/{image}"),
    };
    let last = image.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) { image } else { format!("{image}:latest") }
}
