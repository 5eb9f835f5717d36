//! Where in a file the chart's values are: at the top, or below the name of a dependency.

use super::node::{Node, Value};

/// Top-level keys of the chart that tell its values from others.
const KEYS: [&str; 12] = [
    "singleuser",
    "prePuller",
    "hub",
    "proxy",
    "scheduling",
    "imagePullSecrets",
    "imagePullSecret",
    "cull",
    "custom",
    "ingress",
    "debug",
    "rbac",
];

/// Levels of wrapping charts.
const LEVELS: usize = 4;

/// The key path of each deployment in `values`; the top alone when nothing below looks like one.
pub fn deployments(values: &Node) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    below(values, &mut Vec::new(), &mut found);
    if found.is_empty() || is_chart(values) {
        found.insert(0, Vec::new());
    }
    found
}

fn below(node: &Node, path: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    let Value::Map(map) = &node.value else { return };
    if path.len() >= LEVELS {
        return;
    }
    for (key, child) in map {
        // These hold anything at all.
        if (KEYS.contains(&key.as_str()) && !is_alias(key, child))
            || key == "global"
            || !matches!(child.value, Value::Map(_))
        {
            continue;
        }
        path.push(key.clone());
        let before = found.len();
        let named = key == "jupyterhub" || key == "jupyter-hub";
        if is_chart(child) {
            found.push(path.clone());
        } else {
            below(child, path, found);
            if named && found.len() == before {
                found.push(path.clone());
            }
        }
        path.pop();
    }
}

/// Whether `node` is the chart's values beyond doubt.
fn is_chart(node: &Node) -> bool {
    node.get("singleuser").is_some() || node.get("prePuller").is_some()
}

/// Whether a word of the chart's own is here another chart's name for it: the chart refuses such keys below its own.
fn is_alias(key: &str, child: &Node) -> bool {
    matches!(key, "hub" | "proxy") && (is_chart(child) || child.get("jupyterhub").is_some_and(is_chart))
}

/// The node at a path of keys.
pub fn at<'n>(values: &'n Node, path: &[String]) -> Option<&'n Node> {
    path.iter().try_fold(values, |node, key| node.get(key))
}

/// Whether any key belongs to the chart.
pub fn is_known(values: &Node) -> bool {
    matches!(&values.value, Value::Map(map) if map.is_empty() || map.keys().any(|key| KEYS.contains(&key.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imageset::read::read;

    #[test]
    fn deployments_are_found_under_other_charts() {
        for (text, expected) in [
            ("singleuser: {image: {name: a}}", &[""][..]),
            ("hub: {}\nproxy: {}", &[""]),
            ("{}", &[""]),
            ("jupyterhub: {singleuser: {}}", &["jupyterhub"]),
            ("jupyterhub: {hub: {config: {}}}\ndask-gateway: {}", &["jupyterhub"]),
            ("basehub: {jupyterhub: {singleuser: {}}, dask-gateway: {}}", &["basehub.jupyterhub"]),
            ("jupyterhub: {jupyterhub: {prePuller: {}}}", &["jupyterhub.jupyterhub"]),
            ("small: {singleuser: {}}\nlarge: {singleuser: {}}", &["large", "small"]),
            ("singleuser: {}\njupyterhub: {singleuser: {}}", &["", "jupyterhub"]),
            // A name that a wrapping chart gives its dependency.
            ("hub: {singleuser: {image: {name: a}}}", &["hub"]),
            ("hub: {jupyterhub: {singleuser: {}}}", &["hub.jupyterhub"]),
            ("hub: {jupyterhub: {hub: {}}}", &[""]),
            ("hub: {config: {}, singleuser: null}\nproxy: {}", &[""]),
            ("custom: {singleuser: {}}\nhub: {}", &[""]),
            ("services: {web: {image: x}}", &[""]),
        ] {
            let values = read(text, "v", 0).unwrap().root;
            let found: Vec<String> = deployments(&values).iter().map(|path| path.join(".")).collect();
            assert_eq!(found, expected, "{text}");
        }
    }
}
