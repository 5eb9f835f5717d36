//! The rules, a row each: what is found, and why it ends.
//!
//! Sources of the reasons: JupyterHub's changelog for 5.3.0 (images moved, `jupyterhub-onbuild` no longer published),
//! the README of jupyterhub/jupyterhub-container-images (rebuilt tags, build numbers), and jupyterhub/jupyterhub#4954
//! (what the images lack).

use crate::image::Retired;

/// What is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A retired image is named.
    RetiredImage,
    /// An image's tag moves.
    MovingTag,
    /// The configuration gets into the image by `ONBUILD`.
    OnbuildCopy,
    /// The proxy runs in the hub's container.
    ProxyInHub,
    /// pip installs what nobody locked.
    UnlockedInstall,
}

/// Each rule's stable name and its one sentence.
pub const RULES: [(Rule, &str, &str); 5] = [
    (Rule::RetiredImage, "retired-image", "the image is retired"),
    (
        Rule::MovingTag,
        "moving-tag",
        "the tag is moved to newer builds, so the same file starts something else on another day or node",
    ),
    (
        Rule::OnbuildCopy,
        "onbuild-copy",
        "ONBUILD copies jupyterhub_config.py at a place that this file does not show, and OCI images have no ONBUILD",
    ),
    (
        Rule::ProxyInHub,
        "proxy-in-hub",
        "configurable-http-proxy runs in the hub's container, so a restart of the hub cuts every user's connection",
    ),
    (
        Rule::UnlockedInstall,
        "unlocked-install",
        "without a lock with hashes pip installs what the index has on the day of the build, so no two builds are alike",
    ),
];

impl Rule {
    /// The name that scripts rely on.
    pub fn id(self) -> &'static str {
        RULES.iter().find(|(rule, ..)| *rule == self).map_or("", |(_, id, _)| id)
    }

    /// Why it ends, in one sentence.
    pub fn why(self, image: Option<Retired>) -> &'static str {
        match (self, image) {
            (Rule::RetiredImage, Some(Retired::Hub)) => {
                "jupyterhub/jupyterhub is only a base: it has no spawner and runs the proxy inside, so JupyterHub's \
                 maintainers ask for an image of the site's own instead"
            }
            (Rule::RetiredImage, Some(Retired::Onbuild)) => {
                "jupyterhub/jupyterhub-onbuild is not published any more since JupyterHub 5.3.0: it saved one COPY line"
            }
            (Rule::RetiredImage, Some(Retired::Singleuser)) => {
                "jupyterhub/singleuser is docker-stacks' base-notebook with JupyterHub, which that image has by itself"
            }
            _ => RULES.iter().find(|(rule, ..)| *rule == self).map_or("", |(_, _, why)| why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_one_row() {
        let all =
            [Rule::RetiredImage, Rule::MovingTag, Rule::OnbuildCopy, Rule::ProxyInHub, Rule::UnlockedInstall];
        for rule in all {
            assert_eq!(RULES.iter().filter(|(row, ..)| *row == rule).count(), 1);
            let id = rule.id();
            assert!(!id.is_empty() && id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{id}");
        }
        for image in [Retired::Hub, Retired::Onbuild, Retired::Singleuser] {
            assert!(Rule::RetiredImage.why(Some(image)).starts_with(image.name()));
        }
    }
}
