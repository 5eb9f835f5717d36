//! The accounts, rights and labels of a hook, as each chart has them: pure.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::hook::Kind;

/// Labels of everything that is there for the hook alone.
pub fn labels(kind: Kind) -> BTreeMap<String, String> {
    let all = [
        ("app.kubernetes.io/component", "hook-image-puller"),
        ("hub.jupyter.org/deletable", "true"),
        ("bench", kind.word()),
    ];
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).into()
}

/// Account, role, binding and Job. The Job never starts a pod: its awaiter is a process of the benchmark.
pub fn objects(kind: Kind, nodes: bool) -> Vec<Value> {
    let metadata = json!({"name": kind.word(), "labels": labels(kind)});
    let group = "rbac.authorization.k8s.io";
    let rule = |group: &str, resources: Value, names: Value, verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "resourceNames": names, "verbs": verbs});
    let read = ["get", "list", "watch"];
    let own = || json!([kind.word()]);
    let rules = match kind {
        Kind::Today => vec![rule("apps", json!(["daemonsets"]), json!([]), &["get"])],
        Kind::Ours => vec![
            rule("apps", json!(["daemonsets"]), json!([]), &read),
            rule("", json!(["pods"]), json!([]), &read),
            rule("", json!(["events"]), json!([]), &["get", "list", "watch", "create"]),
            rule("apps", json!(["daemonsets"]), json!(["ours-hook-image-puller"]), &["delete"]),
            rule(group, json!(["roles", "rolebindings"]), own(), &["patch", "delete"]),
            rule("", json!(["serviceaccounts"]), own(), &["patch", "delete"]),
        ],
    };
    let account = json!({"kind": "ServiceAccount", "name": kind.word()});
    let pod = json!({
        "restartPolicy": "Never",
        "containers": [{"name": "await", "image": "await"}],
    });
    let mut all = vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}),
        json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": metadata, "rules": rules}),
        json!({
            "apiVersion": format!("{group}/v1"),
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": kind.word()},
            "subjects": [account],
        }),
        json!({
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": metadata,
            "spec": {"suspend": true, "template": {"spec": pod}},
        }),
    ];
    if nodes && kind == Kind::Ours {
        let name = "bench-nodes";
        let metadata = json!({"name": name});
        all.push(json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRole", "metadata": metadata,
            "rules": [{"apiGroups": [""], "resources": ["nodes"], "verbs": read}],
        }));
        // One for all runs: the cluster is there for this alone.
        all.push(json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding", "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"apiGroup": group, "kind": "Group", "name": "system:serviceaccounts"}],
        }));
    }
    all
}
