//! What `bench/prepull` decides without a cluster: what is true of an end, what strikes when, and today's rule.

#![allow(clippy::unwrap_used, dead_code, reason = "tests fail at once; the rest is for the benchmark")]

#[path = "../../../bench/prepull/schedule.rs"]
mod schedule;
#[allow(clippy::print_stderr, reason = "it is a program there")]
#[path = "../../../bench/prepull/today.rs"]
mod today;
#[path = "../../../bench/prepull/truth.rs"]
mod truth;

use std::collections::BTreeSet;
use std::time::Duration;

use perijove_testkit::cluster::Fault;
use serde_json::{Value, json};
use truth::{Answer, Images, Outcome};

#[test]
fn an_end_is_judged_by_what_the_nodes_have() {
    use Images::{Come, ComeLate, NeverCome};
    // outcome, what becomes of the images, nodes that lack one, answer
    let cases = [
        (Outcome::Success, Come, 0, Answer::Right),
        (Outcome::Success, Come, 1, Answer::FalseSuccess),
        (Outcome::Success, NeverCome, 3, Answer::FalseSuccess),
        // No node is left that could take them.
        (Outcome::Success, NeverCome, 0, Answer::Right),
        (Outcome::Failed, NeverCome, 3, Answer::Right),
        (Outcome::Failed, Come, 2, Answer::FalseFailure),
        (Outcome::Failed, ComeLate, 3, Answer::FalseFailure),
        (Outcome::TimeOver, NeverCome, 3, Answer::FalseHang),
        (Outcome::TimeOver, Come, 0, Answer::FalseHang),
        (Outcome::TimeOver, Come, 1, Answer::FalseHang),
        (Outcome::TimeOver, ComeLate, 0, Answer::FalseHang),
        (Outcome::TimeOver, ComeLate, 1, Answer::Right),
    ];
    for (outcome, images, lacking, answer) in cases {
        assert_eq!(truth::judge(outcome, images, lacking), answer, "{outcome:?} {images:?} {lacking}");
    }
}

fn node(spec: &Value, ready: &str, pressure: &str) -> Value {
    let conditions =
        json!([{"type": "Ready", "status": ready}, {"type": "DiskPressure", "status": pressure}]);
    json!({"spec": spec, "status": {"conditions": conditions, "allocatable": {"pods": "2"}}})
}

#[test]
fn a_node_that_can_take_a_pod_is_told_from_one_that_cannot() {
    let taint = |effect: &str| json!({"taints": [{"key": "k", "effect": effect}]});
    let well = node(&json!({}), "True", "False");
    // node, pods there, one is the puller's, why not
    let cases = [
        (well.clone(), 1, false, None),
        (well.clone(), 2, false, Some("full")),
        (well, 2, true, None),
        (node(&json!({"unschedulable": true}), "True", "False"), 0, false, Some("cordoned")),
        (node(&json!({}), "Unknown", "False"), 0, false, Some("not ready")),
        (node(&json!({}), "True", "True"), 0, true, Some("DiskPressure")),
        (node(&taint("NoSchedule"), "True", "False"), 0, false, Some("tainted k")),
        (node(&taint("PreferNoSchedule"), "True", "False"), 0, false, None),
    ];
    for (node, bound, own, why) in cases {
        assert_eq!(truth::out(&node, bound, own).as_deref(), why, "{node}");
    }
}

#[test]
fn percentiles_are_values_of_the_list() {
    let values = [5.0, 1.0, 4.0, 2.0, 3.0];
    for (percent, value) in [(0, 1.0), (50, 3.0), (90, 5.0), (100, 5.0)] {
        assert_eq!(truth::percentile(&values, percent), Some(value));
    }
    assert_eq!(truth::percentile(&[], 50), None);
}

#[test]
fn random_faults_are_all_of_them_and_the_same_for_a_seed() {
    let plans: Vec<_> = (0..500).map(|run| schedule::plan(7, run)).collect();
    let again: Vec<_> = (0..500).map(|run| schedule::plan(7, run)).collect();
    assert_eq!(format!("{plans:?}"), format!("{again:?}"));
    let other: Vec<_> = (0..500).map(|run| schedule::plan(8, run)).collect();
    assert_ne!(format!("{plans:?}"), format!("{other:?}"));
    let met: BTreeSet<&str> = plans.iter().map(|plan| plan.fault.name()).collect();
    assert_eq!(met, Fault::ALL.iter().map(|(name, _)| *name).collect());
    assert_eq!(plans.iter().map(|plan| plan.node).collect::<BTreeSet<_>>(), [1, 2, 3].into());
    for plan in plans {
        assert!(plan.strikes < Duration::from_secs(6), "{plan:?}");
        let away = matches!(plan.fault, Fault::RegistryDown | Fault::ApiServerRestarted);
        assert!(!away || plan.heals.is_some(), "what is nobody's mistake comes back: {plan:?}");
    }
}

#[test]
fn todays_rule_wants_all_at_first_and_then_what_there_is() {
    let set = |ready: u32, current: u32, desired: u32| json!({"status": {"numberReady": ready, "currentNumberScheduled": current, "desiredNumberScheduled": desired}});
    for (set, poll, content) in [
        (json!({"status": {}}), 0, true),
        (set(2, 3, 3), 0, false),
        (set(3, 3, 3), 0, true),
        (set(2, 2, 3), 9, false),
        (set(2, 2, 3), 10, true),
        (set(0, 0, 3), 10, true),
        (set(2, 3, 3), 10, false),
    ] {
        assert_eq!(today::is_content(&set, poll), content, "{set} at {poll}");
    }
}
