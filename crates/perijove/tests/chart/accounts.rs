//! Who may do what: pullers nothing, the awaiter exactly what it reads and what belongs to its own run.

use serde_json::{Value, json};

use crate::scene::{Scene, chart, component, hook_job, hook_sets, of_kind, pod};

const VALUES: &str =
    "singleuser: {profileList: [{}, {kubespawner_override: {image: 'a/gpu:1', node_selector: {pool: gpu}}}]}";

#[test]
fn the_awaiter_may_read_and_change_its_own_run_alone() {
    let Some(scene) = Scene::new("the_awaiter_may_read_and_change_its_own_run_alone") else { return };
    let objects = scene.render(&[VALUES], &[]);
    let roles: Vec<&Value> = of_kind(&objects, "Role")
        .into_iter()
        .filter(|role| component(role) == "hook-image-awaiter")
        .collect();
    let [role] = roles.as_slice() else { panic!("{roles:?}") };
    let name = &role["metadata"]["name"];
    let sets: Vec<&Value> = hook_sets(&objects).iter().map(|set| &set["metadata"]["name"]).collect();
    assert_eq!(sets.len(), 2);
    let reads = json!(["get", "list", "watch"]);
    let expected = json!([
        {"apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": reads},
        {"apiGroups": [""], "resources": ["pods"], "verbs": reads},
        {"apiGroups": [""], "resources": ["events"], "verbs": reads},
        {"apiGroups": [""], "resources": ["events"], "verbs": ["create"]},
        {"apiGroups": ["apps"], "resources": ["daemonsets"], "resourceNames": sets, "verbs": ["delete"]},
        {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"], "resourceNames": [name], "verbs": ["patch", "delete"]},
        {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [name], "verbs": ["patch", "delete"]},
    ]);
    assert_eq!(role["rules"], expected);
    assert!(
        of_kind(&objects, "ClusterRole").is_empty() && of_kind(&objects, "ClusterRoleBinding").is_empty()
    );
}

/// It says what it finds in its own words, and deletes nothing.
#[test]
fn the_test_may_read_alone() {
    let Some(scene) = Scene::new("the_test_may_read_alone") else { return };
    let objects = scene.render(&[VALUES], &[]);
    let roles = of_kind(&objects, "Role");
    let role = roles.into_iter().find(|role| component(role) == "test-image-awaiter").unwrap();
    for rule in role["rules"].as_array().unwrap() {
        assert_eq!(rule["verbs"], json!(["get", "list", "watch"]), "{rule}");
    }
}

#[test]
fn nodes_are_read_only_when_asked_for() {
    let Some(scene) = Scene::new("nodes_are_read_only_when_asked_for") else { return };
    let objects = scene.render(&[], &["--set", "perijove.hook.countNodes=true"]);
    let roles = of_kind(&objects, "ClusterRole");
    let rules = json!([{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]}]);
    assert_eq!(roles.len(), 1);
    assert_eq!(roles[0]["rules"], rules);
    let job = hook_job(&objects);
    assert!(pod(job).unwrap()["containers"][0]["args"].as_array().unwrap().contains(&json!("--nodes")));
}

/// Whose account is bound to a role: awaiters, and nobody else.
#[test]
fn pullers_have_no_rights_and_no_tokens() {
    let Some(scene) = Scene::new("pullers_have_no_rights_and_no_tokens") else { return };
    for version in ["1.20.0", "1.36.0"] {
        let objects = scene.render(&[VALUES], &["--kube-version", version]);
        let bound: Vec<&Value> = of_kind(&objects, "RoleBinding")
            .into_iter()
            .flat_map(|binding| binding["subjects"].as_array().unwrap())
            .map(|subject| &subject["name"])
            .collect();
        assert_eq!(bound.len(), 2, "the hook's awaiter and the test's");
        for account in of_kind(&objects, "ServiceAccount") {
            assert_eq!(account["automountServiceAccountToken"], false, "{account}");
        }
        for object in &objects {
            let Some(pod) = pod(object) else { continue };
            assert_eq!(pod["automountServiceAccountToken"], false);
            let text = pod["volumes"].to_string();
            assert_eq!(
                text.contains("serviceAccountToken"),
                component(object).ends_with("awaiter"),
                "{object}"
            );
            if component(object).ends_with("puller") {
                assert!(!bound.contains(&&pod["serviceAccountName"]), "{object}");
            } else {
                assert!(bound.contains(&&pod["serviceAccountName"]), "{object}");
            }
        }
    }
}

#[test]
fn every_container_is_restricted_and_limited() {
    let Some(scene) = Scene::new("every_container_is_restricted_and_limited") else { return };
    let restricted = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": true,
        "runAsGroup": 65534,
        "runAsNonRoot": true,
        "runAsUser": 65534,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    let mut containers = 0;
    for version in ["1.20.0", "1.36.0"] {
        let objects = scene.render(&[VALUES], &["--kube-version", version]);
        for pod in objects.iter().filter_map(pod) {
            let context = json!({"fsGroup": 65534, "runAsGroup": 65534, "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}});
            assert_eq!(pod["securityContext"], context);
            let lists = [&pod["initContainers"], &pod["containers"]];
            for container in lists.into_iter().filter_map(Value::as_array).flatten() {
                assert_eq!(container["securityContext"], restricted);
                for part in ["requests", "limits"] {
                    let named = ["cpu", "memory", "ephemeral-storage"];
                    assert!(
                        named.iter().all(|name| container["resources"][part][name].is_string()),
                        "{container}"
                    );
                }
                containers += 1;
            }
        }
    }
    assert!(containers > 20, "{containers}");
}

/// Rendering needs no cluster: it is the same under `helm template`, Argo CD and in a pipeline.
#[test]
fn nothing_is_looked_up() {
    let mut files = 0;
    for folder in ["templates", "templates/hook", "templates/continuous", "templates/tests"] {
        for entry in std::fs::read_dir(chart().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let text = std::fs::read_to_string(&path).unwrap();
                assert!(!text.contains("lookup "), "{}", path.display());
                assert!(!text.contains("APIVersions"), "{}", path.display());
                files += 1;
            }
        }
    }
    assert!(files > 20, "{files}");
}
