//! Pulling whole images: manifests into memory, blobs side by side into files.

use std::path::Path;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::blob::Blob;
use crate::client::Client;
use crate::content::{ImageContent, Links};
use crate::error::{Error, Result};
use crate::layout;
use crate::manifest::{Descriptor, Platform};
use crate::media;
use crate::reference::Reference;

impl Client {
    /// The image that `reference` names, its blobs left where they are ([`Blob::Remote`]). With a platform, of
    /// an index only that platform's image; without one, all of it.
    pub async fn remote_image(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
    ) -> Result<ImageContent> {
        let top = match platform {
            Some(platform) => self.image(reference, platform).await?.0,
            None => {
                let top = self.manifest(reference).await?;
                top.ok_or_else(|| Error::NotFound { what: reference.to_string() })?
            }
        };
        let mut image = ImageContent::new(top.descriptor.clone(), top.bytes.clone());
        let mut todo = vec![top];
        while let Some(manifest) = todo.pop() {
            let links = Links::read(reference, &manifest.bytes)?;
            if media::is_index(&manifest.descriptor.media_type) && links.config.is_some() {
                return Err(Error::content(reference, "an index with a configuration"));
            }
            for child in links.manifests.iter().map(|d| &d.digest) {
                if image.manifests.contains_key(child) {
                    continue;
                }
                let child = reference.with_digest(child);
                let fetched = self.manifest(&child).await?;
                let fetched = fetched.ok_or_else(|| Error::NotFound { what: child.to_string() })?;
                let entry = (fetched.descriptor.media_type.clone(), fetched.bytes.clone());
                image.manifests.insert(fetched.descriptor.digest.clone(), entry);
                todo.push(fetched);
            }
            for blob in links.blobs() {
                let descriptor = Descriptor::new(&blob.media_type, blob.digest.clone(), blob.size);
                image.add_blob(descriptor, Blob::Remote(reference.clone()));
            }
        }
        Ok(image)
    }

    /// Fetches the blobs of `image` that are remote into `folder/<algorithm>/<hex>`, at most `parallel` at a
    /// time; what lies there already and is intact is kept. Gives the image with its blobs at hand.
    pub async fn localize(
        &self,
        mut image: ImageContent,
        folder: &Path,
        parallel: usize,
    ) -> Result<ImageContent> {
        let remote = image.blobs.values().filter_map(|(descriptor, blob)| match blob {
            Blob::Remote(repo) => Some((descriptor.clone(), repo.clone())),
            _ => None,
        });
        let mut remote: Vec<(Descriptor, Reference)> = remote.collect();
        remote.sort_by_key(|(descriptor, _)| std::cmp::Reverse(descriptor.size));
        let fetches = remote.into_iter().map(|(descriptor, repo)| async move {
            let digest = descriptor.digest.clone();
            let path = folder.join(digest.algorithm().name()).join(digest.hex());
            let parent = path.parent().unwrap_or(folder);
            tokio::fs::create_dir_all(parent).await.map_err(Error::io(parent))?;
            if !intact(&path, &descriptor).await? {
                self.blob_to_file(&repo, &descriptor, &path).await?;
            }
            Ok::<_, Error>((descriptor, path))
        });
        let mut done = stream::iter(fetches).buffer_unordered(parallel.max(1));
        while let Some((descriptor, path)) = done.try_next().await? {
            image.add_blob(descriptor, Blob::Files(vec![path]));
        }
        Ok(image)
    }

    /// Pulls into the image layout `dir` and lists the image there under `tag`. With a platform, of an index
    /// only that platform's image. Gives the image as it lies in the layout.
    pub async fn pull(
        &self,
        reference: &Reference,
        platform: Option<&Platform>,
        dir: &Path,
        tag: Option<&str>,
        parallel: usize,
    ) -> Result<ImageContent> {
        let image = self.remote_image(reference, platform).await?;
        let layout = dir.to_owned();
        blocking(move || layout::prepare(&layout)).await?;
        let image = self.localize(image, &dir.join("blobs"), parallel).await?;
        let (dir, tag) = (dir.to_owned(), tag.map(str::to_owned));
        blocking(move || {
            layout::write_layout(&dir, &image, tag.as_deref())?;
            Ok(image)
        })
        .await
    }
}

async fn intact(path: &Path, descriptor: &Descriptor) -> Result<bool> {
    let (path, descriptor) = (path.to_owned(), descriptor.clone());
    blocking(move || layout::is_intact(&path, &descriptor.digest, descriptor.size).map_err(Error::io(&path)))
        .await
}

/// Runs what blocks on a thread for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
        Err(_) => Err(Error::content(&"image layout", "the program is ending")),
    }
}
