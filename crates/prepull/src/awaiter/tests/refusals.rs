//! Pods that the cluster refuses to create.

use serde_json::{Value, json};

use super::super::index::Kind;
use super::super::refusals::is_final_refusal;
use super::super::{Decision, Reason};
use super::scene::*;

const QUOTA: &str = "Error creating: pods \"pull-x\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=9, limited: pods=9";
const CLASS: &str = "Error creating: pods \"pull-x\" is forbidden: no PriorityClass with name hub-image-puller-priority was found";
const DENIED: &str = "Error creating: admission webhook \"policy.example.com\" denied the request: no";

fn refused(message: &str) -> Value {
    let about = json!({"kind": "DaemonSet", "name": "pull", "uid": "pull"});
    json!({"involvedObject": about, "reason": "FailedCreate", "message": message})
}

fn found(scene: &Scene, now: u64) -> Vec<Reason> {
    scene.judged(now).findings.iter().map(|finding| finding.reason).collect()
}

#[test]
fn pods_that_the_cluster_refuses_are_told() {
    for (message, end) in [(QUOTA, Decision::Wait(DEADLINE)), (CLASS, Decision::Failed)] {
        let mut scene = Scene::of(3);
        scene.sees(Kind::Events, &refused(message), 1);
        assert_eq!(scene.judged(2).decision, Decision::Wait(if message == CLASS { at(6) } else { DEADLINE }));
        let verdict = scene.judged(6);
        assert_eq!(verdict.decision, end);
        assert_eq!(verdict.findings[0].reason, Reason::PodsRefused);
        assert!(verdict.findings[0].said.contains("forbidden"));
    }
}

/// Two of three pods are let through, in whatever order the words come: why the third does not come is not forgotten.
#[test]
fn a_refusal_is_told_for_as_long_as_pods_are_lacking() {
    for events_first in [true, false] {
        let mut scene = Scene::of(3);
        let pods = [warm("pull", "n1"), warm("pull", "n2")];
        if events_first {
            scene.sees(Kind::Events, &refused(QUOTA), 1).pods(&pods, 1);
        } else {
            scene.pods(&pods, 1).sees(Kind::Events, &refused(QUOTA), 1);
        }
        insta::allow_duplicates! {
            insta::assert_snapshot!(scene.told(599) + &scene.told(600), @r#"
            599 s: Wait(600s); 2 of 3 nodes warm, 1 without a pod
              n1 warm [warm warm]
              n2 warm [warm warm]
              PodsRefused: the cluster refuses the pullers' pods (pods "pull-x" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=9, limited: pods=9)
              PodsMissing: nodes have no pod yet (1)
            600 s: Deadline; 2 of 3 nodes warm, 1 without a pod
              n1 warm [warm warm]
              n2 warm [warm warm]
              PodsRefused: the cluster refuses the pullers' pods (pods "pull-x" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=9, limited: pods=9)
              PodsMissing: nodes have no pod yet (1)
            "#);
        }
        // Room again, and it is over: also when a node joins later, which takes its moment.
        scene.pods(&[taken("pull", "n3", &[creating(), creating()])], 300);
        assert_eq!(found(&scene, 300), []);
        scene.sees(Kind::DaemonSets, &daemonset("pull", 4), 301);
        assert_eq!(found(&scene, 310), [Reason::PodsMissing]);
    }
}

/// A refusal that is final ends the run also where some pods came before it; one that was overcome does not.
#[test]
fn what_is_final_fails_while_pods_are_lacking() {
    let mut scene = Scene::of(3);
    scene.pods(&[warm("pull", "n1"), warm("pull", "n2")], 1).sees(Kind::Events, &refused(DENIED), 10);
    assert_eq!(scene.judged(14).decision, Decision::Wait(at(15)));
    assert_eq!(scene.judged(15).decision, Decision::Failed);
    // Pods come after all, one by one: each is a reason to wait for the next.
    let mut scene = Scene::of(3);
    scene.sees(Kind::Events, &refused(DENIED), 1);
    scene.pods(&[warm("pull", "n1")], 4).pods(&[warm("pull", "n2")], 8);
    assert_eq!(scene.judged(8).decision, Decision::Wait(at(13)));
    scene.pods(&[warm("pull", "n3")], 12);
    assert_eq!(scene.judged(13).decision, Decision::Warm);
    // What waits for a quota, and then meets a final word, has its time to take it back.
    let mut scene = Scene::of(3);
    scene.sees(Kind::Events, &refused(QUOTA), 1).sees(Kind::Events, &refused(CLASS), 50);
    assert_eq!(scene.judged(50).decision, Decision::Wait(at(55)));
}

fn said_at(message: &str, time: &str) -> Value {
    let mut event = refused(message);
    event["lastTimestamp"] = json!(time);
    event
}

/// Events are told again, and in any order, when their stream begins anew.
#[test]
fn the_latest_refusal_counts_and_none_twice() {
    let mut scene = Scene::of(3);
    scene.sees(Kind::Events, &said_at(CLASS, "2026-11-22T12:01:00Z"), 1);
    scene.sees(Kind::Events, &said_at(QUOTA, "2026-11-22T12:20:00Z"), 2);
    scene.sees(Kind::Events, &said_at(CLASS, "2026-11-22T12:01:00Z"), 3);
    assert_eq!(scene.judged(100).decision, Decision::Wait(DEADLINE));
    scene.pods(&["n1", "n2", "n3"].map(|node| warm("pull", node)), 101);
    scene.sees(Kind::DaemonSets, &daemonset("pull", 4), 102);
    scene.sees(Kind::Events, &said_at(QUOTA, "2026-11-22T12:20:00Z"), 103);
    assert_eq!(found(&scene, 110), [Reason::PodsMissing]);
}

/// Pods may have come, and nobody can say so.
#[test]
fn nothing_is_refused_for_good_while_the_server_is_away() {
    let mut scene = Scene::of(3);
    scene.sees(Kind::Events, &refused(CLASS), 1);
    scene.observed.troubled(Kind::Pods, Some("connection refused".to_owned()));
    // What another stream hears is no word on this one.
    scene.observed.troubled(Kind::Events, Some("connection refused".to_owned()));
    scene.observed.troubled(Kind::Events, None);
    assert!(matches!(scene.judged(60).decision, Decision::Wait(_)));
    scene.observed.troubled(Kind::Pods, None);
    assert_eq!(scene.judged(60).decision, Decision::Failed);
}

/// The controllers of old Kubernetes say nothing of their numbers while a creation fails.
#[test]
fn a_refusal_before_the_controllers_first_word_is_told() {
    let mut silent = daemonset("pull", 0);
    silent["status"] = json!({});
    let mut scene = Scene::default();
    scene.lists(Kind::DaemonSets, &[silent], 0).lists(Kind::Pods, &[warm("pull", "n1")], 0);
    scene.sees(Kind::Events, &refused(QUOTA), 1);
    assert_eq!(found(&scene, 9), [Reason::PodsRefused, Reason::Unanswered]);
}

/// As admission wrote them, and whether it is of any use to wait.
#[test]
fn knows_what_admission_says() {
    for (message, is_final) in [
        (
            "pods \"pull-x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
            true,
        ),
        (
            "pods \"pull-\" is forbidden: unable to validate against any security context constraint: [provider \"anyuid\": Forbidden: not usable by user or serviceaccount, provider restricted-v2: .containers[0].runAsUser: Invalid value: 65534: must be in the ranges: [1000640000, 1000649999]]",
            true,
        ),
        ("pods \"pull-\" is forbidden: PodSecurityPolicy: unable to admit pod: []", true),
        ("pods \"pull-\" is forbidden: unable to validate against any pod security policy: []", true),
        (
            "pods \"pull-x\" is forbidden: error looking up service account hub/hook: serviceaccount \"hook\" not found",
            true,
        ),
        (
            "pods \"pull-x\" is forbidden: unable to create new content in namespace hub because it is being terminated",
            true,
        ),
        ("Pod \"pull-x\" is invalid: spec.containers[0].name: Required value", true),
        // Policy engines: Kyverno, Gatekeeper, anybody's.
        (
            "admission webhook \"validate.kyverno.svc-fail\" denied the request: resource Pod/hub/pull-x was blocked due to the following policies require-labels: check: 'validation error: label team is required'",
            true,
        ),
        (
            "admission webhook \"validation.gatekeeper.sh\" denied the request: [allowed-repos] container <image-0> has an invalid image repo <r.example/a:1>",
            true,
        ),
        ("admission webhook \"policy.example.com\" denied the request without explanation", true),
        (
            "pods \"pull-x\" is forbidden: ValidatingAdmissionPolicy 'limits' with binding 'limits-all' denied request: failed expression: object.spec.containers.all(c, has(c.resources.limits))",
            true,
        ),
        (
            "pods \"pull-x\" is forbidden: pod node label selector conflicts with its namespace node label selector",
            true,
        ),
        (
            "pods \"pull-x\" is forbidden: minimum memory usage per Container is 64Mi, but request is 16Mi",
            true,
        ),
        ("pods \"pull-x\" is forbidden: maximum memory usage per Pod is 1Gi.  No limit is specified", true),
        (
            "pods \"pull-x\" is forbidden: failed quota: compute: must specify limits.memory for: image-0",
            true,
        ),
        // It may heal.
        (
            "pods \"pull-x\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=9, limited: pods=9",
            false,
        ),
        (
            "Internal error occurred: failed calling webhook \"validate.kyverno.svc-fail\": failed to call webhook: Post \"https://kyverno-svc.kyverno.svc:443/validate/fail?timeout=10s\": no endpoints available for service \"kyverno-svc\"",
            false,
        ),
        (
            "admission webhook \"mutate.kyverno.svc-fail\" denied the request: failed to verify image r.example/a:1: Get \"https://r.example/v2/\": dial tcp 192.0.2.1:443: i/o timeout",
            false,
        ),
        (
            "admission webhook \"resources.example.com\" denied the request: tenant quota exceeded for pods",
            false,
        ),
        ("Timeout: request did not complete within requested timeout - context deadline exceeded", false),
        ("etcdserver: leader changed", false),
    ] {
        assert_eq!(is_final_refusal(message), is_final, "{message}");
    }
}
