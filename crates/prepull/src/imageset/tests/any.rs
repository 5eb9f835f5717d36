//! Any input: a set or an error, and what the set says holds together.

use proptest::prelude::*;

use super::{Error, placed, set_of};

/// Texts that look like values, and worse.
fn any_values() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("off".to_owned()),
        Just("3.10".to_owned()),
        "[a-z]{1,5}(/[a-z]{1,3})?(:[0-9]{1,2})?".prop_map(|text| format!("'{text}'")),
        "'[ -~]{0,12}'",
        Just("'{value}'".to_owned()),
    ];
    let keys = prop_oneof![
        Just("singleuser"),
        Just("hub"),
        Just("extraConfig"),
        Just("config"),
        Just("KubeSpawner"),
        Just("image"),
        Just("name"),
        Just("tag"),
        Just("profileList"),
        Just("profile_options"),
        Just("choices"),
        Just("x"),
        Just("kubespawner_override"),
        Just("node_selector"),
        Just("init_containers"),
        Just("extraImages"),
        Just("prePuller"),
        Just("jupyterhub"),
        Just("unlisted_choice"),
        Just("enabled"),
        Just("extra_pod_config"),
    ];
    leaf.prop_recursive(8, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((keys.clone(), inner), 0..5).prop_map(|entries| {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn any_values_give_a_set_or_an_error(text in any_values()) {
        if let Ok(set) = set_of(&text) {
            for image in &set.images {
                prop_assert!(image.normalized.parse::<perijove_oci::Reference>().is_ok());
                prop_assert_eq!(image.sources.len(), image.places.len());
                for group in &image.groups {
                    prop_assert!(set.groups[*group].images.contains(&image.image));
                }
            }
            prop_assert!(set.groups.iter().all(|group| !group.images.is_empty()));
            // What stands for a user's own words is never written out.
            let leaks = serde_json::to_string(&set).unwrap().contains('\u{f8ff}');
            prop_assert!(!leaks);
        }
    }

    #[test]
    fn any_text_gives_a_set_or_an_error(text in "[ -~\n\t]{0,200}") {
        let _ = set_of(&text);
    }

    #[test]
    fn any_code_is_read_without_a_fault(code in "[ -~\n\t]{0,200}") {
        let values = serde_json::json!({"hub": {"extraConfig": {"x": code}}});
        let fine = matches!(set_of(&values.to_string()), Ok(_) | Err(Error::Type { .. } | Error::Reference { .. }));
        prop_assert!(fine);
    }

    /// Labels of profiles do not depend on the order in which profiles stand.
    #[test]
    fn the_order_of_profiles_changes_no_place(order in Just(vec![0, 1, 2, 3, 4]).prop_shuffle()) {
        let list = |order: &[usize]| {
            let profiles: Vec<String> = order.iter()
                .map(|n| format!("{{kubespawner_override: {{image: 'q/p:{n}', node_selector: {{pool: '{}'}}}}}}", n % 2))
                .collect();
            let mut lines: Vec<Vec<String>> = placed(&format!("singleuser: {{profileList: [{}]}}", profiles.join(", ")))
                .iter().map(|line| { let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect(); words.sort(); words })
                .collect();
            lines.sort();
            lines
        };
        prop_assert_eq!(list(&order), list(&[0, 1, 2, 3, 4]));
    }
}
