//! Names: valid for anything a user writes, at most 63 characters, one for each set, none shared between releases.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::scene::{Scene, component, hook_job, hook_sets, of_kind};

const KEYS: &str = "
prePuller: {extraImages: {'Upper_case.and dots!': {name: a/x, tag: '1'}, '-': {name: a/y, tag: '1'}}}
singleuser:
  profileList:
  - slug: OFF
    profile_options:
      Image:
        choices:
          'Größe XL': {kubespawner_override: {image: 'a/l:1', node_selector: {pool: l}}}
          yes: {kubespawner_override: {image: 'a/s:1', node_selector: {pool: s}}}
";

fn names(objects: &[Value]) -> Vec<String> {
    objects
        .iter()
        .map(|object| {
            format!("{} {}", object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap())
        })
        .collect()
}

fn is_valid(name: &str) -> bool {
    let fine = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(fine)
}

#[test]
fn names_are_valid_and_no_two_are_alike() {
    let Some(scene) = Scene::new("names_are_valid_and_no_two_are_alike") else { return };
    let long = "a-release-with-a-name-of-fifty-three-characters-x-012";
    assert_eq!(long.len(), 53);
    let mut all = BTreeSet::new();
    for (release, namespace) in [
        ("hub", "jupyter"),
        ("hub", "other"),
        ("perijove", "jupyter"),
        (long, "jupyter"),
        (&long[..52], "jupyter"),
        ("a.b", "jupyter"),
        ("a-b", "jupyter"),
        ("1st", "jupyter"),
        ("a", "jupyter"),
        ("a-perijove", "jupyter"),
        ("a-perijove-hook", "jupyter"),
        ("perijove-a", "jupyter"),
        ("perijove-perijove", "jupyter"),
    ] {
        let values = scene.file("keys.yaml", &format!("{KEYS}scheduling: {{podPriority: {{enabled: true}}}}\nimagePullSecret: {{create: true, registry: r, username: u, password: p}}\n"));
        let mut command = scene.helm();
        command
            .args(["template", release])
            .arg(crate::scene::chart())
            .args(["-n", namespace, "-f"])
            .arg(values);
        command.args(["--set", "perijove.hook.countNodes=true"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let objects = crate::scene::objects(&String::from_utf8(output.stdout).unwrap());
        assert!(objects.len() > 20);
        for name in names(&objects) {
            assert!(is_valid(name.split_once(' ').unwrap().1), "{name}");
            let cluster = ["PriorityClass", "ClusterRole", "ClusterRoleBinding"]
                .contains(&name.split_once(' ').unwrap().0);
            let place = if cluster { "" } else { namespace };
            assert!(all.insert(format!("{place} {name}")), "{name} of {release} in {namespace} is taken");
        }
    }
}

/// What the user calls it.
#[test]
fn a_name_of_the_users_own_is_taken() {
    let Some(scene) = Scene::new("a_name_of_the_users_own_is_taken") else { return };
    for (own, expected) in [("warm", "warm-"), ("Warm_It", "pwarm-it-"), ("x".repeat(70).as_str(), "pxxx")] {
        let objects = scene.render(&[], &["--set", &format!("perijove.fullnameOverride={own}")]);
        for name in names(&objects) {
            let name = name.split_once(' ').unwrap().1;
            assert!(name.starts_with(expected) && is_valid(name), "{name}");
        }
    }
}

fn hook_names(objects: &[Value]) -> BTreeSet<String> {
    hook_sets(objects).iter().map(|set| set["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

fn kept_names(objects: &[Value]) -> BTreeSet<String> {
    let sets =
        of_kind(objects, "DaemonSet").into_iter().filter(|set| component(set) == "continuous-image-puller");
    sets.map(|set| set["metadata"]["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_changed_set_or_a_new_run_has_new_names() {
    let Some(scene) = Scene::new("a_changed_set_or_a_new_run_has_new_names") else { return };
    let first = scene.render(&["singleuser: {image: {name: a/b, tag: '1'}}"], &[]);
    let again = scene.render(&["singleuser: {image: {name: a/b, tag: '1'}}"], &[]);
    let changed = scene.render(&["singleuser: {image: {name: a/b, tag: '2'}}"], &[]);
    let run = scene.render(&["singleuser: {image: {name: a/b, tag: '1'}}"], &["--set", "perijove.runId=2"]);
    assert_eq!(names(&first), names(&again));
    for other in [&changed, &run] {
        assert!(hook_names(&first).is_disjoint(&hook_names(other)));
        assert_ne!(hook_job(&first)["metadata"]["name"], hook_job(other)["metadata"]["name"]);
        // The same place: an update, which lets old images go when the new ones are there.
        assert_eq!(kept_names(&first), kept_names(other));
    }
    let moved = scene.render(&["singleuser: {image: {name: a/b, tag: '1'}, nodeSelector: {pool: x}}"], &[]);
    assert!(kept_names(&first).is_disjoint(&kept_names(&moved)));
}

#[test]
fn selectors_match_their_pods_and_no_others() {
    let Some(scene) = Scene::new("selectors_match_their_pods_and_no_others") else { return };
    let objects = scene.render(&[KEYS, "hub: {labels: {app.kubernetes.io/name: stolen}}"], &[]);
    let sets = of_kind(&objects, "DaemonSet");
    assert!(sets.len() >= 4);
    let matches = |selector: &Value, labels: &Value| {
        selector.as_object().unwrap().iter().all(|(label, value)| labels[label] == *value)
    };
    for set in &sets {
        let selector = &set["spec"]["selector"]["matchLabels"];
        for other in &sets {
            let labels = &other["spec"]["template"]["metadata"]["labels"];
            let same = set["metadata"]["name"] == other["metadata"]["name"];
            assert_eq!(matches(selector, labels), same, "{selector} {labels}");
        }
    }
}
