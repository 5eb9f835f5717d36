//! `perijove await` on real nodes: every fault has its verdict, by name, and within its time.

use std::time::{Duration, Instant};

use perijove_testkit::cluster::fault::Place;
use perijove_testkit::cluster::{Fault, PodSecurity, Version, alone, shared};
use serde_json::json;

use super::awaiting::{awaited, data, end, findings, node, puller, start};

#[test]
fn nodes_become_warm_with_a_request_a_kind() {
    let test = "nodes_become_warm_with_a_request_a_kind";
    let Some(cluster) = shared(test, Version::Newest) else { return };
    let namespace = cluster.namespace("await-warm", PodSecurity::Restricted);
    // Of no other test: what a node has already is not pulled, and nothing is told of its size.
    let images = [data(&cluster, "await-pulled-a"), data(&cluster, "await-pulled-b")];
    namespace.apply(&puller(&cluster, &[&images[0], &images[1]], None));
    let (code, report) = awaited(&cluster, &namespace, &["--nodes", "--clean-up", "--deadline", "3m"]);
    assert_eq!((code, &report["result"]), (Some(0), &json!("warm")), "{report}");
    for n in ["n1", "n2", "n3"] {
        assert_eq!(node(&report, n).0, "warm", "{report}");
    }
    // Told by the kubelets' events.
    assert!(report["nodes"][0]["images"][0]["size_bytes"].as_u64().is_some(), "{report}");
    // Four streams and a deletion; the server counts the same.
    assert_eq!(report["api_requests"], 5, "{report}");
    let place = namespace.name().to_owned();
    let asked = cluster.requests(|event| {
        let ours = event["objectRef"]["namespace"] == place.as_str();
        ours && !event["userAgent"].as_str().is_some_and(|agent| agent.starts_with("kubectl"))
    });
    assert_eq!(asked.len(), 4, "{asked:#?}");
    assert_eq!(namespace.get(&["daemonsets"])["items"], json!([]));
}

#[test]
fn images_that_cannot_come_fail_by_name() {
    let Some(cluster) = shared("images_that_cannot_come_fail_by_name", Version::Newest) else { return };
    for (fault, reason) in [
        (Fault::MissingTag, Some("ImageMissing")),
        (Fault::WrongSecret, Some("CredentialsRefused")),
        (Fault::OtherArchitecture, Some("WrongPlatform")),
        (Fault::NoShell, None),
    ] {
        let name = format!("await-{}", fault.name().replace(' ', "-").to_lowercase());
        let namespace = cluster.namespace(&name, PodSecurity::Restricted);
        let place = Place { node: 2, namespace: namespace.name(), awaiter: "app=awaiter" };
        let broken = fault.apply(&cluster, &place);
        let good = data(&cluster, "await-a");
        let image = broken.image.as_deref().unwrap();
        namespace.apply(&puller(&cluster, &[&good, image], broken.pull_secret));
        let (code, report) = awaited(&cluster, &namespace, &["--clean-up", "--deadline", "2m"]);
        let Some(reason) = reason else {
            assert_eq!(code, Some(0), "{}: {report}", fault.name());
            continue;
        };
        assert_eq!((code, &report["result"]), (Some(1), &json!("failed")), "{}: {report}", fault.name());
        let told =
            report["nodes"].as_array().unwrap().iter().flat_map(|row| row["images"].as_array().unwrap());
        let told: Vec<_> = told.filter(|cell| cell["state"] == "failed").collect();
        assert!(
            !told.is_empty() && told.iter().all(|cell| cell["reason"] == reason && cell["image"] == image),
            "{report}"
        );
        assert_eq!(namespace.get(&["daemonsets"])["items"], json!([]), "cleaned up");
    }
}

/// Node 2 in trouble: it is named and left out, and the others are warm.
#[test]
fn nodes_in_trouble_are_left_out_by_name() {
    let Some(cluster) = alone("nodes_in_trouble_are_left_out_by_name", Version::Newest) else { return };
    for (fault, reasons, words) in [
        (Fault::NodeOff, "Silent", vec!["--nodes"]),
        (Fault::Cordoned, "Cordoned", vec!["--nodes"]),
        (Fault::Tainted, "Tainted", vec!["--nodes"]),
        (Fault::PodsFull, "Full", vec![]),
        (Fault::DiskPressure, "DiskPressure", vec![]),
    ] {
        let name = format!("await-{}", fault.name().replace(' ', "-").to_lowercase());
        let namespace = cluster.namespace(&name, PodSecurity::Restricted);
        let place = Place { node: 2, namespace: namespace.name(), awaiter: "app=awaiter" };
        let broken = fault.apply(&cluster, &place);
        broken.wait_until_seen();
        namespace.apply(&puller(&cluster, &[&data(&cluster, "await-a")], None));
        let words: Vec<&str> = words.into_iter().chain(["--clean-up", "--deadline", "90s"]).collect();
        let (code, report) = awaited(&cluster, &namespace, &words);
        assert_eq!((code, &report["result"]), (Some(0), &json!("warm")), "{}: {report}", fault.name());
        let (state, reason) = node(&report, "n2");
        assert!(state == "excluded" && reason.starts_with(reasons), "{}: {report}", fault.name());
        assert_eq!((node(&report, "n1").0, node(&report, "n3").0), ("warm", "warm"));
        drop(broken);
        cluster.node(2).wait_until_ready();
    }
}

#[test]
fn an_api_server_that_restarts_costs_nothing() {
    let Some(cluster) = alone("an_api_server_that_restarts_costs_nothing", Version::Newest) else { return };
    let namespace = cluster.namespace("await-restart", PodSecurity::Restricted);
    let place = Place { node: 2, namespace: namespace.name(), awaiter: "app=awaiter" };
    let (first, second) = (data(&cluster, "await-a"), data(&cluster, "await-b"));
    namespace.apply(&puller(&cluster, &[&first], None));
    let child = start(&cluster, &namespace, &["--expect", "2", "--deadline", "3m"]);
    // And one that is killed meanwhile and started again knows as much.
    let mut killed = start(&cluster, &namespace, &["--expect", "2", "--deadline", "3m"]);
    std::thread::sleep(Duration::from_secs(2));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let broken = Fault::ApiServerRestarted.apply(&cluster, &place);
    broken.wait_until_seen();
    drop(broken);
    cluster.wait_for_api();
    namespace.apply(&puller(&cluster, &[&second], None));
    let again = start(&cluster, &namespace, &["--expect", "2", "--deadline", "3m"]);
    for child in [child, again] {
        let (code, report) = end(child);
        assert_eq!((code, report["images"].as_array().map(Vec::len)), (Some(0), Some(2)), "{report}");
    }
}

/// An awaiter that is killed when all is deleted and before it ends: its Job starts another, which must not wait.
#[test]
fn whoever_comes_after_the_end_says_the_same() {
    let Some(cluster) = shared("whoever_comes_after_the_end_says_the_same", Version::Newest) else { return };
    let namespace = cluster.namespace("await-after", PodSecurity::Restricted);
    let good = data(&cluster, "await-after");
    let missing = format!("{}/await-after-missing:1", cluster.registry());
    for (run, image, outcome) in [("good", good, (0, "warm")), ("missing", missing, (1, "failed"))] {
        namespace.apply(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": run}}));
        let made = namespace.get(&["configmap", run]);
        let uid = made["metadata"]["uid"].as_str().unwrap();
        namespace.apply(&puller(&cluster, &[&image], None));
        let of = format!("configmap/{run}/{uid}");
        let words = ["--clean-up", "--deadline", "60s", "--event-on", &of];
        let (code, report) = awaited(&cluster, &namespace, &words);
        assert_eq!((code, &report["result"]), (Some(outcome.0), &json!(outcome.1)), "{report}");
        let (code, again) = awaited(&cluster, &namespace, &words);
        assert_eq!((code, &again["result"]), (Some(outcome.0), &json!(outcome.1)), "{again}");
        assert_eq!(findings(&again)[0], "EndedBefore", "{again}");
        let said = again["findings"][0]["message"].as_str().unwrap();
        assert!(said.contains(report["summary"].as_str().unwrap()), "{again}");
        let events = namespace.get(&["events", "--field-selector", &format!("involvedObject.uid={uid}")]);
        assert_eq!(events["items"].as_array().unwrap().len(), 1, "{events}");
    }
    // Of another Job it says nothing.
    let of = "configmap/other/9c6f1d1e-0000-4000-8000-000000000000";
    let (code, report) = awaited(&cluster, &namespace, &["--deadline", "2s", "--event-on", of]);
    assert_eq!((code, findings(&report)), (Some(3), vec!["NoDaemonSet"]), "{report}");
}

#[test]
fn what_goes_away_ends_the_run() {
    let Some(cluster) = shared("what_goes_away_ends_the_run", Version::Newest) else { return };
    for whole_namespace in [false, true] {
        let namespace = cluster.namespace(&format!("await-gone-{whole_namespace}"), PodSecurity::Restricted);
        // It never becomes warm.
        let nowhere = "127.0.0.1:9/nowhere:1";
        let made = puller(&cluster, &[nowhere], None);
        namespace.apply(&made);
        let child = start(&cluster, &namespace, &["--deadline", "2m"]);
        std::thread::sleep(Duration::from_secs(3));
        let begun = Instant::now();
        if whole_namespace {
            cluster.kubectl(&["delete", "namespace", namespace.name(), "--wait=false"]).text();
        } else {
            namespace.kubectl(&["delete", "daemonset", made["metadata"]["name"].as_str().unwrap()]).text();
        }
        let (code, report) = end(child);
        assert_eq!(
            (code, &report["findings"][0]["reason"]),
            (Some(1), &json!("DaemonSetDeleted")),
            "{report}"
        );
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
}
