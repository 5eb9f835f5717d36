//! Rules, each as values and what comes of them.

mod any;
mod bad;
mod places;
mod unknown;

use super::*;

fn set_of(text: &str) -> Result<ImageSet, Error> {
    image_set(&[ValuesFile::new("values.yaml", text)], &Options::default())
}

/// The images of users' pods by place: `pool=a: x:1 y:2`, a line for each group.
fn placed(text: &str) -> Vec<String> {
    let set = set_of(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    let line = |group: &Group| {
        let labels: Vec<String> =
            group.placement.node_selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let images: Vec<&str> = group
            .images
            .iter()
            .map(String::as_str)
            .filter(|image| !image.contains("network-tools"))
            .collect();
        format!("{}: {}", labels.join(","), images.join(" "))
    };
    set.groups.iter().map(line).collect()
}

fn unknown(text: &str) -> Vec<String> {
    let set = set_of(text).unwrap_or_else(|error| panic!("{text}\n{error}"));
    set.unknown.iter().map(|unknown| format!("{}: {}", unknown.source, unknown.reason)).collect()
}

const BASE: &str = "singleuser:\n  image: {name: base, tag: '1'}\n  nodeSelector: {pool: a}\n";
