//! Manifests, stored whole in the repository they were pushed to, and the tags that a PUT sets with them.

use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use perijove_oci::Digest;
use tempfile::NamedTempFile;

use super::blobs::renew;
use super::layout::{BLOBS, TAGS, file_name, list, open, remove};
use super::{Store, StoreError};
use crate::create_only::{Decision, decide};
use crate::names::{RepositoryName, Tag};
use crate::summary::Summary;

/// How a manifest is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManifestRef {
    /// By tag.
    Tag(Tag),
    /// By digest.
    Digest(Digest),
}

/// A manifest as it was pushed.
#[derive(Debug)]
pub struct StoredManifest {
    /// The `Content-Type` it was pushed with.
    pub media_type: String,
    /// The digest that it is stored under.
    pub digest: Digest,
    /// The manifest, byte for byte.
    pub bytes: Bytes,
}

/// A manifest to store; the caller checked that `digest` is that of `bytes`.
#[derive(Debug)]
pub struct NewManifest<'a> {
    /// The media type to serve it with: one line.
    pub media_type: &'a str,
    /// The digest to store it under.
    pub digest: &'a Digest,
    /// The manifest.
    pub bytes: &'a [u8],
    /// What was read out of it.
    pub summary: &'a Summary,
    /// The manifest that it is about.
    pub subject: Option<&'a Digest>,
    /// Tags to set with it, in this order.
    pub tags: &'a [Tag],
    /// [`Store::tags_digest`] of the tags that the repository must have, if one of `tags` moves or is new.
    pub if_tags: Option<&'a Digest>,
}

impl Store {
    /// A manifest out of memory, where it is there.
    pub fn cached_manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestRef,
    ) -> Option<Arc<StoredManifest>> {
        match reference {
            ManifestRef::Tag(tag) => self.cache.tag(repository, tag).ok(),
            ManifestRef::Digest(digest) => self.cache.digest(repository, digest).ok(),
        }
    }

    /// A manifest by tag or digest.
    ///
    /// # Errors
    /// When the system refuses to read it.
    pub fn manifest(
        &self,
        repository: &RepositoryName,
        reference: &ManifestRef,
    ) -> Result<Option<Arc<StoredManifest>>, StoreError> {
        let tag = match reference {
            ManifestRef::Digest(digest) => return self.manifest_by_digest(repository, digest),
            ManifestRef::Tag(tag) => tag,
        };
        let miss = match self.cache.tag(repository, tag) {
            Ok(found) => return Ok(Some(found)),
            Err(miss) => miss,
        };
        let Some(digest) = self.read_tag(repository, tag)? else { return Ok(None) };
        let found = self.manifest_by_digest(repository, &digest)?;
        if let Some(found) = &found {
            self.cache.fill_tag(&miss, repository, tag, found);
        }
        Ok(found)
    }

    fn manifest_by_digest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<StoredManifest>>, StoreError> {
        let miss = match self.cache.digest(repository, digest) {
            Ok(found) => return Ok(Some(found)),
            Err(miss) => miss,
        };
        let found = self.read_manifest(repository, digest)?.map(Arc::new);
        if let Some(found) = &found {
            self.cache.fill_digest(&miss, repository, found);
        }
        Ok(found)
    }

    /// Reads a manifest from the disk.
    pub(super) fn read_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<StoredManifest>, StoreError> {
        let path = self.layout.manifest(repository, digest);
        let Some(mut file) = open(&path).map_err(StoreError::file("open", &path))? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(StoreError::file("read", &path))?;
        let head = bytes
            .iter()
            .position(|b| *b == b'\n')
            .and_then(|at| Some((at, std::str::from_utf8(&bytes[..at]).ok()?)));
        // Without its first line it is not a file of ours.
        let Some((end, media_type)) = head else { return Ok(None) };
        let media_type = media_type.to_owned();
        let bytes = Bytes::from(bytes).slice(end + 1..);
        Ok(Some(StoredManifest { media_type, digest: digest.clone(), bytes }))
    }

    /// Stores a manifest and sets its tags; returns when both are on the disk. The manifest is there before
    /// the first tag; each tag is there completely or not at all, and only if those before it are.
    ///
    /// # Errors
    /// [`StoreError::TagTaken`] when a create-only tag names another digest: nothing is written then, neither
    /// the manifest nor the other tags. [`StoreError::TagsChanged`] likewise, when there are other tags than `if_tags`.
    pub fn put_manifest(&self, repository: &RepositoryName, new: &NewManifest<'_>) -> Result<(), StoreError> {
        let path = self.layout.manifest(repository, new.digest);
        // Cheap refusal before anything is written; decided again under the lock.
        self.decide_tags(repository, new)?;
        let header = [new.media_type.as_bytes(), b"\n"].concat();
        let body = self.written(&[&header, new.bytes])?;
        let names = new.tags.iter().map(|_| self.written(&[new.digest.to_string().as_bytes(), b"\n"]));
        let names: Vec<NamedTempFile> = names.collect::<Result<_, _>>()?;

        // Its blobs are wanted from now on, whatever the collector read before.
        self.keep_blobs(repository, new.summary)?;
        {
            let _naming = self.naming();
            let decisions = self.decide_tags(repository, new)?;
            // What was put already, by a request whose answer was lost, is no change.
            if let Some(wanted) = new.if_tags
                && decisions.iter().any(|decision| *decision != Decision::Same)
                && Store::tags_digest(&self.tags(repository)?.unwrap_or_default()) != *wanted
            {
                return Err(StoreError::TagsChanged);
            }
            if let Some(subject) = new.subject {
                self.add_referrer(repository, subject, new.digest)?;
            }
            self.durable.publish(body, &path).map_err(StoreError::file("write", &path))?;
            self.cache.forget_digest(repository, new.digest);
            for ((tag, decision), name) in new.tags.iter().zip(decisions).zip(names) {
                let path = self.layout.tag(repository, tag);
                if decision == Decision::Same {
                    path.parent().into_iter().for_each(|folder| self.durable.rely(folder));
                } else {
                    self.durable.publish(name, &path).map_err(StoreError::file("write", &path))?;
                }
                self.cache.forget_tag(repository, tag);
            }
        }
        self.settle(&path)
    }

    /// Removes a manifest and the tags that name it; false when there is none.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub fn delete_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Result<bool, StoreError> {
        let path = self.layout.manifest(repository, digest);
        {
            let _naming = self.naming();
            let Some(stored) = self.read_manifest(repository, digest)? else { return Ok(false) };
            // Tags first: none ever names a manifest that is gone.
            let folder = self.layout.folder(repository, TAGS);
            for name in list(&folder).map_err(StoreError::file("read", &folder))?.unwrap_or_default() {
                let Some(tag) = name.to_str().and_then(|name| name.parse::<Tag>().ok()) else { continue };
                if self.read_tag(repository, &tag)?.as_ref() == Some(digest) {
                    let path = self.layout.tag(repository, &tag);
                    remove(&path).map_err(StoreError::file("remove", &path))?;
                    self.noted_parent(&path);
                    self.cache.forget_tag(repository, &tag);
                }
            }
            remove(&path).map_err(StoreError::file("remove", &path))?;
            self.noted_parent(&path);
            self.cache.forget_digest(repository, digest);
            let subject = Summary::read(&stored.bytes).and_then(|summary| summary.subject());
            if let Ok(Some(subject)) = subject {
                let entry = self.layout.referrers(repository, &subject).join(file_name(digest));
                remove(&entry).map_err(StoreError::file("remove", &entry))?;
            }
        }
        self.settle(&path)?;
        Ok(true)
    }

    /// Whether the tag can be created once only.
    pub fn is_create_only(&self, tag: &Tag) -> bool {
        self.create_only.covers(tag.as_str())
    }

    fn decide_tags(
        &self,
        repository: &RepositoryName,
        new: &NewManifest<'_>,
    ) -> Result<Vec<Decision>, StoreError> {
        let one = |tag: &Tag| {
            let now = self.read_tag(repository, tag)?;
            match decide(now.as_ref(), new.digest, self.create_only.covers(tag.as_str())) {
                Decision::Conflict(existing) => Err(StoreError::TagTaken { tag: tag.to_string(), existing }),
                fine => Ok(fine),
            }
        };
        new.tags.iter().map(one).collect()
    }

    /// A synced file in tmp/.
    fn written(&self, pieces: &[&[u8]]) -> Result<NamedTempFile, StoreError> {
        let write = || {
            let file = self.layout.write_temporary(&pieces.concat())?;
            file.as_file().sync_data()?;
            Ok(file)
        };
        write().map_err(StoreError::file("write", self.layout.temporary()))
    }

    /// Renews the blobs that a manifest refers to, so that a collector that does not know the manifest yet
    /// leaves them alone, and relies on their names, whichever process made them. Blobs that are not there are the
    /// client's affair: a registry may take a manifest before its blobs, and mirrors of a part of an index rely on it.
    fn keep_blobs(&self, repository: &RepositoryName, summary: &Summary) -> Result<(), StoreError> {
        let _promise = self.promising();
        let links = self.layout.folder(repository, BLOBS);
        for digest in summary.blob_digests() {
            renew(&self.layout.blob(repository, &digest))?;
            self.durable.rely(&links);
            self.durable.rely(&self.layout.contents(digest.algorithm()));
        }
        Ok(())
    }
}
