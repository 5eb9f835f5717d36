//! The pullers' objects as the awaiter and the API server see them.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::awaiter::images::images_of;
use crate::awaiter::model::PodSpec;
use crate::imageset::Placement;

fn placement() -> Placement {
    Placement {
        node_selector: BTreeMap::from([("pool".to_owned(), "gpu".to_owned())]),
        tolerations: vec![
            json!({"key": "hub.jupyter.org/dedicated", "operator": "Equal", "value": "user", "effect": "NoSchedule"}),
        ],
        affinity: vec![json!({"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]})],
        extended_resources: vec!["nvidia.com/gpu".to_owned()],
    }
}

fn images() -> Vec<PullerImage> {
    [("quay.io/jupyter/base:1", None), ("r.example/gpu:2", Some("Always"))]
        .map(|(reference, policy)| PullerImage {
            reference: reference.to_owned(),
            pull_policy: policy.map(str::to_owned),
        })
        .into()
}

fn with<T>(mode: Mode, instance: &str, images: &[PullerImage], look: impl FnOnce(&Puller<'_>) -> T) -> T {
    let (placement, secrets) = (placement(), ["regcred".to_owned()]);
    look(&Puller {
        instance,
        namespace: "hub",
        component: Component::Warm,
        images,
        placement: &placement,
        tolerations: &[],
        pull_secrets: &secrets,
        own_image: "quay.io/example/await:1",
        mode,
        priority_class: None,
    })
}

fn made(mode: Mode, instance: &str, images: &[PullerImage]) -> Value {
    with(mode, instance, images, daemonset)
}

#[test]
fn a_puller_with_volumes_of_images() {
    insta::assert_snapshot!(
        serde_json::to_string_pretty(&made(Mode::ImageVolumes, "hub", &images())).unwrap()
    );
}

#[test]
fn a_puller_with_a_noop() {
    insta::assert_snapshot!(serde_json::to_string_pretty(&made(Mode::Noop, "hub", &images())).unwrap());
}

#[test]
fn the_awaiter_reads_what_is_made() {
    for mode in [Mode::ImageVolumes, Mode::Noop] {
        let made = made(mode, "hub", &images());
        let spec: PodSpec = serde_json::from_value(made["spec"]["template"]["spec"].clone()).unwrap();
        let read: Vec<_> = images_of(&spec)
            .into_iter()
            .map(|one| (one.container.to_string(), one.image.to_string(), one.init))
            .collect();
        assert_eq!(
            read,
            [
                ("image-0".to_owned(), "quay.io/jupyter/base:1".to_owned(), false),
                ("image-1".to_owned(), "r.example/gpu:2".to_owned(), false),
            ],
            "{mode:?}"
        );
    }
}

proptest! {
    #[test]
    fn names_are_valid_and_tell_sets_apart(instance in ".{0,80}", one in "[a-z]{1,9}:[a-z0-9]{1,5}", other in "[a-z]{1,9}:[a-z0-9]{1,5}") {
        let image = |reference: &str| vec![PullerImage { reference: reference.to_owned(), pull_policy: None }];
        let name = |images: &[PullerImage]| made(Mode::Noop, &instance, images)["metadata"]["name"].as_str().unwrap().to_owned();
        let (first, second) = (name(&image(&one)), name(&image(&other)));
        prop_assert_eq!(&first, &name(&image(&one)));
        prop_assert_eq!(first == second, one == other);
        prop_assert!(first.len() <= 52);
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        prop_assert!(first.chars().all(valid) && !first.starts_with('-') && !first.ends_with('-'), "{}", first);
        let made = made(Mode::Noop, &instance, &image(&one));
        let label = made["metadata"]["labels"]["app.kubernetes.io/instance"].as_str().unwrap();
        prop_assert!(label.len() <= 63 && label.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)));
        prop_assert_eq!(&made["spec"]["selector"]["matchLabels"], &made["spec"]["template"]["metadata"]["labels"]);
    }
}
