//! How Helm puts values together: files over files, then all over the chart's defaults.
//!
//! Helm: `loader.MergeMaps` for `-f`, `util.CoalesceTables` for the defaults.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::node::{Node, Value};

/// `over` on `base`: mappings merge, all else replaces, null too.
pub fn merge(base: Node, over: Node) -> Node {
    let at = over.at;
    match (base.value, over.value) {
        (Value::Map(mut map), Value::Map(entries)) => {
            for (key, node) in entries {
                match map.entry(key) {
                    Entry::Vacant(place) => {
                        place.insert(node);
                    }
                    Entry::Occupied(mut place) => {
                        let below = std::mem::replace(&mut place.get_mut().value, Value::Null);
                        let below = Node { value: below, at: place.get().at, path: 0 };
                        place.insert(merge(below, node));
                    }
                }
            }
            Node { value: Value::Map(map), at, path: 0 }
        }
        (_, value) => Node { value, at, path: 0 },
    }
}

/// `values` on the chart's `defaults`: a null removes a default; a table never gives way to what is none, nor what
/// is none to a table.
///
/// `wrapped` says that the chart is another one's dependency: there a null stays, and hides the default as well.
pub fn coalesce(values: Node, defaults: &Node, wrapped: bool) -> Node {
    let (mut map, origin) = match values.value {
        Value::Map(map) => (map, values.at),
        _ => (BTreeMap::new(), values.at),
    };
    if let Value::Map(defaults) = &defaults.value {
        for (key, default) in defaults {
            match map.entry(key.clone()) {
                Entry::Vacant(place) => {
                    place.insert(default.clone());
                }
                Entry::Occupied(place) if place.get().is_null() => {
                    if !wrapped {
                        place.remove();
                    }
                }
                Entry::Occupied(mut place) => {
                    if matches!((&place.get().value, &default.value), (Value::Map(_), Value::Map(_))) {
                        let at = place.get().at;
                        let below = std::mem::replace(&mut place.get_mut().value, Value::Null);
                        place.insert(coalesce(Node { value: below, at, path: 0 }, default, wrapped));
                    }
                }
            }
        }
    }
    Node { value: Value::Map(map), at: origin, path: 0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::imageset::read::read;

    fn node(text: &str) -> Node {
        read(text, "v", 0).unwrap().root
    }

    #[test]
    fn files_merge_as_helm_merges_them() {
        for (base, over, expected) in [
            ("a: {x: 1, xw: 2}", "a: {xw: 3}", r#"{"a":{"x":1,"xw":3}}"#),
            ("a: [1, 2]", "a: [3]", r#"{"a":[3]}"#),
            ("a: {x: 1}", "a: null", r#"{"a":null}"#),
            ("a: null", "a: {x: 1}", r#"{"a":{"x":1}}"#),
            ("a: {x: 1}", "a: text", r#"{"a":"text"}"#),
            ("a: {x: {xw: 1}}", "a: {x: {xw: null, z: 2}}", r#"{"a":{"x":{"xw":null,"z":2}}}"#),
        ] {
            assert_eq!(merge(node(base), node(over)).json().to_string(), expected, "{base} / {over}");
        }
    }

    #[test]
    fn defaults_give_way() {
        for (values, wrapped, expected) in [
            ("{}", false, r#"{"a":{"x":1},"l":[1]}"#),
            ("a: {xw: 2}", false, r#"{"a":{"x":1,"xw":2},"l":[1]}"#),
            ("a: {x: null}", false, r#"{"a":{},"l":[1]}"#),
            ("a: {x: null}", true, r#"{"a":{"x":null},"l":[1]}"#),
            ("a: null\nl: []", false, r#"{"l":[]}"#),
            ("a: {z: null}", false, r#"{"a":{"x":1,"z":null},"l":[1]}"#),
            ("a: text", false, r#"{"a":"text","l":[1]}"#),
        ] {
            let merged = coalesce(node(values), &node("a: {x: 1}\nl: [1]"), wrapped);
            assert_eq!(merged.json().to_string(), expected, "{values}");
        }
    }

    /// Tables at `t*`, all else at other keys: no table ever meets what is none.
    fn shaped() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            "[a-z]{1,3}".prop_map(|text| format!("'{text}'")),
            "[0-9]{1,2}".prop_map(|number| format!("[{number}]")),
        ];
        let leaves = prop::collection::btree_map("[a-c]", leaf, 0..3);
        (leaves.clone(), prop::collection::btree_map("t[0-2]", leaves, 0..3)).prop_map(|(flat, tables)| {
            let table = |map: &BTreeMap<String, String>| {
                map.iter().map(|(k, v)| format!("{k}: {v}")).collect::<Vec<_>>().join(", ")
            };
            let mut parts: Vec<String> = flat.iter().map(|(k, v)| format!("{k}: {v}")).collect();
            parts.extend(tables.iter().map(|(k, map)| format!("{k}: {{{}}}", table(map))));
            format!("{{{}}}", parts.join(", "))
        })
    }

    proptest! {
        #[test]
        fn where_tables_meet_tables_the_grouping_of_files_is_all_the_same(a in shaped(), b in shaped(), c in shaped()) {
            let left = merge(merge(node(&a), node(&b)), node(&c));
            let right = merge(node(&a), merge(node(&b), node(&c)));
            prop_assert_eq!(left.json(), right.json());
        }

        #[test]
        fn nothing_and_itself_change_nothing(a in shaped()) {
            prop_assert_eq!(merge(node(&a), node("{}")).json(), node(&a).json());
            prop_assert_eq!(merge(node("{}"), node(&a)).json(), node(&a).json());
            prop_assert_eq!(merge(node(&a), node(&a)).json(), node(&a).json());
        }

        #[test]
        fn files_without_a_key_in_common_merge_in_any_order(a in shaped(), b in shaped()) {
            let b = format!("{{other: {b}}}");
            prop_assert_eq!(merge(node(&a), node(&b)).json(), merge(node(&b), node(&a)).json());
        }
    }

    #[test]
    fn a_null_between_two_tables_makes_the_grouping_matter_as_in_helm() {
        let (a, b, c) = ("t: {x: 1}", "t: null", "t: {xw: 2}");
        let left = merge(merge(node(a), node(b)), node(c));
        let right = merge(node(a), merge(node(b), node(c)));
        assert_eq!(left.json().to_string(), r#"{"t":{"xw":2}}"#);
        assert_eq!(right.json().to_string(), r#"{"t":{"x":1,"xw":2}}"#);
    }
}
