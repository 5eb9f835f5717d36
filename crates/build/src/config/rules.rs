//! What the tables of `perijove.toml` must agree on: what each says by itself is told by its type.

use super::{Base, Config, FILE, parse_user};
use crate::dockerfile;
use crate::{Error, Result};

impl Config {
    /// What `[repository]` says of the whole: an image must have one repository in each registry, and branches
    /// and names must mean something.
    pub(super) fn check_repository(&self) -> Result<()> {
        let wrong = |key: &str, reason: String, hint: &str| Error::Input {
            place: format!("{FILE}: repository.{key}"),
            reason,
            hint: hint.to_owned(),
        };
        let mut seen: Vec<String> = Vec::new();
        for registry in &self.repository.registries {
            // As images are named: `docker.io/team` and `team` are one place.
            let place =
                format!("{}/image", registry.trim_end_matches('/')).parse::<perijove_oci::Reference>();
            let place = place.map_or_else(|_| registry.clone(), |parsed| parsed.name());
            if seen.contains(&place) {
                return Err(wrong(
                    "registries",
                    format!("`{registry}` is named twice, so each image would go to one repository twice"),
                    "name each registry once",
                ));
            }
            seen.push(place);
        }
        for pattern in &self.repository.release_branches {
            globset::Glob::new(pattern)
                .map_err(|e| wrong("release-branches", e.to_string(), "say patterns as \"release/*\""))?;
        }
        if let Some(name) = self.repository.branch_image.as_ref().filter(|n| !self.images.contains_key(*n)) {
            return Err(wrong(
                "branch-image",
                format!("there is no image `{name}`"),
                "name an image of this file",
            ));
        }
        Ok(())
    }

    /// What one image says of itself, and its parents.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        let wrong = |reason: String, hint: &str| Error::Input {
            place: format!("{FILE}: image.{name}"),
            reason,
            hint: hint.to_owned(),
        };
        if !perijove_oci::reference::is_repository(name) || name.contains('/') {
            return Err(wrong(
                format!("`{name}` cannot be an image name"),
                "use lower-case letters, digits and single - _ .",
            ));
        }
        let image = &self.images[name];
        if image.base.is_none() && image.dockerfile.is_none() {
            return Err(wrong(
                "neither `base` nor `dockerfile` is given".to_owned(),
                "say base = { debian = \"trixie\" }, { image = \"name@sha256:…\" }, { parent = \"image\" } or \"scratch\"",
            ));
        }
        if let Some((reason, hint)) = dockerfile::conflict(image) {
            return Err(wrong(reason, hint));
        }
        if let Some(Base::Image(reference)) = &image.base {
            let parsed: perijove_oci::Reference =
                reference.parse().map_err(|e: perijove_oci::reference::ReferenceError| {
                    wrong(e.to_string(), "say registry/name@sha256:…")
                })?;
            if parsed.digest.is_none() {
                return Err(wrong(
                    format!("the base `{reference}` has no digest, so it may change under you"),
                    "say registry/name@sha256:…",
                ));
            }
        }
        if let Some(user) = &image.user
            && parse_user(user).is_none()
        {
            return Err(wrong(
                format!("user `{user}` is not uid:gid in numbers"),
                "say user = \"1000:1000\"",
            ));
        }
        let mut seen = vec![name];
        let mut at = image;
        while let Some(Base::Parent(parent)) = &at.base {
            if seen.contains(&parent.as_str()) {
                return Err(wrong(
                    format!("its parents go round in a circle: {}", seen.join(" → ")),
                    "break it",
                ));
            }
            seen.push(parent);
            at = self.images.get(parent).ok_or_else(|| {
                wrong(
                    format!("its parent `{parent}` is not in this file"),
                    "name an image of this repository",
                )
            })?;
        }
        Ok(())
    }
}
