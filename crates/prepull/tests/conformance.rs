//! The deployments of the conformance folder (`$PERIJOVE_SHARED/conformance/values`, default `../shared`): every
//! image found, none invented, each in the group of every node selector where it can land, what cannot be known
//! named. Deployments that were made for it stand in `fixtures/` too.

#![allow(clippy::unwrap_used, reason = "tests fail at once")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use perijove_prepull::{ImageSet, Options, Role, ValuesFile, image_set};

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
    placement(folder, &set, &mut faults);
    unknown(folder, &set, &mut faults);
    faults
}

fn placement(folder: &Path, set: &ImageSet, faults: &mut Vec<String>) {
    let text = std::fs::read_to_string(folder.join("placement.json")).unwrap();
    let entries: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let selector =
        |group: &perijove_prepull::Group| serde_json::to_value(&group.placement.node_selector).unwrap();
    let is_extra = |text: &str| {
        let image = set.images.iter().find(|image| image.normalized == text).unwrap();
        image.roles.contains(&Role::Extra) && !image.roles.contains(&Role::User)
    };
    for entry in &entries {
        let groups: Vec<_> =
            set.groups.iter().filter(|group| selector(group) == entry["nodeSelector"]).collect();
        let landed: BTreeSet<String> = groups.iter().flat_map(|g| &g.images).map(|i| normalized(i)).collect();
        let strings = entry["images"].as_array().unwrap().iter().map(|i| i.as_str().unwrap().to_owned());
        let wanted: BTreeSet<String> = strings.map(|image| normalized(&image)).collect();
        faults.extend(wanted.difference(&landed).map(|i| format!("{i} not at {}", entry["nodeSelector"])));
        let more = landed.difference(&wanted).filter(|image| !is_extra(image));
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
        if !known && !group.images.iter().all(|image| is_extra(&normalized(image))) {
            faults.push(format!("a group at {} that is none", selector(group)));
        }
    }
}

/// Which lines a reader of the values alone can know, and which images each of them is about.
fn unknown(folder: &Path, set: &ImageSet, faults: &mut Vec<String>) {
    for line in lines(folder, "unknowable.txt") {
        let outside =
            line.starts_with("dask-gateway:") || line.ends_with("encrypted values file(s) not read");
        let said =
            set.unknown.iter().any(|u| line == format!("{}: {}", u.source, u.reason) || line == u.reason);
        if !outside && !said {
            faults.push(format!("not named: {line}"));
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
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "shared_deployments: {why}");
        eprintln!("skipped: shared_deployments: {why}");
        return;
    }
    check_all(&root);
}
