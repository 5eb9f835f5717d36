//! The deployments of the conformance folder (`$PERIJOVE_SHARED/conformance/values`, default `../shared`): every
//! image found, none invented, each in the group of every node selector where it can land, what cannot be known
//! named and nothing else; policies, secrets and affinity as the values say. Deployments that were made for it stand
//! in `fixtures/` too.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use perijove_prepull::{ImageSet, Options, Role, Unknown, ValuesFile, image_set};
use serde_json::{Value, json};

fn lines(folder: &Path, name: &str) -> Vec<String> {
    std::fs::read_to_string(folder.join(name)).unwrap().lines().map(str::to_owned).collect()
}

/// As the set normalises: registry, `library/` and `:latest` written out.
fn normalized(image: &str) -> String {
    let reference: perijove_oci::Reference = image.parse().unwrap();
    let bare = reference.tag.is_none() && reference.digest.is_none();
    let mut text = reference.to_string();
    if let Some(rest) = text.strip_prefix("docker.io/")
        && !rest.contains('/')
    {
        text = format!("docker.io/library/{rest}");
    }
    if bare { format!("{text}:latest") } else { text }
}

fn all(lines: &[String]) -> BTreeSet<String> {
    lines.iter().map(|line| normalized(line)).collect()
}

fn check(folder: &Path) -> Vec<String> {
    let mut faults = Vec::new();
    let file = ValuesFile::open(&folder.join("values.yaml")).unwrap();
    let set = match image_set(&[file], &Options::default()) {
        Ok(set) => set,
        Err(error) => return vec![error.to_string()],
    };
    let found: BTreeSet<String> = set.images.iter().map(|image| image.normalized.clone()).collect();
    let (expected, optional) = (all(&lines(folder, "expected.txt")), all(&lines(folder, "optional.txt")));
    faults.extend(expected.difference(&found).map(|image| format!("missed {image}")));
    let invented = found.iter().filter(|image| !expected.contains(*image) && !optional.contains(*image));
    faults.extend(invented.map(|image| format!("invented {image}")));
    let text = std::fs::read_to_string(folder.join("values.yaml")).unwrap();
    let values: Value = serde_yaml_ng::from_str(&text).unwrap();
    placement(folder, &set, &values, &mut faults);
    unknown(folder, &set, &mut faults);
    alike(&text, &values, &set, &mut faults);
    faults
}

/// Whether an image is wanted by `prePuller.extraImages` alone: then it goes where today's pullers go.
fn is_extra(set: &ImageSet, text: &str) -> bool {
    let image = set.images.iter().find(|image| image.normalized == text).unwrap();
    image.roles.iter().all(|role| matches!(role, Role::Extra | Role::Pause | Role::Placeholder))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// What all pods have alike: secrets and required affinity; and the pull policies. Reckoned anew from the values,
/// where no override has a word in it.
fn alike(text: &str, values: &Value, set: &ImageSet, faults: &mut Vec<String>) {
    let (user, secret) = (&values["singleuser"], &values["imagePullSecret"]);
    if !text.contains("image_pull_secrets") {
        let mut wanted = Vec::new();
        if secret["create"] == true && secret["automaticReferenceInjection"] == true {
            wanted.push(Value::from("image-pull-secret"));
        }
        wanted.extend(list(&values["imagePullSecrets"]));
        wanted.extend(list(&user["image"]["pullSecrets"]));
        let name = |secret: Value| secret.get("name").cloned().unwrap_or(secret);
        let wanted: Vec<Value> = wanted.into_iter().map(name).collect();
        let other = set.groups.iter().filter(|group| json!(group.pull_secrets) != json!(wanted));
        faults.extend(other.map(|group| format!("secrets {:?}, not {wanted:?}", group.pull_secrets)));
    }
    if !text.contains("node_affinity_required") && !text.contains("affinity:\n          nodeAffinity") {
        let mut wanted = list(&user["extraNodeAffinity"]["required"]);
        if values["scheduling"]["userPods"]["nodeAffinity"]["matchNodePurpose"] == "require" {
            let purpose =
                json!({"key": "hub.jupyter.org/node-purpose", "operator": "In", "values": ["user"]});
            wanted.push(json!({"matchExpressions": [purpose]}));
        }
        let other = set.groups.iter().filter(|group| group.placement.affinity != wanted);
        faults.extend(other.map(|group| format!("affinity {:?}, not {wanted:?}", group.placement.affinity)));
    }
    let extra = values["prePuller"]["extraImages"].as_object().cloned().unwrap_or_default();
    for image in &set.images {
        let wanted = match image.roles.as_slice() {
            [Role::User] if !text.contains("image_pull_policy") => &user["image"]["pullPolicy"],
            [Role::Extra] => {
                let named = |image: &Value, text: &str| {
                    text == format!("{}:{}", image["name"].as_str().unwrap(), image["tag"].as_str().unwrap())
                };
                extra
                    .values()
                    .find(|one| named(one, &image.image))
                    .map_or(&Value::Null, |one| &one["pullPolicy"])
            }
            _ => continue,
        };
        if image.pull_policy.as_deref() != wanted.as_str() {
            faults.push(format!("{}: policy {:?}, not {wanted}", image.image, image.pull_policy));
        }
    }
}

fn placement(folder: &Path, set: &ImageSet, values: &Value, faults: &mut Vec<String>) {
    let text = std::fs::read_to_string(folder.join("placement.json")).unwrap();
    let entries: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let selector =
        |group: &perijove_prepull::Group| serde_json::to_value(&group.placement.node_selector).unwrap();
    // Where today's pullers go.
    let own = match &values["singleuser"]["nodeSelector"] {
        Value::Null => json!({}),
        own => own.clone(),
    };
    for entry in &entries {
        let groups: Vec<_> =
            set.groups.iter().filter(|group| selector(group) == entry["nodeSelector"]).collect();
        let landed: BTreeSet<String> = groups.iter().flat_map(|g| &g.images).map(|i| normalized(i)).collect();
        let strings = entry["images"].as_array().unwrap().iter().map(|i| i.as_str().unwrap().to_owned());
        let wanted: BTreeSet<String> = strings.map(|image| normalized(&image)).collect();
        faults.extend(wanted.difference(&landed).map(|i| format!("{i} not at {}", entry["nodeSelector"])));
        let extra = |image: &String| is_extra(set, image) && entry["nodeSelector"] == own;
        let more = landed.difference(&wanted).filter(|image| !extra(image));
        faults.extend(more.map(|i| format!("{i} needlessly at {}", entry["nodeSelector"])));
        for tolerations in entry["tolerations"].as_array().unwrap() {
            let tolerations = tolerations.as_array().unwrap();
            let same = |group: &&perijove_prepull::Group| {
                let own = &group.placement.tolerations;
                own.iter().all(|t| tolerations.contains(t)) && tolerations.iter().all(|t| own.contains(t))
            };
            if !groups.iter().any(same) {
                faults.push(format!("no group at {} with {tolerations:?}", entry["nodeSelector"]));
            }
        }
        let gpu = groups.iter().any(|group| !group.placement.extended_resources.is_empty());
        if gpu != entry["gpu"].as_bool().unwrap() {
            faults.push(format!("gpu {gpu} at {}", entry["nodeSelector"]));
        }
    }
    for group in &set.groups {
        let known = entries.iter().any(|entry| entry["nodeSelector"] == selector(group));
        let extra = selector(group) == own && group.images.iter().all(|i| is_extra(set, &normalized(i)));
        if !known && !extra {
            faults.push(format!("a group at {} that is none", selector(group)));
        }
    }
    for image in set.images.iter().filter(|image| image.roles == [Role::Extra]) {
        let places: Vec<_> = image.groups.iter().map(|group| selector(&set.groups[*group])).collect();
        if places.is_empty() || places.iter().any(|place| *place != own) {
            faults.push(format!("{} at {places:?}, not at {own}", image.image));
        }
    }
}

/// What cannot be known is named, each with its key path, and nothing else is.
fn unknown(folder: &Path, set: &ImageSet, faults: &mut Vec<String>) {
    let lines = lines(folder, "unknowable.txt");
    let says = |unknown: &Unknown, line: &str| {
        // These lines have the reason alone: a choice that is the user's own, and the chart beside.
        let place = match unknown.reason.split_once(": ") {
            Some(("unlisted_choice", rest)) => {
                let option = rest.split("option '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
                format!(".profile_options.{option}.unlisted_choice")
            }
            Some(("dask-gateway", _)) => "dask-gateway".to_owned(),
            _ => return line == format!("{}: {}", unknown.source, unknown.reason),
        };
        line == unknown.reason && unknown.source.ends_with(&place)
    };
    for line in &lines {
        // What stands in files that are not here: a reader of these values cannot know.
        let outside = line.ends_with("encrypted values file(s) not read")
            || (line.starts_with("dask-gateway:") && !set.unknown.iter().any(|u| u.source == "dask-gateway"));
        if !outside && !set.unknown.iter().any(|unknown| says(unknown, line)) {
            faults.push(format!("not named: {line}"));
        }
    }
    for unknown in &set.unknown {
        if !lines.iter().any(|line| says(unknown, line)) {
            faults.push(format!("named, but known: {}: {}", unknown.source, unknown.reason));
        }
    }
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn check_all(root: &Path) {
    let folders = folders(root);
    assert!(folders.len() >= 5, "{} is empty", root.display());
    let mut faults = Vec::new();
    for folder in folders {
        faults.extend(check(&folder).into_iter().map(|fault| format!("{}: {fault}", folder.display())));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn made_deployments() {
    check_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/values"));
}

#[test]
fn shared_deployments() {
    let shared = std::env::var_os("PERIJOVE_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let root = shared.join("conformance/values");
    if !root.is_dir() {
        let why =
            format!("no {}; set PERIJOVE_SHARED to the folder that holds conformance/values", root.display());
        return perijove_testkit::skip("shared_deployments", &why);
    }
    check_all(&root);
}
