//! README.md names every value, with its default.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::scene::chart;

/// Leaves by key path; a mapping of resources and an empty one count as one value.
fn leaves(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(map) if !map.is_empty() && !path.ends_with(".resources") => {
            for (key, child) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(child, &path, found);
            }
        }
        Value::Object(map) if !map.is_empty() => {
            let text = |part: &str| {
                let all: Vec<String> = value[part]
                    .as_object()
                    .unwrap()
                    .iter()
                    .map(|(k, v)| format!("{k} {}", v.as_str().unwrap()))
                    .collect();
                format!("{part}: {}", all.join(", "))
            };
            found.insert(path.to_owned(), format!("{}; {}", text("requests"), text("limits")));
        }
        Value::String(text) => {
            found.insert(path.to_owned(), text.clone());
        }
        other => {
            found.insert(path.to_owned(), other.to_string());
        }
    }
}

#[test]
fn the_table_is_what_values_yaml_says() {
    let text = std::fs::read_to_string(chart().join("values.yaml")).unwrap();
    let values: Value = serde_yaml_ng::from_str(&text).unwrap();
    let mut expected = BTreeMap::new();
    leaves(&values, "", &mut expected);
    let readme = std::fs::read_to_string(chart().join("README.md")).unwrap();
    let rows = readme.lines().filter(|line| line.starts_with("| `perijove."));
    let mut found = BTreeMap::new();
    for row in rows {
        let cells: Vec<&str> =
            row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`')).collect();
        let [key, default, says] = cells.as_slice() else { panic!("{row}") };
        assert!(says.len() > 10, "{row}");
        found.insert((*key).to_owned(), (*default).to_owned());
    }
    assert_eq!(found, expected);
}

#[test]
fn the_schema_knows_every_value() {
    let read = |name: &str| std::fs::read_to_string(chart().join(name)).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let values: Value = serde_yaml_ng::from_str(&read("values.yaml")).unwrap();
    let own = &schema["definitions"]["perijove"];
    for (key, value) in values["perijove"].as_object().unwrap() {
        let described = &own["properties"][key];
        assert!(described.is_object(), "{key}");
        if described["additionalProperties"] == false && described["properties"]["requests"].is_null() {
            let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            let (mut a, mut b) = (keys(&described["properties"]), keys(value));
            a.sort();
            b.sort();
            assert_eq!(a, b, "{key}");
        }
    }
}
