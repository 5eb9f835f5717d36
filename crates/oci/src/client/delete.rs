//! Deleting (distribution-spec 1.1, Content Management): a tag alone, or a manifest with all its tags.

use reqwest::{StatusCode, Url};

use super::Client;
use super::request::{Again, refused};
use crate::auth::Access;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::reference::Reference;

/// How a tag went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deleted {
    /// The tag alone is gone.
    Tag,
    /// The registry deletes no tags: the manifest went, which had no other tag.
    Manifest,
    /// It was gone already.
    Absent,
    /// The registry deletes no tags, and the manifest has another tag: nothing was done.
    Shared,
}

impl Client {
    /// Deletes tags, and says of each how it went. A registry that refuses to delete tags (it may: 400 or 405) is
    /// asked to delete the manifest that the tag names, unless a tag of the repository that is not among them names
    /// it too, which would go with it.
    ///
    /// # Errors
    /// [`Error::Refused`] where the registry lets nobody delete, or not us.
    pub async fn delete_tags(&self, repo: &Reference, tags: &[String]) -> Result<Vec<Deleted>> {
        if let Some(packages) = self.0.packages.as_ref().filter(|own| own.registry == repo.registry) {
            return self.delete_versions(packages, repo, tags).await;
        }
        let mut all = Vec::with_capacity(tags.len());
        for tag in tags {
            all.push(self.delete_tag(repo, tag, tags).await?);
        }
        Ok(all)
    }

    async fn delete_tag(&self, repo: &Reference, tag: &str, going: &[String]) -> Result<Deleted> {
        let tagged = repo.with_tag(tag);
        let refusal = match self.delete(repo, &self.url(repo, &format!("manifests/{tag}"))?).await {
            Ok(true) => return Ok(Deleted::Tag),
            Ok(false) => return Ok(Deleted::Absent),
            Err(Error::Refused(refusal)) if matches!(refusal.status, 400 | 405 | 501) => refusal,
            Err(other) => return Err(other),
        };
        let Some(found) = self.head(&tagged).await? else { return Ok(Deleted::Absent) };
        if self.has_other_tag(repo, tag, going, &found.digest).await? {
            return Ok(Deleted::Shared);
        }
        match self.delete(repo, &self.url(repo, &format!("manifests/{}", found.digest))?).await {
            Ok(true) => Ok(Deleted::Manifest),
            Ok(false) => Ok(Deleted::Absent),
            // The first word is the one about what was asked for.
            Err(Error::Refused(second)) if second.status == 405 => {
                Err(Error::Refused(match refusal.status {
                    405 => refusal,
                    _ => second,
                }))
            }
            Err(other) => Err(other),
        }
    }

    async fn has_other_tag(
        &self,
        repo: &Reference,
        tag: &str,
        going: &[String],
        digest: &Digest,
    ) -> Result<bool> {
        let tags = self.tags(repo).await?;
        for other in tags.iter().filter(|other| *other != tag && !going.contains(other)) {
            if self.head(&repo.with_tag(other)).await?.is_some_and(|found| found.digest == *digest) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there was something to delete.
    async fn delete(&self, repo: &Reference, url: &Url) -> Result<bool> {
        let access = Access::delete(&repo.registry, &repo.repository);
        let answer = self.send(&access, url, Again::Yes, || self.0.http.to(url).delete(url.clone())).await?;
        match answer.status() {
            StatusCode::ACCEPTED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(refused("DELETE", url, answer).await),
        }
    }
}
