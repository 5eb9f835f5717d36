//! The chart's own values, by release, as far as images and nodes are concerned.

use std::sync::{LazyLock, OnceLock};

use super::node::{At, Node, Value};
use super::read::read;
use crate::Error;

const RELEASES: &str = include_str!("defaults/releases.tsv");
const VALUES: &str = include_str!("defaults/values.yaml");

/// A release of the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// `4.3.3`.
    pub version: &'static str,
    own: &'static str,
    pause: &'static str,
}

/// The releases whose defaults are known, oldest first.
pub fn releases() -> Vec<Release> {
    let rows = RELEASES.lines().filter(|line| !line.starts_with('#'));
    rows.filter_map(|line| {
        let mut fields = line.split('\t');
        Some(Release { version: fields.next()?, own: fields.next()?, pause: fields.next()? })
    })
    .collect()
}

/// The release of a name: `4.3.3`, or the newest of `4.3`, `4` or, without one, of all.
pub fn release(name: Option<&str>) -> Result<Release, Error> {
    let all = releases();
    let wanted = name.map(|name| name.strip_prefix('v').unwrap_or(name));
    let fits = |release: &&Release| {
        wanted.is_none_or(|wanted| {
            release.version.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    all.iter().rfind(fits).copied().ok_or_else(|| Error::Release {
        version: name.unwrap_or("").to_owned(),
        known: all.iter().map(|release| release.version).collect(),
    })
}

/// Its values, read once.
pub fn values(release: Release) -> Result<&'static Node, Error> {
    static READ: LazyLock<Vec<(Release, OnceLock<Node>)>> =
        LazyLock::new(|| releases().into_iter().map(|release| (release, OnceLock::new())).collect());
    let unknown = || Error::Release {
        version: release.version.to_owned(),
        known: READ.iter().map(|(release, _)| release.version).collect(),
    };
    let (_, place) = READ.iter().find(|(known, _)| *known == release).ok_or_else(unknown)?;
    match place.get() {
        Some(values) => Ok(values),
        None => {
            let values = parse(release)?;
            Ok(place.get_or_init(|| values))
        }
    }
}

fn parse(release: Release) -> Result<Node, Error> {
    let (pause, tag) = release.pause.rsplit_once(':').unwrap_or((release.pause, ""));
    let text = VALUES
        .replace("{OWN}", release.own)
        .replace("{RELEASE}", release.version)
        .replace("{PAUSE_TAG}", tag)
        .replace("{PAUSE}", pause);
    let mut node = read(&text, "defaults", 0)?.root;
    unplace(&mut node);
    Ok(node)
}

fn unplace(node: &mut Node) {
    node.at = At::DEFAULT;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(unplace),
        Value::Map(map) => map.values_mut().for_each(unplace),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_found_by_name() {
        for (name, expected) in [
            (Some("4.3.3"), Some("4.3.3")),
            (Some("v4.3.3"), Some("4.3.3")),
            (Some("3.3"), Some("3.3.8")),
            (Some("2"), Some("2.0.0")),
            (None, Some("4.4.0")),
            (Some("4.3.33"), None),
            (Some("1.2.0"), None),
            (Some("4.3."), None),
        ] {
            assert_eq!(release(name).ok().map(|r| r.version), expected, "{name:?}");
        }
    }

    #[test]
    fn every_release_has_its_images() {
        for release in releases() {
            let values = values(release).unwrap();
            let text = |path: &str| values.at_path(path).and_then(Node::text).map(str::to_owned);
            assert_eq!(text("singleuser.networkTools.image.tag").as_deref(), Some(release.version));
            assert!(text("singleuser.image.name").unwrap().ends_with("jupyterhub/k8s-singleuser-sample"));
            assert!(text("prePuller.pause.image.tag").unwrap().starts_with("3."), "{release:?}");
            assert_eq!(values.at, At::DEFAULT);
        }
    }
}
