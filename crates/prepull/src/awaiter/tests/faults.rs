//! Each fault as it looks through the API, and when it is decided.

use serde_json::json;

use super::super::index::Kind;
use super::super::{Decision, NodeState, Quorum, Reason};
use super::scene::*;

#[test]
fn all_ready_is_warm_at_once() {
    let mut scene = Scene::of(2);
    scene.pods(&[warm("pull", "n1"), warm("pull", "n2")], 3);
    insta::assert_snapshot!(scene.told(3), @"
    3 s: Warm; 2 of 2 nodes warm
      n1 warm [warm warm]
      n2 warm [warm warm]
    ");
}

#[test]
fn a_missing_tag_fails_when_the_others_had_their_say() {
    let mut scene = Scene::of(2);
    scene.pods(
        &[taken("pull", "n1", &[running(), not_found()]), taken("pull", "n2", &[creating(), creating()])],
        3,
    );
    insta::assert_snapshot!(scene.told(3) + &scene.told(4), @r#"
    3 s: Wait(4s); 0 of 2 nodes warm, 1 pulling, 1 failed
      n1 failed [starting failed] ImageMissing: the registry has no such image (failed to pull and unpack image "r.example/gpu:2": failed to resolve reference "r.example/gpu:2": r.example/gpu:2: not found)
      n2 pulling [pulling waiting]
    4 s: Failed; 0 of 2 nodes warm, 1 pulling, 1 failed
      n1 failed [starting failed] ImageMissing: the registry has no such image (failed to pull and unpack image "r.example/gpu:2": failed to resolve reference "r.example/gpu:2": r.example/gpu:2: not found)
      n2 pulling [pulling waiting]
      QuorumLost: too many nodes failed
    "#);
    // With a quorum that can do without that node it goes on.
    scene.policy.quorum = Quorum::Percent(50);
    assert_eq!(scene.judged(4).decision, Decision::Wait(DEADLINE));
    scene.pods(&[warm("pull", "n2")], 9);
    assert_eq!(scene.judged(9).decision, Decision::Warm);
}

#[test]
fn an_event_tells_what_an_old_kubelet_does_not() {
    let mut scene = Scene::of(1);
    let back_off = waiting("ImagePullBackOff", "Back-off pulling image \"r.example/gpu:2\"");
    scene.pods(&[taken("pull", "n1", &[running(), back_off])], 3);
    assert_eq!(scene.judged(9).decision, Decision::Wait(DEADLINE));
    let why = "Failed to pull image \"r.example/gpu:2\": rpc error: code = Unknown desc = Error response from daemon: pull access denied for r.example/gpu, repository does not exist or may require 'docker login': denied: requested access to the resource is denied";
    scene.sees(Kind::Events, &event("pull-n1", "Failed", why), 9);
    assert_eq!(scene.judged(10).decision, Decision::Failed);
    assert_eq!(scene.judged(10).rows[0].finding.as_ref().map(|f| f.reason), Some(Reason::CredentialsRefused));
}

#[test]
fn what_may_heal_is_waited_for_until_the_deadline() {
    let mut scene = Scene::of(1);
    let refused = waiting("ErrImagePull", "dial tcp 10.77.0.1:5000: connect: connection refused");
    scene.pods(&[taken("pull", "n1", &[running(), refused])], 3);
    insta::assert_snapshot!(scene.told(599) + &scene.told(600), @"
    599 s: Wait(600s); 0 of 1 nodes warm, 1 pulling
      n1 pulling [starting retrying]
    600 s: Deadline; 0 of 1 nodes warm, 1 pulling
      n1 pulling [starting retrying]
    ");
    scene.pods(&[warm("pull", "n1")], 600);
    assert_eq!(scene.judged(601).decision, Decision::Warm);
}

/// Each fault of a node: what is seen, since when it is left out, and why.
#[test]
fn nodes_in_trouble_are_named_and_left_out() {
    let full = "0/2 nodes are available: 1 Too many pods, 1 node(s) didn't match Pod's node affinity/selector. preemption: 0/2 nodes are available";
    let pressed = "Pod was rejected: The node had condition: [DiskPressure]. ";
    let mut ending = warm("pull", "n2");
    ending["metadata"]["deletionTimestamp"] = json!("2026-11-22T12:00:00Z");
    for (seen, desired, after, reason) in [
        (unschedulable("pull", "n2", full), 2, 10, Reason::Full),
        (bound("pull", "n2"), 2, 60, Reason::Silent),
        (lost("pull", "n2"), 2, 3, Reason::NotReady),
        (rejected("pull", "n2", "Evicted", pressed), 2, 8, Reason::DiskPressure),
        (
            rejected("pull", "n2", "OutOfpods", "Pod was rejected: Node didn't have enough resource: pods"),
            2,
            8,
            Reason::Full,
        ),
        (ending, 1, 3, Reason::Silent),
    ] {
        let mut scene = Scene::of(desired);
        scene.pods(&[warm("pull", "n1"), seen], 100);
        let before = scene.judged(100 + after - 1);
        assert_eq!(before.decision, Decision::Wait(at(100 + after)), "{reason:?}");
        let then = scene.judged(100 + after);
        assert_eq!(then.decision, Decision::Warm, "{reason:?}");
        assert_eq!(
            (then.rows[1].state, then.rows[1].finding.as_ref().map(|f| f.reason)),
            (NodeState::Excluded, Some(reason))
        );
        // Alone, that is no success.
        scene.loses(Kind::Pods, &warm("pull", "n1"), 100);
        scene.sees(Kind::DaemonSets, &daemonset("pull", desired - 1), 100);
        let alone = scene.judged(100 + after);
        assert_eq!(alone.decision, Decision::Failed, "{reason:?}");
        assert_eq!(alone.findings[0].reason, Reason::AllExcluded);
    }
}

/// The controller deletes a rejected pod and makes another, again and again: the clock goes on.
#[test]
fn a_node_that_rejects_again_and_again_is_left_out() {
    let mut scene = Scene::of(2);
    scene.pods(&[warm("pull", "n1")], 0);
    for second in 0..9 {
        let mut pod = rejected("pull", "n2", "Evicted", "The node was low on resource: ephemeral-storage.");
        pod["metadata"]["uid"] = json!(format!("n2-{second}"));
        let mut new = bound("pull", "n2");
        new["metadata"]["uid"] = pod["metadata"]["uid"].clone();
        scene.pods(&[new, pod.clone()], second);
        scene.loses(Kind::Pods, &pod, second);
        let expected = if second < 8 { Decision::Wait(at(8)) } else { Decision::Warm };
        assert_eq!(scene.judged(second).decision, expected, "{second}");
    }
    // Room again: it counts again.
    scene.pods(&[taken("pull", "n2", &[creating(), creating()])], 20);
    assert_eq!(scene.judged(20).count(NodeState::Pulling), 1);
}

#[test]
fn nodes_that_are_read_say_it_themselves() {
    let cordoned = |mut node: serde_json::Value| {
        node["spec"]["unschedulable"] = json!(true);
        node["spec"]["taints"] = json!([{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}]);
        node
    };
    let tainted = |mut node: serde_json::Value| {
        node["spec"]["taints"] = json!([{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]);
        node
    };
    let condition = |mut node: serde_json::Value, kind: &str, status: &str| {
        let conditions = node["status"]["conditions"].as_array_mut().unwrap();
        conditions.retain(|c| c["type"] != kind);
        conditions.push(json!({"type": kind, "status": status, "message": "so it says"}));
        node
    };
    let other_pool = |mut node: serde_json::Value| {
        node["metadata"]["labels"]["pool"] = json!("core");
        node
    };
    let mut scene = Scene::of(6);
    scene.policy.nodes = true;
    let names = ["n1", "n2", "n3", "n4", "n5"];
    scene.pods(&names.map(|name| warm("pull", name)), 0);
    scene.lists(
        Kind::Nodes,
        &[
            node("n1"),
            cordoned(node("n2")),
            condition(node("n3"), "Ready", "Unknown"),
            condition(node("n4"), "DiskPressure", "True"),
            condition(node("n5"), "Ready", "False"),
            node("n6"),
            tainted(node("n7")),
            other_pool(node("n8")),
        ],
        0,
    );
    insta::assert_snapshot!(scene.told(0) + &scene.told(60), @r"
    0 s: Wait(3s); 3 of 4 nodes warm, 1 pulling, 3 left out
      n1 warm [warm warm]
      n2 excluded [warm warm] Cordoned: the node is cordoned
      n3 warm [warm warm]
      n4 excluded [warm warm] DiskPressure: the node is under disk pressure (so it says)
      n5 warm [warm warm]
      n6 pulling [] PodsMissing: nodes have no pod yet (1)
      n7 excluded [] Tainted: the node has a taint that the puller does not tolerate (gpu=yes:NoSchedule)
    60 s: Wait(600s); 1 of 2 nodes warm, 1 pulling, 5 left out
      n1 warm [warm warm]
      n2 excluded [warm warm] Cordoned: the node is cordoned
      n3 excluded [warm warm] Silent: the node does not answer (so it says)
      n4 excluded [warm warm] DiskPressure: the node is under disk pressure (so it says)
      n5 excluded [warm warm] NotReady: the node is not ready (so it says)
      n6 pulling [] PodsMissing: nodes have no pod yet (1)
      n7 excluded [] Tainted: the node has a taint that the puller does not tolerate (gpu=yes:NoSchedule)
    ");
}

#[test]
fn zero_nodes_are_a_success_only_when_the_controller_has_spoken() {
    let mut scene = Scene::default();
    let mut silent = daemonset("pull", 0);
    silent["status"] = json!({});
    scene.lists(Kind::DaemonSets, &[silent], 0);
    scene.lists(Kind::Pods, &[], 0);
    insta::assert_snapshot!(scene.told(60), @"
    60 s: Wait(600s); 0 of 0 nodes warm
      Unanswered: the DaemonSet's controller has not spoken (pull)
    ");
    scene.sees(Kind::DaemonSets, &daemonset("pull", 0), 60);
    insta::assert_snapshot!(scene.told(60), @"
    60 s: Warm; 0 of 0 nodes warm
      NoNode: no node matches
    ");
    assert_eq!(Scene::of(0).judged(1).decision, Decision::Wait(at(2)));
}

#[test]
fn a_status_of_the_generation_before_does_not_count() {
    let mut scene = Scene::of(1);
    scene.pods(&[warm("pull", "n1")], 0);
    let mut changed = daemonset("pull", 1);
    changed["metadata"]["generation"] = json!(2);
    changed["metadata"]["annotations"]["deprecated.daemonset.template.generation"] = json!("2");
    scene.sees(Kind::DaemonSets, &changed, 1);
    assert_eq!(scene.judged(1).decision, Decision::Wait(DEADLINE));
    changed["status"]["observedGeneration"] = json!(2);
    scene.sees(Kind::DaemonSets, &changed, 2);
    insta::assert_snapshot!(scene.told(2), @"
    2 s: Wait(600s); 0 of 1 nodes warm, 1 pulling
      n1 pulling [warm warm] PodOfBefore: the pod is of the set before (pull-n1)
    ");
    let mut new = warm("pull", "n1");
    new["metadata"]["uid"] = json!("new");
    new["metadata"]["labels"]["pod-template-generation"] = json!("2");
    scene.pods(&[new], 3);
    assert_eq!(scene.judged(3).decision, Decision::Warm);
}

#[test]
fn a_deleted_daemonset_ends_the_run() {
    let mut scene = Scene::of(1);
    scene.loses(Kind::DaemonSets, &daemonset("pull", 1), 3);
    insta::assert_snapshot!(scene.told(3), @"
    3 s: Failed; 0 of 0 nodes warm
      DaemonSetDeleted: a DaemonSet was deleted while it was waited for (pull)
    ");
    // Deleted while nobody looked, and while it is going.
    let mut scene = Scene::of(1);
    scene.lists(Kind::DaemonSets, &[], 3);
    assert_eq!(scene.judged(3).decision, Decision::Failed);
    let mut going = daemonset("pull", 1);
    going["metadata"]["deletionTimestamp"] = json!("2026-11-22T12:00:00Z");
    assert_eq!(Scene::of(1).sees(Kind::DaemonSets, &going, 3).judged(3).decision, Decision::Failed);
}

#[test]
fn a_selector_that_matches_nothing_is_waited_for() {
    let mut scene = Scene::default();
    scene.lists(Kind::DaemonSets, &[], 0);
    scene.lists(Kind::Pods, &[], 0);
    assert_eq!(scene.judged(599).decision, Decision::Wait(DEADLINE));
    let verdict = scene.judged(600);
    assert_eq!((verdict.decision, verdict.findings[0].reason), (Decision::Deadline, Reason::NoDaemonSet));
    let mut scene = Scene::of(1);
    scene.policy.expect = 2;
    scene.pods(&[warm("pull", "n1")], 0);
    assert_eq!(scene.judged(1).decision, Decision::Wait(DEADLINE));
}
