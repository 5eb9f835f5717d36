//! `perijove await` while nodes, registries and the API server fail, and come back.

use std::time::Duration;

use perijove_testkit::cluster::fault::{LATE_NODE, Place, slow_pull};
use perijove_testkit::cluster::{Cluster, Fault, Namespace, PodSecurity, Version, alone, shared};
use serde_json::{Value, json};

use super::awaiting::{awaited, cells, check, data, end, findings, node, own, puller, start, told};

fn place<'a>(namespace: &'a Namespace<'_>) -> Place<'a> {
    Place { node: 2, namespace: namespace.name(), awaiter: "app=awaiter" }
}

/// Waits until there are so many pods of which `is` holds.
fn wait_for_pods(cluster: &Cluster, namespace: &Namespace<'_>, number: usize, is: impl Fn(&Value) -> bool) {
    cluster.wait(&format!("{number} pods"), || {
        let pods = namespace.get(&["pods"]);
        (pods["items"].as_array()?.iter().filter(|pod| is(pod)).count() == number).then_some(())
    });
}

/// The kubelet has tried.
fn has_failed(pod: &Value) -> bool {
    let reason = &pod["status"]["containerStatuses"][0]["state"]["waiting"]["reason"];
    reason == "ErrImagePull" || reason == "ImagePullBackOff"
}

fn is_ready(pod: &Value) -> bool {
    pod["status"]["containerStatuses"][0]["ready"] == true
}

#[test]
fn registries_that_fail_are_waited_for() {
    let Some(cluster) = alone("registries_that_fail_are_waited_for", Version::Newest) else { return };
    let namespace = cluster.namespace("await-registry-down", PodSecurity::Restricted);
    own(&cluster);
    let broken = Fault::RegistryDown.apply(&cluster, &place(&namespace));
    let image = broken.image.clone().unwrap();
    namespace.apply(&puller(&cluster, &[&image], None));
    wait_for_pods(&cluster, &namespace, 3, has_failed);
    // Not in time: what is missing is said, and why.
    let (code, report) = awaited(&cluster, &namespace, &["--deadline", "6s"]);
    assert_eq!((code, &report["result"]), (Some(3), &json!("deadline")), "{report}");
    assert_eq!(cells(&report), [("retrying", "RegistryUnreachable"); 3], "{report}");
    // In time.
    let child = start(&cluster, &namespace, &["--clean-up", "--deadline", "3m"]);
    drop(broken);
    let (code, report, said) = told(child);
    assert_eq!((code, &report["result"]), (Some(0), &json!("warm")), "{report}\n{said}");
    assert_eq!(report["nodes"].as_array().map(Vec::len), Some(3));
    check(&cluster, &report, &[image]);

    let namespace = cluster.namespace("await-slow-registry", PodSecurity::Restricted);
    let broken = Fault::SlowRegistry.apply(&cluster, &place(&namespace));
    let image = broken.image.clone().unwrap();
    namespace.apply(&puller(&cluster, &[&image], None));
    let (code, report, said) = told(start(&cluster, &namespace, &["--deadline", "2m"]));
    assert_eq!((code, cells(&report)), (Some(0), vec![("warm", ""); 3]), "{report}\n{said}");
    for name in ["n1", "n2", "n3"] {
        assert!(said.contains(&format!("{name}: {image}: pulling")), "{said}");
    }
    assert!(said.contains("0 of 3 nodes warm, 3 pulling"), "{said}");
    let took = report["nodes"][0]["images"][0]["pull_seconds"].as_f64().unwrap();
    assert!(took >= slow_pull().as_secs_f64(), "{report}");
    check(&cluster, &report, &[image]);
}

#[test]
fn a_layer_that_cannot_be_read_fails_by_name() {
    let test = "a_layer_that_cannot_be_read_fails_by_name";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let namespace = cluster.namespace("await-unreadable", PodSecurity::Restricted);
    let broken = Fault::UnreadableLayer.apply(&cluster, &place(&namespace));
    let image = broken.image.as_deref().unwrap();
    namespace.apply(&puller(&cluster, &[image], None));
    wait_for_pods(&cluster, &namespace, 3, has_failed);
    let (code, report) = awaited(&cluster, &namespace, &["--clean-up", "--deadline", "2m"]);
    assert_eq!((code, cells(&report)), (Some(1), vec![("failed", "ImageUnreadable"); 3]), "{report}");
}

/// It was warm, and then nobody hears of it: by its pod, and by its own object.
#[test]
fn a_node_that_falls_silent_meanwhile_is_left_out() {
    let Some(cluster) = alone("a_node_that_falls_silent_meanwhile_is_left_out", Version::Newest) else {
        return;
    };
    let namespace = cluster.namespace("await-silent", PodSecurity::Restricted);
    let images = ["await-silent-a", "await-silent-b"].map(|name| data(&cluster, name));
    namespace.apply(&puller(&cluster, &[&images[0]], None));
    assert_eq!(awaited(&cluster, &namespace, &["--deadline", "2m"]).0, Some(0));
    let by_pods = start(&cluster, &namespace, &["--expect", "2", "--deadline", "2m"]);
    let by_nodes = start(&cluster, &namespace, &["--expect", "2", "--deadline", "2m", "--nodes"]);
    let broken = Fault::NodeSilent.apply(&cluster, &place(&namespace));
    broken.wait_until_seen();
    namespace.apply(&puller(&cluster, &[&images[1]], None));
    for (child, why) in [(by_pods, "NotReady"), (by_nodes, "Silent")] {
        let (code, report) = end(child);
        assert_eq!(code, Some(0), "{report}");
        let (state, reason) = node(&report, "n2");
        assert!(state == "excluded" && reason.starts_with(why), "{report}");
        check(&cluster, &report, &images);
    }
    // The old pod is told to end there, and cannot say that it has: no other comes, and none is waited for.
    namespace.kubectl(&["delete", "pods", "--all", "--grace-period=5", "--wait=false"]).text();
    let (code, report) = awaited(&cluster, &namespace, &["--expect", "2", "--deadline", "90s"]);
    assert_eq!(code, Some(0), "{report}");
    assert!(node(&report, "n2").0 == "excluded" && report["without_pod"] == 0, "{report}");
    check(&cluster, &report, &images);
}

#[test]
fn a_node_whose_disk_is_full_is_left_out() {
    let Some(cluster) = alone("a_node_whose_disk_is_full_is_left_out", Version::Newest) else { return };
    let namespace = cluster.namespace("await-disk-full", PodSecurity::Restricted);
    let image = data(&cluster, "await-disk-full");
    let broken = Fault::DiskFull.apply(&cluster, &place(&namespace));
    broken.wait_until_seen();
    namespace.apply(&puller(&cluster, &[&image], None));
    let (code, report) = awaited(&cluster, &namespace, &["--deadline", "90s"]);
    assert_eq!(code, Some(0), "{report}");
    let (state, reason) = node(&report, "n2");
    assert!(state == "excluded" && reason.starts_with("DiskPressure"), "{report}");
    check(&cluster, &report, &[image]);
}

/// It joins while it is waited for, and is not ready at first.
#[test]
fn a_node_that_joins_meanwhile_is_warmed_too() {
    let Some(cluster) = alone("a_node_that_joins_meanwhile_is_warmed_too", Version::Newest) else { return };
    let namespace = cluster.namespace("await-late", PodSecurity::Restricted);
    let images = ["await-late-a", "await-late-b"].map(|name| data(&cluster, name));
    namespace.apply(&puller(&cluster, &[&images[0]], None));
    let children = [vec![], vec!["--nodes"]].map(|words| {
        let words: Vec<&str> = words.into_iter().chain(["--expect", "2", "--deadline", "2m"]).collect();
        start(&cluster, &namespace, &words)
    });
    let broken = Fault::LateNode.apply(&cluster, &place(&namespace));
    cluster.wait("the late node", || cluster.node(LATE_NODE).condition("Ready"));
    namespace.apply(&puller(&cluster, &[&images[1]], None));
    for child in children {
        let (code, report) = end(child);
        assert_eq!(code, Some(0), "{report}");
        assert_eq!(["n1", "n2", "n3", "n4"].map(|name| node(&report, name).0), ["warm"; 4], "{report}");
        check(&cluster, &report, &images);
    }
    drop(broken);
}

/// An image that is there and in nobody's use goes, on a node that is short of room: what is called warm is in use.
#[test]
fn an_image_that_is_collected_is_not_called_warm() {
    let Some(cluster) = alone("an_image_that_is_collected_is_not_called_warm", Version::Newest) else {
        return;
    };
    let namespace = cluster.namespace("await-collected", PodSecurity::Restricted);
    let first = data(&cluster, "await-collected");
    namespace.apply(&puller(&cluster, &[&first], None));
    let child = start(&cluster, &namespace, &["--expect", "2", "--deadline", "90s"]);
    let broken = Fault::ImageCollected.apply(&cluster, &place(&namespace));
    let image = broken.image.clone().unwrap();
    broken.wait_until_seen();
    namespace.apply(&puller(&cluster, &[&image], None));
    let (code, report) = end(child);
    assert_eq!(code, Some(0), "{report}");
    assert_eq!((node(&report, "n1").0, node(&report, "n3").0), ("warm", "warm"), "{report}");
    check(&cluster, &report, &[first, image]);
}

/// Two of three pods are let through.
#[test]
fn a_quota_is_told_and_waited_for() {
    let Some(cluster) = shared("a_quota_is_told_and_waited_for", Version::Newest) else { return };
    let namespace = cluster.namespace("await-quota", PodSecurity::Restricted);
    let quota = |pods: u32| {
        namespace.apply(&json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "pods"},
            "spec": {"hard": {"pods": pods.to_string()}}}));
    };
    quota(2);
    cluster.wait("the quota", || {
        namespace.get(&["resourcequota", "pods"])["status"]["hard"].is_object().then_some(())
    });
    let made = puller(&cluster, &[&data(&cluster, "await-quota")], None);
    namespace.apply(&made);
    wait_for_pods(&cluster, &namespace, 2, is_ready);
    let (code, report, said) = told(start(&cluster, &namespace, &["--deadline", "7s"]));
    assert_eq!((code, findings(&report)), (Some(3), vec!["PodsRefused", "PodsMissing"]), "{report}");
    assert!(said.contains("2 of 3 nodes warm, 1 without a pod"), "{said}");
    assert!(said.contains("exceeded quota: pods"), "{said}");
    let child = start(&cluster, &namespace, &["--deadline", "2m"]);
    quota(3);
    // The controller waits longer and longer between its attempts; a change has it try at once.
    let name = made["metadata"]["name"].as_str().unwrap();
    namespace.kubectl(&["annotate", "daemonset", name, "quota=more"]).text();
    let (code, report) = end(child);
    assert_eq!((code, findings(&report)), (Some(0), vec![]), "{report}");
}

#[test]
fn a_selector_that_matches_nothing_is_said() {
    let Some(cluster) = shared("a_selector_that_matches_nothing_is_said", Version::Newest) else { return };
    let namespace = cluster.namespace("await-nothing", PodSecurity::Restricted);
    let (code, report) = awaited(&cluster, &namespace, &["--deadline", "6s"]);
    assert_eq!((code, findings(&report)), (Some(3), vec!["NoDaemonSet"]), "{report}");
}

/// Told to end while nobody answers, it still leaves nothing behind.
#[test]
fn a_clean_up_outlasts_an_api_server_that_restarts() {
    let Some(cluster) = alone("a_clean_up_outlasts_an_api_server_that_restarts", Version::Newest) else {
        return;
    };
    let namespace = cluster.namespace("await-end", PodSecurity::Restricted);
    namespace.apply(&puller(&cluster, &["127.0.0.1:9/nowhere:1"], None));
    let child = start(&cluster, &namespace, &["--clean-up", "--deadline", "2m"]);
    wait_for_pods(&cluster, &namespace, 3, has_failed);
    std::thread::sleep(Duration::from_secs(2));
    let broken = Fault::ApiServerRestarted.apply(&cluster, &place(&namespace));
    broken.wait_until_seen();
    let killed = std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    // Longer than a moment; the start of the API server comes on top, and a pod that is told to end has 30 s.
    std::thread::sleep(Duration::from_secs(6));
    drop(broken);
    let (code, report, said) = told(child);
    assert_eq!((code, findings(&report)[0]), (Some(1), "Interrupted"), "{report}\n{said}");
    assert_eq!(report["deleted"].as_array().map(Vec::len), Some(1), "{report}\n{said}");
    assert_eq!(namespace.get(&["daemonsets"])["items"], json!([]));
}
