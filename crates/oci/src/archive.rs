//! Images as one tar file: `oci-archive` (an image layout in a tar) and `docker-archive` (what `docker load`
//! and `podman load` take, and what `docker save` wrote before it wrote layouts).
//!
//! Both are functions of the image alone: sorted names, no times, no owners. The file is there whole or not
//! at all. Layers go in as they are, compressed or not: docker and podman look at their first bytes, not at
//! their names. These functions block.

use std::collections::BTreeSet;
use std::io::{BufWriter, Read, Write};
use std::path::Path;

use serde::Serialize;

use crate::blob::{Blob, Reader};
use crate::content::ImageContent;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::layout;
use crate::manifest::{Annotations, Descriptor, ImageConfig, Index, Platform};
use crate::reference::Reference;

/// Writes `file`, a tar of an image layout that lists `image` under `tag`.
pub fn write_oci_archive(file: &Path, image: &ImageContent, tag: Option<&str>) -> Result<()> {
    image.check()?;
    let index = Index::new(layout::entries(image, tag)?, Annotations::new());
    let index = to_json(&index)?;
    write(file, |tar| {
        // The specification names no order; `index.json` and `oci-layout` first let a reader of a pipe know early.
        tar.bytes("oci-layout", &layout::marker())?;
        tar.bytes("index.json", &index)?;
        let digests: BTreeSet<&Digest> = image.blobs.keys().chain(image.manifests.keys()).collect();
        for digest in digests {
            let name = layout::blob_name(digest);
            match (image.blobs.get(digest), image.manifests.get(digest)) {
                (Some((descriptor, blob)), _) => tar.blob(&name, descriptor, blob)?,
                (None, Some((_, bytes))) => tar.bytes(&name, bytes)?,
                (None, None) => {}
            }
        }
        Ok(())
    })
}

/// One image of docker's `manifest.json`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    config: String,
    repo_tags: &'a [String],
    layers: Vec<String>,
}

/// Writes `file` for `docker load` or `podman load`: the image for `platform`, under `names`
/// (`repository:tag`). Gives the image's id, which is the digest of its configuration.
pub fn write_docker_archive(
    file: &Path,
    image: &ImageContent,
    platform: &Platform,
    names: &[String],
) -> Result<Digest> {
    for name in names {
        let parsed = name.parse::<Reference>().map_err(|e| Error::content(name, e.reason))?;
        if parsed.tag.is_none() || parsed.digest.is_some() {
            return Err(Error::content(name, "a name in an archive is repository:tag"));
        }
    }
    let links = image.links(&image.image_for(platform)?)?;
    let config =
        links.config.as_ref().ok_or_else(|| Error::content(&image.root.digest, "not a container image"))?;
    let (descriptor, blob) = image.blob(&config.digest)?;
    let mut reader = Reader::new(descriptor, blob)?;
    let mut bytes = Vec::new();
    reader.by_ref().take(MAX_CONFIG).read_to_end(&mut bytes).map_err(Error::io(file))?;
    reader.finish()?;
    let parsed: ImageConfig = serde_json::from_slice(&bytes)
        .map_err(|e| Error::content(&config.digest, format!("not an image configuration: {e}")))?;
    if parsed.rootfs.diff_ids.len() != links.layers.len() {
        let reason = format!(
            "{} layers, but its configuration names {}",
            links.layers.len(),
            parsed.rootfs.diff_ids.len()
        );
        return Err(Error::content(&image.root.digest, reason));
    }
    let name = |layer: &Descriptor| format!("{}{}", layer.digest.hex(), suffix(&layer.media_type));
    let entry = Entry {
        config: format!("{}.json", config.digest.hex()),
        repo_tags: names,
        layers: links.layers.iter().map(name).collect(),
    };
    let manifest = to_json(&[&entry])?;
    write(file, |tar| {
        tar.bytes("manifest.json", &manifest)?;
        tar.bytes(&entry.config, &bytes)?;
        let mut seen = BTreeSet::new();
        for layer in links.layers.iter().filter(|layer| seen.insert(&layer.digest)) {
            let (descriptor, blob) = image.blob(&layer.digest)?;
            tar.blob(&name(layer), descriptor, blob)?;
        }
        Ok(())
    })?;
    Ok(config.digest.clone())
}

/// No configuration is larger than this.
const MAX_CONFIG: u64 = 8 << 20;

/// For people who look inside.
fn suffix(media_type: &str) -> &'static str {
    match media_type.rsplit(['+', '.']).next() {
        Some("gzip") => ".tar.gz",
        Some("zstd") => ".tar.zst",
        _ => ".tar",
    }
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value).map_err(|e| Error::content(&"archive", e.to_string()))
}

/// A tar file under way.
struct Tar<'a, W: Write> {
    file: &'a Path,
    builder: tar::Builder<W>,
}

impl<W: Write> Tar<'_, W> {
    fn bytes(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        self.entry(name, bytes.len() as u64, bytes)
    }

    fn blob(&mut self, name: &str, descriptor: &Descriptor, blob: &Blob) -> Result<()> {
        let mut reader = Reader::new(descriptor, blob)?;
        self.entry(name, descriptor.size, &mut reader)?;
        reader.finish()
    }

    fn entry(&mut self, name: &str, size: u64, data: impl Read) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        self.builder.append_data(&mut header, name, data).map_err(Error::io(self.file))
    }
}

/// Writes `file` whole or not at all.
fn write(
    file: &Path,
    fill: impl FnOnce(&mut Tar<'_, &mut BufWriter<&mut std::fs::File>>) -> Result<()>,
) -> Result<()> {
    let folder = file.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = layout::temporary(folder)?;
    let mut buffer = BufWriter::with_capacity(1 << 20, temporary.as_file_mut());
    let mut tar = Tar { file, builder: tar::Builder::new(&mut buffer) };
    fill(&mut tar)?;
    tar.builder.finish().map_err(Error::io(file))?;
    drop(tar);
    buffer.flush().map_err(Error::io(file))?;
    drop(buffer);
    temporary.persist(file).map_err(|e| Error::Io { path: file.to_owned(), source: e.error })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::suffix;
    use crate::media;

    #[test]
    fn suffixes() {
        for (media_type, expected) in [
            (media::LAYER, ".tar"),
            (media::LAYER_GZIP, ".tar.gz"),
            (media::LAYER_ZSTD, ".tar.zst"),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", ".tar.gz"),
        ] {
            assert_eq!(suffix(media_type), expected);
        }
    }
}
