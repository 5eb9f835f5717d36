//! What holds whatever happens.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::index::{Kind, Object, Observed, Update};
use super::super::{Decision, ImageState, NodeState, Policy, Quorum, judge};
use super::scene::*;

/// Any pod that a node may show.
fn any_pod(set: &'static str, node: String) -> impl Strategy<Value = Value> {
    let state = prop_oneof![
        Just(running()),
        Just(creating()),
        Just(not_found()),
        Just(waiting("ErrImagePull", "connection refused")),
        Just(json!({"terminated": {"exitCode": 1, "reason": "Error", "message": ""}})),
        Just(Value::Null),
    ];
    let states = proptest::collection::vec(state, 2);
    let all = (0..9u8, states, any::<bool>(), any::<[bool; 2]>());
    all.prop_map(move |(kind, states, old, ready)| {
        let mut it = match kind {
            0 => pod(set, &node),
            1 => bound(set, &node),
            2 => unschedulable(set, &node, "0/1 nodes are available: 1 Too many pods."),
            3 => rejected(set, &node, "Evicted", "The node had condition: [DiskPressure]."),
            4 => lost(set, &node),
            5 | 6 => warm(set, &node),
            _ => {
                let mut it = taken(set, &node, &states);
                for (n, status) in
                    it["status"]["containerStatuses"].as_array_mut().unwrap().iter_mut().enumerate()
                {
                    let runs = status["state"]["running"].is_object();
                    status["ready"] = json!(runs && ready[n]);
                }
                it
            }
        };
        if old {
            it["metadata"]["labels"]["pod-template-generation"] = json!("0");
        }
        it
    })
}

fn any_scene() -> impl Strategy<Value = (Vec<Value>, Vec<Value>, u32, u8)> {
    let pods: Vec<_> = (0..4).map(|n| proptest::option::of(any_pod("pull", format!("n{n}")))).collect();
    let more: Vec<_> = (0..4).map(|n| proptest::option::of(any_pod("gpu", format!("n{n}")))).collect();
    let only = |pods: Vec<Option<Value>>| pods.into_iter().flatten().collect::<Vec<Value>>();
    (pods, more, 0u32..5, 1u8..=100)
        .prop_map(move |(pods, more, desired, quorum)| (only(pods), only(more), desired, quorum))
}

fn observed(objects: &[(Kind, Value)]) -> Observed {
    let mut observed = Observed::default();
    for kind in [Kind::DaemonSets, Kind::Pods] {
        observed.update(Update::Begin(kind), at(0));
        for (_, value) in objects.iter().filter(|(of, _)| *of == kind) {
            observed.update(Update::Apply(read(kind, value)), at(0));
        }
        observed.update(Update::Done(kind), at(0));
    }
    observed
}

fn objects((pods, more, desired, _): &(Vec<Value>, Vec<Value>, u32, u8)) -> Vec<(Kind, Value)> {
    let sets = [daemonset("pull", *desired), daemonset("gpu", u32::try_from(more.len()).unwrap())];
    let sets = sets.into_iter().map(|set| (Kind::DaemonSets, set));
    sets.chain(pods.iter().chain(more).map(|pod| (Kind::Pods, pod.clone()))).collect()
}

/// Whether everything about a pod says that its images are there and in use.
fn is_perfect(pod: &Value) -> bool {
    let statuses = pod["status"]["containerStatuses"].as_array();
    let ready = statuses.is_some_and(|all| all.len() == 2 && all.iter().all(|s| s["ready"] == true));
    let conditions = pod["status"]["conditions"].as_array();
    let says =
        conditions.is_some_and(|all| all.iter().any(|c| c["type"] == "Ready" && c["status"] == "True"));
    ready && says && pod["metadata"]["labels"]["pod-template-generation"] == "1"
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn warm_is_never_said_too_early(scene in any_scene(), now in 0u64..700) {
        let objects = objects(&scene);
        let verdict = judge(&observed(&objects), &Policy::default(), at(now), DEADLINE);
        let pods: Vec<&Value> = objects.iter().filter(|(kind, _)| *kind == Kind::Pods).map(|(_, pod)| pod).collect();
        for row in &verdict.rows {
            let of_node: Vec<_> = pods.iter().filter(|pod| pod["metadata"]["name"].as_str().unwrap().ends_with(&*row.node)).collect();
            let perfect = of_node.iter().all(|pod| is_perfect(pod));
            prop_assert_eq!(row.state == NodeState::Warm, perfect, "{:?}", row);
            if perfect {
                prop_assert!(row.cells.iter().all(|cell| cell.state == ImageState::Warm));
            }
        }
        if verdict.decision == Decision::Warm && !verdict.rows.is_empty() {
            prop_assert_eq!(verdict.missing, 0);
            prop_assert!(verdict.rows.iter().all(|row| matches!(row.state, NodeState::Warm | NodeState::Excluded)));
            prop_assert!(verdict.rows.iter().any(|row| row.state == NodeState::Warm));
            prop_assert!(pods.len() >= scene.2 as usize);
        }
    }

    #[test]
    fn the_order_in_which_things_come_does_not_matter(scene in any_scene(), seed in any::<u64>(), now in 0u64..700) {
        let objects = objects(&scene);
        let mut mixed = objects.clone();
        let mut state = seed;
        for at in (1..mixed.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            mixed.swap(at, usize::try_from(state >> 33).unwrap() % (at + 1));
        }
        let policy = Policy { quorum: Quorum::Percent(scene.3), ..Policy::default() };
        let judged = |objects: &[(Kind, Value)]| judge(&observed(objects), &policy, at(now), DEADLINE);
        prop_assert_eq!(judged(&objects), judged(&mixed));
    }

    #[test]
    fn every_node_counts_once_and_the_decision_follows(scene in any_scene(), now in 0u64..700) {
        let policy = Policy { quorum: Quorum::Percent(scene.3), ..Policy::default() };
        let verdict = judge(&observed(&objects(&scene)), &policy, at(now), DEADLINE);
        let states = [NodeState::Warm, NodeState::Pulling, NodeState::Excluded, NodeState::Failed];
        let counted: usize = states.iter().map(|state| verdict.count(*state)).sum();
        prop_assert_eq!(counted, verdict.rows.len());
        let mut names: Vec<_> = verdict.rows.iter().map(|row| row.node.clone()).collect();
        names.dedup();
        prop_assert_eq!(names.len(), verdict.rows.len());
        match verdict.decision {
            // Nobody waits beyond the deadline, nor for a time that has passed.
            Decision::Wait(until) => prop_assert!(until > at(now) && until <= DEADLINE),
            Decision::Deadline => prop_assert!(at(now) >= DEADLINE),
            Decision::Warm => prop_assert!(verdict.count(NodeState::Warm) >= verdict.required),
            Decision::Failed => prop_assert!(!verdict.findings.is_empty()),
        }
    }

    /// A later list says all there is: whatever was seen before, the judge sees what it would have seen alone.
    #[test]
    fn a_list_replaces_what_was_before(before in any_scene(), after in any_scene()) {
        let (before, after) = (objects(&before), objects(&after));
        let mut twice = observed(&before);
        for kind in [Kind::DaemonSets, Kind::Pods] {
            twice.update(Update::Begin(kind), at(5));
            for (_, value) in after.iter().filter(|(of, _)| *of == kind) {
                twice.update(Update::Apply(read(kind, value)), at(5));
            }
            twice.update(Update::Done(kind), at(5));
        }
        let once = observed(&after);
        prop_assert_eq!(twice.pods.keys().collect::<Vec<_>>(), once.pods.keys().collect::<Vec<_>>());
        prop_assert_eq!(twice.daemonsets.keys().collect::<Vec<_>>(), once.daemonsets.keys().collect::<Vec<_>>());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn nothing_that_parses_makes_it_panic(
        phase in "[A-Za-z]{0,8}", reason in ".{0,40}", message in ".{0,300}", count in 0u32..9,
    ) {
        let mut scene = Scene::of(2);
        let state = waiting(&reason, &message);
        let mut one = taken("pull", "n1", &[state.clone(), state]);
        one["status"]["phase"] = json!(phase);
        one["status"]["containerStatuses"][0]["restartCount"] = json!(count);
        scene.pods(&[one, rejected("pull", "n2", &reason, &message), unschedulable("pull", "n3", &message)], 0);
        scene.sees(Kind::Events, &event("pull-n1", "Failed", &message), 0);
        scene.sees(Kind::Events, &event("pull-n1", "Pulled", &message), 0);
        scene.judged(600);
        let object = read(Kind::Events, &event("pull-n1", &reason, &message));
        prop_assert!(matches!(object, Object::Event(_)));
    }
}
