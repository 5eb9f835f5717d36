//! What an image from a Dockerfile stands on: a registry's image, or another image of the repository, which is
//! built first and handed to the builder.

use perijove_oci::{Platform, Reference, layout};

use super::opened::Opened;
use super::order::{BASE_TAG, Order};
use super::tool::Tool;
use crate::blocking;
use crate::config::Base;
use crate::{Builder, Error, Result};

/// What an image stands on, on one platform.
pub struct Ground {
    /// What BASE_IMAGE says.
    pub name: String,
    /// Whether the builder gets it from us rather than from a registry.
    pub ours: bool,
    /// Whether that registry speaks plain HTTP.
    pub plain_http: bool,
    /// The base itself.
    pub image: Opened,
}

impl Builder {
    /// The base on each platform, and its reference and digest for the annotations.
    pub(super) async fn grounds(
        &self,
        name: &str,
        platforms: &[Platform],
        previous: &[Reference],
    ) -> Result<(Vec<Option<Ground>>, Option<(String, String)>)> {
        let mut grounds = Vec::new();
        let base = match &self.config.image(name)?.base {
            // The configuration lets no image from a Dockerfile stand on Debian packages.
            None | Some(Base::Debian(_) | Base::Scratch) => {
                grounds.resize_with(platforms.len(), || None);
                None
            }
            Some(Base::Image(text)) => {
                let reference: Reference = text.parse().map_err(|e| Error::Input {
                    place: format!("{}: image.{name}", crate::config::FILE),
                    reason: format!("{e}"),
                    hint: "say registry/name@sha256:…".to_owned(),
                })?;
                for platform in platforms {
                    let content = self.client.remote_image(&reference, Some(platform)).await?;
                    let image = Opened::of(&reference, &content, platform, &self.client).await?;
                    // Builders take a tag or a digest, not both.
                    let name = reference
                        .digest
                        .as_ref()
                        .map_or(text.clone(), |d| reference.with_digest(d).to_string());
                    let plain_http = self.client.is_plain_http(&reference);
                    grounds.push(Some(Ground { name, ours: false, plain_http, image }));
                }
                reference.digest.as_ref().map(|digest| (reference.to_string(), digest.to_string()))
            }
            Some(Base::Parent(parent)) => {
                let built = Box::pin(self.build(parent, platforms, previous)).await?;
                for platform in platforms {
                    let image = Opened::of(parent, &built.content, platform, &self.client).await?;
                    let name = format!("localhost/{parent}:{}", tag_text(&built.version));
                    grounds.push(Some(Ground { name, ours: true, plain_http: false, image }));
                }
                let registry = self.config.repository.registries.first().map_or("localhost", String::as_str);
                Some((format!("{registry}/{parent}@{}", built.digest), built.digest.to_string()))
            }
        };
        Ok((grounds, base))
    }

    /// Puts the base from this repository where the builder looks for it.
    pub(super) async fn hand_over(
        &self,
        ground: &Ground,
        order: &Order,
        tool: Tool,
        platform: &Platform,
    ) -> Result<()> {
        let (blobs, target) = (order.work.join("base-blobs"), order.base());
        let content =
            self.client.localize(ground.image.content()?, &blobs, perijove_oci::push::PARALLEL).await?;
        let (name, platform) = (ground.name.clone(), platform.clone());
        blocking(move || {
            match tool {
                Tool::Docker => layout::write_layout(&target, &content, Some(BASE_TAG))?,
                Tool::Buildah => {
                    perijove_oci::archive::write_docker_archive(&target, &content, &platform, &[name])?;
                }
            }
            Ok(())
        })
        .await
    }
}

/// A version as a tag: what tags cannot hold (`+` of local versions) becomes `-`.
fn tag_text(version: &str) -> String {
    version.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}
