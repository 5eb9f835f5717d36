//! Images in pieces, as Helm values and kustomizations write them: registry, repository or name, tag, digest.

use super::PIECES;
use super::anchors::Anchors;
use super::place::Path;
use super::tree::{Node, Scalar};
use crate::image::{self, Version};
use crate::scene::{Obstacle, Use, Write};

/// Registries that `registry:` may name for a retired image.
const HOSTS: [&str; 5] = ["docker.io", "index.docker.io", "registry-1.docker.io", "quay.io", "ghcr.io"];

/// The retired image that a mapping names in pieces.
pub fn read(node: &Node, path: &Path<'_>, anchors: &Anchors<'_>) -> Option<Use> {
    let scalar = |key: &str| match node.get(key) {
        Some(Node::Scalar(scalar)) => Some(scalar),
        _ => None,
    };
    let name = scalar("repository").or_else(|| scalar("name"))?;
    let found = image::whole(&name.value).filter(|found| found.tag.is_none() && !found.digest)?;
    let (tag, digest, registry) = (scalar("tag"), node.get("digest"), scalar("registry"));
    let pieces = ["tag", "digest", "registry", "pullPolicy", "newTag", "newName"];
    let parted = pieces.iter().any(|key| node.get(key).is_some());
    if path.has("with") || node.get("build").is_some() || !(parted || path.is_image()) {
        return None;
    }
    if registry.is_some_and(|r| !r.value.is_empty() && !HOSTS.contains(&r.value.as_str())) {
        return None;
    }
    // A kustomization that has put another image in its place already.
    if scalar("newName").is_some_and(|new| image::whole(&new.value).is_none()) {
        return None;
    }
    let kustomized = scalar("newTag").is_some() || scalar("newName").is_some() || is_kustomization(path);
    let tag = tag.or_else(|| scalar("newTag"));
    let empty = |text: Option<&str>| matches!(text, Some("" | "null" | "~"));
    let has_digest = digest.is_some_and(|digest| !empty(digest.text()));
    let said = tag.map(|tag| tag.value.as_str());
    let version = match node.get("tag") {
        // An alias: what it says stands elsewhere.
        Some(Node::Alias(_)) => Version::Variable,
        _ => image::version(said, has_digest),
    };
    let place = |scalar: &Scalar| scalar.literal.clone();
    let typed = tag.is_some_and(|tag| tag.plain);
    let write = match (place(name), tag.and_then(place), registry) {
        (Some(name), Some(tag), None) => Some(Write::Apart { registry: None, name, tag, typed }),
        (Some(name), Some(tag), Some(registry)) => {
            place(registry).map(|registry| Write::Apart { registry: Some(registry), name, tag, typed })
        }
        _ => None,
    };
    let mut shown = registry.map_or(String::new(), |r| format!("{}/", r.value));
    shown.push_str(&name.value);
    if let Some(tag) = said.filter(|tag| !tag.is_empty()) {
        shown.push_str(&format!(":{tag}"));
    }
    let used = |scalar: &Scalar| anchors.is_used(scalar.anchor);
    let elsewhere = [Some(name), tag, registry].into_iter().flatten().any(used);
    let elsewhere = elsewhere || matches!(node.get("registry"), Some(Node::Alias(_)));
    let obstacle: Option<Obstacle> = if kustomized {
        Some("a kustomization finds images by this name: say newName and newTag")
    } else {
        (has_digest || elsewhere).then_some(PIECES)
    };
    let span = place(name).unwrap_or(name.span.clone());
    Some(Use { image: found.image, shown, version: Some(version), span, write, obstacle })
}

fn is_kustomization(path: &Path<'_>) -> bool {
    path.last() == "images" && path.map().is_none_or(|map| map.get("containers").is_none())
}
