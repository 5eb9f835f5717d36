//! Keys of Zero to JupyterHub that do not decide the image set, but how it is pulled.

use serde_json::{Value, json};

use crate::scene::{Scene, component, hook_job, hook_sets, of_kind, pod};

const VALUES: &str = "
hub:
  labels: {team: maps, hub.jupyter.org/network-access-proxy-api: 'true'}
prePuller:
  labels: {cost: shared}
  annotations: {sidecar.istio.io/inject: 'false'}
  resources: {requests: {cpu: 2m}}
  containerSecurityContext: {allowPrivilegeEscalation: false, runAsUser: 1000, runAsGroup: 1000}
  revisionHistoryLimit: 3
  hook:
    daemonsetAnnotations: {of: hook}
    nodeSelector: {core: 'yes'}
    tolerations: [{key: core, operator: Exists}]
    resources: {limits: {memory: 99Mi}}
    containerSecurityContext: {runAsUser: 1001}
    serviceAccount: {create: true, name: waits, annotations: {a: b}}
    serviceAccountImagePuller: {create: false}
  continuous:
    daemonsetAnnotations: {of: continuous}
    serviceAccount: {create: true, annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::1:role/pull'}}
scheduling:
  corePods: {tolerations: []}
";

#[test]
fn settings_of_the_pullers_are_taken() {
    let Some(scene) = Scene::new("settings_of_the_pullers_are_taken") else { return };
    let objects = scene.render(&[VALUES], &[]);
    for set in of_kind(&objects, "DaemonSet") {
        let hook = component(set) == "hook-image-puller";
        assert_eq!(set["metadata"]["annotations"]["of"], if hook { "hook" } else { "continuous" });
        assert_eq!(set["spec"]["revisionHistoryLimit"], 3);
        let meta = &set["spec"]["template"]["metadata"];
        assert_eq!(meta["annotations"], json!({"sidecar.istio.io/inject": "false"}));
        assert_eq!((&meta["labels"]["cost"], &meta["labels"]["team"]), (&json!("shared"), &json!("maps")));
        assert!(
            meta["labels"]["hub.jupyter.org/network-access-proxy-api"].is_null(),
            "opens the proxy's API"
        );
        let container = &pod(set).unwrap()["containers"][0];
        assert_eq!(container["resources"], json!({"requests": {"cpu": "2m"}}));
        assert_eq!(container["securityContext"]["runAsUser"], 1000);
        assert_eq!(
            container["securityContext"]["capabilities"],
            json!({"drop": ["ALL"]}),
            "ours stays below the user's"
        );
        let account = if hook { "default" } else { "hub-perijove-continuous" };
        assert_eq!(pod(set).unwrap()["serviceAccountName"], account);
    }
}

/// Zero is a value, and a large number stays a whole one.
#[test]
fn numbers_are_taken_as_they_are() {
    let Some(scene) = Scene::new("numbers_are_taken_as_they_are") else { return };
    for (limit, priority) in [(0, 0), (1, -10), (2_000_000, -10_000_000)] {
        let values = json!({
            "prePuller": {"revisionHistoryLimit": limit},
            "scheduling": {"podPriority": {"enabled": true, "imagePullerPriority": priority}},
        });
        let objects = scene.render(&[&values.to_string()], &[]);
        let sets = of_kind(&objects, "DaemonSet");
        let limits: Vec<&Value> = sets.iter().map(|set| &set["spec"]["revisionHistoryLimit"]).collect();
        assert_eq!(limits, [&json!(limit); 2]);
        let classes = of_kind(&objects, "PriorityClass");
        let found: Vec<&Value> = classes.iter().map(|class| &class["value"]).collect();
        assert_eq!(found, [&json!(priority); 2]);
    }
    let objects = scene.render(&["scheduling: {podPriority: {enabled: true}}"], &[]);
    assert!(of_kind(&objects, "DaemonSet").iter().all(|set| set["spec"]["revisionHistoryLimit"].is_null()));
    assert!(of_kind(&objects, "PriorityClass").iter().all(|class| class["value"] == -5));
}

/// A secret of our own stands for the one that Zero to JupyterHub makes, and for no other of its name.
#[test]
fn pull_secrets_are_those_that_are_there() {
    let Some(scene) = Scene::new("pull_secrets_are_those_that_are_there") else { return };
    let login = "registry: r.example.org, username: u, password: p";
    let by_hand = format!("imagePullSecret: {{create: true, automaticReferenceInjection: false, {login}}}");
    let made = "hub-perijove-pull-hook";
    for (values, expected) in [
        (String::new(), &[][..]),
        ("imagePullSecrets: [image-pull-secret, other]".to_owned(), &["image-pull-secret", "other"]),
        (format!("imagePullSecrets: [other]\nimagePullSecret: {{create: true, {login}}}"), &[made, "other"]),
        (format!("imagePullSecrets: [other]\n{by_hand}"), &["other"]),
        (format!("imagePullSecrets: [image-pull-secret]\n{by_hand}"), &[made]),
    ] {
        let objects = scene.render(&[&values], &[]);
        for object in [hook_job(&objects), hook_sets(&objects)[0]] {
            let list = pod(object).unwrap()["imagePullSecrets"].as_array().cloned().unwrap_or_default();
            let names: Vec<&str> = list.iter().map(|secret| secret["name"].as_str().unwrap()).collect();
            assert_eq!(names, expected, "{} of {values}", object["kind"]);
        }
    }
}

#[test]
fn settings_of_the_awaiter_are_taken() {
    let Some(scene) = Scene::new("settings_of_the_awaiter_are_taken") else { return };
    let objects = scene.render(&[VALUES], &[]);
    let job = hook_job(&objects);
    let pod = pod(job).unwrap();
    assert_eq!(pod["nodeSelector"], json!({"core": "yes"}));
    assert_eq!(pod["tolerations"], json!([{"key": "core", "operator": "Exists"}]));
    assert_eq!(pod["containers"][0]["resources"], json!({"limits": {"memory": "99Mi"}}));
    assert_eq!(pod["containers"][0]["securityContext"]["runAsUser"], 1001);
    assert_eq!(pod["serviceAccountName"], "waits");
    let annotations = &job["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["sidecar.istio.io/inject"], "false");
    // An account of the user's name is not the run's to delete.
    assert!(!pod["containers"][0]["args"].to_string().contains("serviceaccount/"));
}

#[test]
fn accounts_are_made_with_their_names_and_annotations() {
    let Some(scene) = Scene::new("accounts_are_made_with_their_names_and_annotations") else { return };
    let objects = scene.render(&[VALUES], &[]);
    let accounts = of_kind(&objects, "ServiceAccount");
    let find = |name: &str| accounts.iter().find(|account| account["metadata"]["name"] == name).unwrap();
    assert_eq!(find("waits")["metadata"]["annotations"]["a"], "b");
    let kept = &find("hub-perijove-continuous")["metadata"]["annotations"];
    assert_eq!(kept["eks.amazonaws.com/role-arn"], "arn:aws:iam::1:role/pull");
    assert_eq!(accounts.len(), 3, "the test's is the third");
    let none = scene.render(&[VALUES, "rbac: {create: false}"], &[]);
    assert!(of_kind(&none, "Role").is_empty() && of_kind(&none, "RoleBinding").is_empty());
}

#[test]
fn pullers_speak_to_nobody() {
    let Some(scene) = Scene::new("pullers_speak_to_nobody") else { return };
    let objects = scene.render(&[], &["--set", "perijove.networkPolicies.apiServerPorts={443,6443}"]);
    let policies = of_kind(&objects, "NetworkPolicy");
    assert_eq!(policies.len(), 4);
    for policy in policies {
        assert_eq!(policy["spec"]["policyTypes"], json!(["Ingress", "Egress"]));
        assert_eq!(policy["spec"]["ingress"], json!([]));
        let api = json!([{"ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 6443}]}]);
        let expected = if component(policy).ends_with("awaiter") { api } else { json!([]) };
        assert_eq!(policy["spec"]["egress"], expected, "{policy}");
    }
    let none = scene.render(&[], &["--set", "perijove.networkPolicies.enabled=false"]);
    assert!(of_kind(&none, "NetworkPolicy").is_empty());
}

/// New and lost nodes stay in the count, and nodes that a resource taints are reached.
#[test]
fn pullers_tolerate_what_their_pods_do_and_nodes_that_come_and_go() {
    let Some(scene) = Scene::new("pullers_tolerate_what_their_pods_do_and_nodes_that_come_and_go") else {
        return;
    };
    let values = "singleuser: {extraTolerations: [{key: gpu, operator: Exists}], extraResource: {limits: {nvidia.com/gpu: 1}}}";
    let objects = scene.render(&[values], &[]);
    let tolerations: Vec<&Value> =
        pod(hook_sets(&objects)[0]).unwrap()["tolerations"].as_array().unwrap().iter().collect();
    for key in ["gpu", "nvidia.com/gpu", "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
        assert!(tolerations.contains(&&json!({"key": key, "operator": "Exists"})), "{key}");
    }
}
