//! Nodes, on both versions: ready, pulling from our registry, and with image volumes where there are any.

use perijove_testkit::cluster::{self, Cluster, Options, PodSecurity, TestImage, Version};
use serde_json::{Value, json};

/// A DaemonSet of one container, which passes the restricted standard and tolerates everything.
fn daemon_set(name: &str, image: &str, volume: Option<&str>) -> Value {
    let volumes: Vec<Value> = volume
        .map(|reference| json!({"name": "image", "image": {"reference": reference}}))
        .into_iter()
        .collect();
    let mounts: Vec<Value> =
        volumes.iter().map(|v| json!({"name": v["name"], "mountPath": "/image", "readOnly": true})).collect();
    let security = json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let container =
        json!({"name": "main", "image": image, "securityContext": security, "volumeMounts": mounts});
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "terminationGracePeriodSeconds": 0,
                    "tolerations": [{"operator": "Exists"}],
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [container],
                    "volumes": volumes,
                },
            },
        },
    })
}

fn roll_out(cluster: &Cluster, namespace: &str, set: &Value, pulled: &str) {
    let security = PodSecurity::Restricted;
    let namespace = cluster.namespace(namespace, security);
    namespace.apply(set);
    let name = format!("daemonset/{}", set["metadata"]["name"].as_str().unwrap());
    namespace.kubectl(&["rollout", "status", &name, "--timeout=120s"]).text();
    assert_eq!(namespace.get(&[&name])["status"]["numberReady"], 3);
    for node in cluster.nodes() {
        assert!(node.images().contains(&pulled.to_owned()), "{}: {:?}", node.name(), node.images());
    }
}

fn nodes_are_ready_and_pull(test: &str, version: Version) {
    let Some(cluster) = cluster::shared(test, version) else { return };
    for node in cluster.nodes() {
        assert_eq!(node.condition("Ready").as_deref(), Some("True"));
        let said = node.object()["status"]["nodeInfo"]["kubeletVersion"].clone();
        assert_eq!(said, format!("v{}", version.number()));
    }
    let image = cluster.push(&TestImage::pause(), "test/plain", "1");
    roll_out(&cluster, "plain", &daemon_set("plain", &image, None), &image);
}

#[test]
fn three_nodes_pull_from_our_registry_on_the_newest() {
    nodes_are_ready_and_pull("three_nodes_pull_from_our_registry_on_the_newest", Version::Newest);
}

#[test]
fn three_nodes_pull_from_our_registry_on_the_oldest() {
    nodes_are_ready_and_pull("three_nodes_pull_from_our_registry_on_the_oldest", Version::Oldest);
}

#[test]
fn an_image_in_which_nothing_runs_is_a_volume() {
    let Some(cluster) = cluster::shared("an_image_in_which_nothing_runs_is_a_volume", Version::Newest) else {
        return;
    };
    let pause = cluster.push(&TestImage::pause(), "test/volumes", "1");
    let data = cluster.push(&TestImage::data("words"), "test/data", "1");
    roll_out(&cluster, "volumes", &daemon_set("volumes", &pause, Some(&data)), &data);
}

#[test]
fn pods_reach_the_api_server_as_in_any_cluster() {
    let Some(cluster) = cluster::shared("pods_reach_the_api_server_as_in_any_cluster", Version::Newest)
    else {
        return;
    };
    let image = cluster.push(&TestImage::shell(), "test/shell", "1");
    let namespace = cluster.namespace("inside", PodSecurity::Privileged);
    namespace.apply(&json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "asks"},
        "spec": {
            "restartPolicy": "Never",
            "containers": [{
                "name": "main",
                "image": image,
                "command": ["/bin/sh", "-c", "busybox nc -w 10 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT < /dev/null"],
            }],
        },
    }));
    cluster.wait("the pod's end", || {
        let phase = namespace.get(&["pod", "asks"])["status"]["phase"].clone();
        assert_ne!(phase, "Failed", "{}", namespace.kubectl(&["logs", "asks"]).text());
        (phase == "Succeeded").then_some(())
    });
}

#[test]
fn what_the_api_server_is_asked_is_known() {
    let Some(cluster) = cluster::shared("what_the_api_server_is_asked_is_known", Version::Newest) else {
        return;
    };
    let namespace = cluster.namespace("asked", PodSecurity::Restricted);
    let asks = "system:serviceaccount:asked:asks";
    let refused = namespace.kubectl(&["get", "pods", "--as", asks]);
    assert!(!refused.ok && refused.stderr.contains("forbidden"), "{}", refused.stderr);
    let pods = |e: &Value| e["impersonatedUser"]["username"] == asks && e["objectRef"]["resource"] == "pods";
    let requests = cluster.requests(pods);
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0]["responseStatus"]["code"], 403);
}

#[test]
fn a_thousand_made_up_nodes() {
    let test = "a_thousand_made_up_nodes";
    let options = Options { fake_nodes: 1000, ..Options::default() };
    if let Some(why) = cluster::lacking(&options) {
        return perijove_testkit::skip(test, &why);
    }
    let cluster = Cluster::start(&options);
    let nodes = cluster.get(&["nodes", "--selector", "type=kwok"]);
    assert_eq!(nodes["items"].as_array().unwrap().len(), 1000);
}
