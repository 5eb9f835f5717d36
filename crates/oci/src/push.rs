//! Pushing whole images: blobs side by side, then manifests from the leaves up, tags last, then referrers.
//!
//! So whoever sees a tag can pull all of it, and a push that is run again goes on where it ended: what the
//! registry has is not sent again.
//!
//! The registry is asked for every manifest and every blob. A manifest that is there does not vouch for what it
//! lists: blobs are deleted on their own, and a sparse index or a collector's race leaves manifests without
//! theirs. Without asking, a push would say it is done and leave an image that nobody can pull. It costs a HEAD a
//! blob, side by side; whoever must be cheaper when nothing changed asks for the tag first and does not push.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::client::{Client, How};
use crate::content::ImageContent;
use crate::digest::Digest;
use crate::error::Result;
use crate::manifest::Descriptor;
use crate::reference::Reference;

/// How many blobs go side by side when the caller does not care.
pub const PARALLEL: usize = 4;

/// What a push did. All of it is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushReport {
    /// The digest that the tags point at.
    pub digest: Digest,
    /// Body bytes sent: blobs and manifests.
    pub pushed_bytes: u64,
    /// Blobs that were sent.
    pub uploaded: Vec<Digest>,
    /// Blobs that the registry mounted from other repositories.
    pub mounted: Vec<Digest>,
    /// Blobs that were there.
    pub existed: Vec<Digest>,
    /// Manifests that were sent, by digest or by tag.
    pub manifests: Vec<Digest>,
    /// Tags that were moved or made; the others pointed at the digest already.
    pub tags: Vec<String>,
}

impl Client {
    /// Pushes `image` to the repository and points `tags` at its root. `mount_from` are repositories of the
    /// same registry whose blobs may be taken; at most `parallel` blobs are on their way at a time.
    pub async fn push_image(
        &self,
        repo: &Reference,
        image: &ImageContent,
        tags: &[String],
        mount_from: &[String],
        parallel: usize,
    ) -> Result<PushReport> {
        image.check()?;
        let mut report = PushReport {
            digest: image.root.digest.clone(),
            pushed_bytes: 0,
            uploaded: Vec::new(),
            mounted: Vec::new(),
            existed: Vec::new(),
            manifests: Vec::new(),
            tags: Vec::new(),
        };
        let below = image.below(&image.root.digest)?;
        let mut above = Vec::new();
        for referrer in &image.referrers {
            above.extend(image.below(referrer)?);
        }
        let image_manifests = self.missing(repo, &below).await?;
        let referrers = self.missing(repo, &above).await?;
        // One go for the blobs of the image and its referrers, for they do not depend on each other.
        let mut blobs = BTreeSet::new();
        for manifest in below.iter().chain(&above) {
            blobs.extend(image.links(manifest)?.blobs().map(|d| d.digest.clone()));
        }
        self.push_blobs(repo, image, blobs, mount_from, parallel, &mut report).await?;

        for digest in image_manifests.iter().filter(|d| **d != image.root.digest) {
            self.push_manifest(repo, image, digest, &[], &mut report).await?;
        }
        let root_is_new = image_manifests.contains(&image.root.digest);
        let mut wanted = Vec::new();
        for tag in tags {
            let at = if root_is_new { None } else { self.head(&repo.with_tag(tag)).await? };
            if at.is_none_or(|at| at.digest != image.root.digest) {
                wanted.push(tag.clone());
            }
        }
        if root_is_new || !wanted.is_empty() {
            self.push_manifest(repo, image, &image.root.digest, &wanted, &mut report).await?;
        }
        report.tags = wanted;
        for digest in &referrers {
            self.push_manifest(repo, image, digest, &[], &mut report).await?;
        }
        Ok(report)
    }

    /// Those of `manifests` that the repository lacks, in the same order.
    async fn missing(&self, repo: &Reference, manifests: &[Digest]) -> Result<Vec<Digest>> {
        let mut missing = Vec::new();
        for digest in manifests {
            if self.head(&repo.with_digest(digest)).await?.is_none() {
                missing.push(digest.clone());
            }
        }
        Ok(missing)
    }

    async fn push_blobs(
        &self,
        repo: &Reference,
        image: &ImageContent,
        blobs: BTreeSet<Digest>,
        mount_from: &[String],
        parallel: usize,
        report: &mut PushReport,
    ) -> Result<()> {
        let mut work = Vec::new();
        for digest in blobs {
            work.push(image.blob(&digest)?);
        }
        // The largest first: the last to end should be a small one.
        work.sort_by_key(|(descriptor, _)| std::cmp::Reverse(descriptor.size));
        let pushes = work.into_iter().map(|(descriptor, blob)| async move {
            let sent = self.push_blob(repo, descriptor, blob, mount_from).await?;
            Ok::<_, crate::Error>((descriptor.digest.clone(), sent))
        });
        let mut done = stream::iter(pushes).buffer_unordered(parallel.max(1));
        while let Some((digest, sent)) = done.try_next().await? {
            report.pushed_bytes += sent.bytes_sent;
            match sent.how {
                How::Uploaded => report.uploaded.push(digest),
                How::Mounted => report.mounted.push(digest),
                How::Existed => report.existed.push(digest),
            }
        }
        for list in [&mut report.uploaded, &mut report.mounted, &mut report.existed] {
            list.sort();
        }
        Ok(())
    }

    async fn push_manifest(
        &self,
        repo: &Reference,
        image: &ImageContent,
        digest: &Digest,
        tags: &[String],
        report: &mut PushReport,
    ) -> Result<()> {
        let (media_type, bytes) = image.manifest(digest)?;
        let descriptor = Descriptor::new(media_type, digest.clone(), bytes.len() as u64);
        report.pushed_bytes += self.put_manifest(repo, &descriptor, bytes.clone(), tags).await?;
        report.manifests.push(digest.clone());
        Ok(())
    }
}
