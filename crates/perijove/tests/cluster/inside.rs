//! Our own image inside the cluster, with a short-lived token of its account and no more rights than it needs.

use perijove_testkit::cluster::fault::Place;
use perijove_testkit::cluster::{Fault, Namespace, PodSecurity, Version, shared};
use serde_json::{Value, json};

use super::awaiting::{SELECTOR, data, puller};
use super::own;

/// The awaiter's account and rights.
fn account() -> Value {
    let meta = json!({"name": "awaiter"});
    let role = json!({"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "awaiter"});
    let read = ["get", "list", "watch"];
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, "automountServiceAccountToken": false},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": [
            {"apiGroups": ["apps"], "resources": ["daemonsets"], "verbs": ["get", "list", "watch", "delete"]},
            {"apiGroups": [""], "resources": ["pods", "events"], "verbs": read},
        ]},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta, "roleRef": role,
            "subjects": [{"kind": "ServiceAccount", "name": "awaiter"}]},
    ]})
}

/// A Job that may be killed once.
fn job(namespace: &str, image: &str) -> Value {
    let words = ["--expect", "2", "--clean-up", "--deadline", "2m"];
    let arguments: Vec<&str> =
        ["await", "--namespace", namespace, "--selector", SELECTOR].into_iter().chain(words).collect();
    let sources = json!([
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 600}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]}},
    ]);
    let mount = json!({"name": "api", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true});
    let security = json!({"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
        "capabilities": {"drop": ["ALL"]}});
    let pod = json!({
        "serviceAccountName": "awaiter",
        "restartPolicy": "Never",
        "securityContext": {"runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{"name": "await", "image": image, "args": arguments, "securityContext": security,
            "volumeMounts": [mount]}],
        "volumes": [{"name": "api", "projected": {"sources": sources}}],
    });
    json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "awaiter"}, "spec": {
        "backoffLimit": 1, "template": {"metadata": {"labels": {"app": "awaiter"}}, "spec": pod}}})
}

fn phases(namespace: &Namespace<'_>) -> Vec<String> {
    let pods = namespace.get(&["pods", "-l", "app=awaiter"]);
    let phase = |pod: &Value| pod["status"]["phase"].as_str().unwrap_or_default().to_owned();
    let mut all: Vec<String> = pods["items"].as_array().unwrap().iter().map(phase).collect();
    all.sort();
    all
}

/// What the first has seen is not lost with it: everything is read again.
#[test]
fn an_awaiter_that_is_killed_is_replaced_by_another() {
    let test = "an_awaiter_that_is_killed_is_replaced_by_another";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let Some(image) = own::image(test, &cluster) else { return };
    let namespace = cluster.namespace("await-killed", PodSecurity::Restricted);
    namespace.apply(&account());
    namespace.apply(&puller(&cluster, &[&data(&cluster, "await-killed-a")], None));
    namespace.apply(&job(namespace.name(), &image));
    let is = |wanted: &[&str]| (phases(&namespace) == wanted).then_some(());
    cluster.wait("the awaiter", || is(&["Running"]));
    Fault::AwaiterKilled
        .apply(&cluster, &Place { node: 2, namespace: namespace.name(), awaiter: "app=awaiter" });
    cluster.wait("the second awaiter", || is(&["Failed", "Running"]));
    namespace.apply(&puller(&cluster, &[&data(&cluster, "await-killed-b")], None));
    cluster.wait("its end", || is(&["Failed", "Succeeded"]));
    let logs = namespace.kubectl(&["logs", "job/awaiter", "--all-pods=true"]).text();
    assert!(logs.contains("warm: 3 of 3 nodes warm"), "{logs}");
    assert_eq!(namespace.get(&["daemonsets"])["items"], json!([]), "cleaned up");
}
