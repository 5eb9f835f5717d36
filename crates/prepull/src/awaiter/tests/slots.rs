//! Which nodes should have a pod: the controller's numbers against the pods that are seen.

use serde_json::{Value, json};

use super::super::index::Kind;
use super::super::{Decision, NodeState, Reason};
use super::scene::*;

/// A DaemonSet whose controller says: nodes that should have a pod, such that have one, and others that have one.
fn says(desired: u32, current: u32, misscheduled: u32) -> Value {
    let mut set = daemonset("pull", desired);
    set["status"]["currentNumberScheduled"] = json!(current);
    set["status"]["numberMisscheduled"] = json!(misscheduled);
    set
}

fn ending(mut pod: Value) -> Value {
    pod["metadata"]["deletionTimestamp"] = json!("2026-11-22T12:00:00Z");
    pod
}

fn reason(scene: &Scene, now: u64, node: usize) -> Option<Reason> {
    scene.judged(now).rows[node].finding.as_ref().map(|finding| finding.reason)
}

/// The kubelet of a dead node never says that the pod has ended, and the controller makes no other until then: the
/// node counts in `desired`, and once here.
#[test]
fn a_pod_that_does_not_end_is_its_nodes_and_no_other() {
    // Kubernetes has said that the node is not ready; or nobody has said anything of it.
    for (pod, wait, why) in
        [(lost("pull", "n2"), 3, Reason::NotReady), (warm("pull", "n2"), 60, Reason::Silent)]
    {
        let mut scene = Scene::of(2);
        scene.sees(Kind::DaemonSets, &says(2, 2, 0), 0);
        scene.pods(&[warm("pull", "n1"), pod.clone()], 0);
        scene.pods(&[ending(pod)], 100);
        let before = scene.judged(100 + wait - 1);
        assert_eq!((before.decision, before.missing), (Decision::Wait(at(100 + wait)), 0), "{why:?}");
        let then = scene.judged(100 + wait);
        assert_eq!((then.count(NodeState::Excluded), then.decision), (1, Decision::Warm), "{why:?}");
        assert_eq!(reason(&scene, 100 + wait, 1), Some(why));
        // It ended after all: the controller makes another, and the node counts again.
        scene.loses(Kind::Pods, &warm("pull", "n2"), 200);
        assert_eq!((scene.judged(200).missing, scene.judged(200).decision), (1, Decision::Wait(DEADLINE)));
        scene.pods(&[warm("pull", "n2")], 201);
        assert_eq!(scene.judged(201).count(NodeState::Warm), 2);
    }
}

/// A node leaves (it is counted apart), and another, which has no pod yet, comes: the one does not stand for the other.
#[test]
fn a_node_that_leaves_takes_nobodys_place() {
    for leaving in [warm("pull", "n2"), ending(warm("pull", "n2"))] {
        let mut scene = Scene::of(2);
        scene.pods(&[warm("pull", "n1"), leaving], 0);
        scene.sees(Kind::DaemonSets, &says(2, 1, 1), 0);
        for now in [0, 10, 100] {
            let verdict = scene.judged(now);
            assert_eq!(verdict.missing, 1, "{now}");
            assert!(matches!(verdict.decision, Decision::Wait(_)), "{now}");
            assert!(verdict.findings.iter().any(|finding| finding.reason == Reason::PodsMissing));
        }
        scene.pods(&[warm("pull", "n3")], 100);
        scene.sees(Kind::DaemonSets, &says(2, 2, 0), 101);
        scene.loses(Kind::Pods, &warm("pull", "n2"), 102);
        assert_eq!(scene.judged(102).decision, Decision::Warm);
    }
}

/// The object of a node is gone, so that the controller does not count it at all; its pod stays for a minute.
#[test]
fn a_node_that_is_gone_takes_nobodys_place() {
    let mut scene = Scene::of(2);
    scene.pods(&[warm("pull", "n1"), warm("pull", "n2")], 0);
    scene.sees(Kind::DaemonSets, &says(2, 1, 0), 0);
    insta::assert_snapshot!(scene.told(5), @"
    5 s: Wait(600s); 2 of 2 nodes warm
      n1 warm [warm warm]
      n2 warm [warm warm]
      PodsMissing: nodes have no pod yet (1)
    ");
    scene.sees(Kind::DaemonSets, &says(2, 2, 0), 6);
    assert_eq!(scene.judged(6).decision, Decision::Warm);
}

/// A pod that has ended, but for its object, is no longer the controller's: another comes beside it.
#[test]
fn what_is_left_of_an_ended_pod_is_no_pod() {
    let mut over = ending(warm("pull", "n2"));
    over["status"]["phase"] = json!("Succeeded");
    let mut scene = Scene::of(2);
    scene.pods(&[warm("pull", "n1"), over], 0);
    insta::assert_snapshot!(scene.told(100), @"
    100 s: Wait(600s); 1 of 2 nodes warm, 1 without a pod
      n1 warm [warm warm]
      PodsMissing: nodes have no pod yet (1)
    ");
}

/// A rolling update: the old pod ends, and the new one takes a moment.
#[test]
fn a_pod_that_is_replaced_is_waited_for() {
    let mut scene = Scene::of(2);
    scene.sees(Kind::DaemonSets, &says(2, 2, 0), 0);
    scene.pods(&[warm("pull", "n1"), ending(warm("pull", "n2"))], 0);
    assert_eq!(scene.judged(30).decision, Decision::Wait(at(60)));
    assert_eq!(scene.judged(30).summary(), "1 of 2 nodes warm, 1 pulling");
    scene.loses(Kind::Pods, &warm("pull", "n2"), 31);
    assert_eq!(scene.judged(31).summary(), "1 of 2 nodes warm, 1 without a pod");
}

/// A node that leaves keeps its ready pod for a while: it is none of those that should have one.
#[test]
fn a_pod_that_is_replaced_is_waited_for_while_a_node_leaves() {
    let mut scene = Scene::of(3);
    scene.sees(Kind::DaemonSets, &says(3, 3, 1), 0);
    scene.pods(&["n0", "n1", "n2"].map(|node| warm("pull", node)), 0);
    scene.pods(&[ending(warm("pull", "n3"))], 0);
    assert_eq!(scene.judged(30).decision, Decision::Wait(at(60)));
}

/// A node that rejected its pods is gone, and another, which nobody has told of yet, has come.
#[test]
fn a_rejection_of_a_node_that_is_gone_takes_nobodys_place() {
    let mut scene = Scene::of(3);
    let no = rejected("pull", "n2", "Evicted", "The node had condition: [DiskPressure].");
    scene.pods(&[warm("pull", "n1"), no.clone(), warm("pull", "n3")], 0);
    assert_eq!(scene.judged(20).decision, Decision::Warm);
    scene.loses(Kind::Pods, &no, 20);
    // Between two attempts of the controller there is no pod.
    assert_eq!(scene.judged(25).decision, Decision::Warm);
    let verdict = scene.judged(51);
    assert!(verdict.missing == 1 && matches!(verdict.decision, Decision::Wait(_)), "{verdict:?}");
    assert!(verdict.rows.iter().all(|row| &*row.node != "n2"));
    // The next attempt says that it is there.
    scene.sees(Kind::Pods, &no, 52);
    assert_eq!(scene.judged(70).count(NodeState::Excluded), 1);
    // Its object says that it is not.
    scene.loses(Kind::Pods, &no, 70).loses(Kind::Nodes, &node("n2"), 70);
    assert_eq!(scene.judged(70).missing, 1);
}

/// One list of images for all pods of a template, however many DaemonSets there are.
#[test]
fn images_are_kept_once() {
    let mut scene = Scene::default();
    scene.lists(Kind::DaemonSets, &["a", "b", "c"].map(|name| daemonset(name, 2)), 0);
    let mut other = daemonset("d", 2);
    other["spec"]["template"]["spec"]["containers"][0]["image"] = json!("r.example/other:1");
    scene.sees(Kind::DaemonSets, &other, 0);
    for node in ["n1", "n2"] {
        for set in ["a", "b", "c", "d"] {
            let mut pod = warm(set, node);
            if set == "d" {
                pod["spec"]["containers"][0]["image"] = json!("r.example/other:1");
            }
            scene.pods(&[pod], 0);
        }
    }
    let of_sets = scene.observed.daemonsets.values().map(|entry| entry.images.as_ptr());
    let of_pods = scene.observed.pods.values().map(|entry| entry.images.as_ptr());
    let lists: std::collections::BTreeSet<_> = of_sets.chain(of_pods).collect();
    assert_eq!(lists.len(), 2);
}

/// Pods that were never listed are not lacking: nothing is known of them.
#[test]
fn pods_that_were_never_listed_are_not_called_missing() {
    let mut scene = Scene::default();
    scene.lists(Kind::DaemonSets, &[daemonset("pull", 3)], 0);
    insta::assert_snapshot!(scene.told(600), @"
    600 s: Deadline; 0 of 0 nodes warm
      ApiUnreachable: the API server does not answer
    ");
}
