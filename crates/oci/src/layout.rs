//! Image layouts (OCI image specification, image-layout.md): a folder with `oci-layout`, `index.json`, `blobs/`.
//!
//! Writing into a layout that is there adds to it. Blobs are made aside and renamed, `index.json` comes last:
//! a process that is killed leaves a layout as it was, perhaps with blobs that nothing lists. Two processes
//! that write one layout wait for each other. These functions block; async callers use `spawn_blocking`.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::blob::{Blob, Reader};
use crate::client::permissions;
use crate::content::{ImageContent, Links};
use crate::digest::{Digest, Digester};
use crate::error::{Error, Result};
use crate::manifest::{Annotations, Descriptor, Index};
use crate::media;

/// annotations.md: the name under which an entry of `index.json` is found.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

const VERSION: &str = "1.0.0";
/// No manifest and no `index.json` is larger.
const MAX_DOCUMENT: u64 = 8 << 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Marker {
    image_layout_version: String,
}

/// The bytes of `oci-layout`.
pub(crate) fn marker() -> Vec<u8> {
    format!("{{\"imageLayoutVersion\":\"{VERSION}\"}}").into_bytes()
}

/// `blobs/<algorithm>/<hex>`.
pub(crate) fn blob_name(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm().name(), digest.hex())
}

/// The entries of `index.json` for `image` under `tag`: its root, then its referrers.
pub(crate) fn entries(image: &ImageContent, tag: Option<&str>) -> Result<Vec<Descriptor>> {
    let mut root = image.root.clone();
    if let Some(tag) = tag {
        root.annotations.insert(REF_NAME.to_owned(), tag.to_owned());
    }
    let mut entries = vec![root];
    for digest in &image.referrers {
        let (media_type, bytes) = image.manifest(digest)?;
        let mut entry = Descriptor::new(media_type, digest.clone(), bytes.len() as u64);
        entry.artifact_type = image.links(digest)?.artifact_type;
        entries.push(entry);
    }
    Ok(entries)
}

/// Writes `image` into the layout `dir`, which is made where it is missing, and lists it under `tag` in place
/// of what had that name. Fails where a blob is remote ([`crate::Client::localize`] fetches those).
pub fn write_layout(dir: &Path, image: &ImageContent, tag: Option<&str>) -> Result<()> {
    image.check()?;
    let layout = Layout::open(dir)?;
    for (descriptor, blob) in image.blobs.values() {
        layout.put(descriptor, blob)?;
    }
    for (digest, (media_type, bytes)) in &image.manifests {
        let descriptor = Descriptor::new(media_type, digest.clone(), bytes.len() as u64);
        layout.put(&descriptor, &Blob::Bytes(bytes.clone()))?;
    }
    layout.list(entries(image, tag)?, tag)
}

/// Makes the layout `dir` where it is missing. Fails where the folder is something else.
pub(crate) fn prepare(dir: &Path) -> Result<()> {
    Layout::open(dir).map(drop)
}

/// Reads the image that the layout `dir` lists under `tag`; without a tag, the only one it lists. Manifests
/// are checked against their digests, blobs for being there with their sizes.
pub fn read_layout(dir: &Path, tag: Option<&str>) -> Result<ImageContent> {
    let index = read_index(dir)?
        .ok_or_else(|| Error::content(&dir.display(), "no image layout: no index.json in it"))?;
    let named = |d: &&Descriptor| d.annotations.get(REF_NAME).map(String::as_str) == tag;
    let root = match tag {
        Some(tag) => index
            .manifests
            .iter()
            .find(named)
            .ok_or_else(|| Error::content(&dir.display(), format!("the layout lists no `{tag}`")))?,
        None => only(dir, &index)?,
    };
    let mut image =
        ImageContent::new(Descriptor::new(&root.media_type, root.digest.clone(), root.size), Bytes::new());
    read_manifest(dir, root, &mut image)?;
    for entry in &index.manifests {
        let known = image.manifests.contains_key(&entry.digest);
        // Entries of others may lack their blobs; they are none of ours then.
        let Some(subject) =
            document(dir, entry).ok().and_then(|b| Links::read(&entry.digest, &b).ok()?.subject)
        else {
            continue;
        };
        if !known && image.manifests.contains_key(&subject.digest) {
            read_manifest(dir, entry, &mut image)?;
            image.referrers.push(entry.digest.clone());
        }
    }
    Ok(image)
}

/// The one entry that is not a referrer.
fn only<'a>(dir: &Path, index: &'a Index) -> Result<&'a Descriptor> {
    let is_referrer = |d: &&Descriptor| {
        let bytes = document(dir, d).ok();
        bytes.and_then(|b| Links::read(&d.digest, &b).ok()).is_some_and(|links| links.subject.is_some())
    };
    let images: Vec<&Descriptor> = index.manifests.iter().filter(|d| !is_referrer(d)).collect();
    match images[..] {
        [one] => Ok(one),
        [] => Err(Error::content(&dir.display(), "the layout lists no image")),
        _ => {
            let names: Vec<&str> =
                images.iter().filter_map(|d| d.annotations.get(REF_NAME).map(String::as_str)).collect();
            Err(Error::content(
                &dir.display(),
                format!("the layout lists several images, name one of: {}", names.join(", ")),
            ))
        }
    }
}

fn read_manifest(dir: &Path, at: &Descriptor, image: &mut ImageContent) -> Result<()> {
    let bytes = document(dir, at)?;
    let links = Links::read(&at.digest, &bytes)?;
    image.manifests.insert(at.digest.clone(), (at.media_type.clone(), bytes));
    for child in &links.manifests {
        if !image.manifests.contains_key(&child.digest) {
            read_manifest(dir, child, image)?;
        }
    }
    for blob in links.blobs() {
        let path = dir.join(blob_name(&blob.digest));
        let length = fs::metadata(&path).map_err(Error::io(&path))?.len();
        if length != blob.size {
            return Err(Error::content(
                &path.display(),
                format!("{length} bytes, but {} are listed", blob.size),
            ));
        }
        image.add_blob(
            Descriptor::new(&blob.media_type, blob.digest.clone(), blob.size),
            Blob::Files(vec![path]),
        );
    }
    Ok(())
}

/// A manifest's bytes, checked.
fn document(dir: &Path, at: &Descriptor) -> Result<Bytes> {
    let path = dir.join(blob_name(&at.digest));
    let bytes = read_bounded(&path)?;
    let found = Digest::of(at.digest.algorithm(), &bytes);
    if found != at.digest {
        return Err(Error::Digest { what: path.display().to_string(), expected: at.digest.clone(), found });
    }
    Ok(bytes.into())
}

fn read_bounded(path: &Path) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(Error::io(path))?;
    file.take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(Error::content(&path.display(), format!("larger than {MAX_DOCUMENT} bytes")));
    }
    Ok(bytes)
}

fn read_index(dir: &Path) -> Result<Option<Index>> {
    let path = dir.join("index.json");
    match fs::exists(&path) {
        Ok(false) => return Ok(None),
        Ok(true) => {}
        Err(e) => return Err(Error::Io { path, source: e }),
    }
    let wrong = |e: serde_json::Error| {
        Error::content(&path.display(), format!("not the index of an image layout: {e}"))
    };
    serde_json::from_slice(&read_bounded(&path)?).map(Some).map_err(wrong)
}

/// Whether the file at `path` is the blob.
pub(crate) fn is_intact(path: &Path, digest: &Digest, size: u64) -> io::Result<bool> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    if file.metadata()?.len() != size {
        return Ok(false);
    }
    let mut digester = Digester::new(digest.algorithm());
    let mut buffer = vec![0; 256 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(digester.finish() == *digest),
            n => digester.update(&buffer[..n]),
        }
    }
}

/// A layout that is being written; its marker file is locked until this is dropped.
struct Layout {
    dir: PathBuf,
    _lock: File,
}

impl Layout {
    fn open(dir: &Path) -> Result<Self> {
        fs::create_dir_all(dir).map_err(Error::io(dir))?;
        let path = dir.join("oci-layout");
        if !fs::exists(&path).map_err(Error::io(&path))? {
            let stranger = fs::read_dir(dir).map_err(Error::io(dir))?.flatten().find(|e| {
                let name = e.file_name();
                // Another writer may have made `oci-layout` since the look above.
                let ours = name == "blobs" || name == "index.json" || name == "oci-layout";
                !(ours || name.to_string_lossy().starts_with(".part-"))
            });
            if let Some(stranger) = stranger {
                let reason = format!("the folder is no image layout, it holds {}", stranger.path().display());
                return Err(Error::content(&dir.display(), reason));
            }
            // Of two who make a layout at a time, both must lock the same file.
            let mut file = temporary(dir)?;
            file.write_all(&marker()).map_err(Error::io(&path))?;
            match file.persist_noclobber(&path) {
                Err(e) if e.error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(Error::Io { path, source: e.error });
                }
                _ => {}
            }
        }
        let lock = File::open(&path).map_err(Error::io(&path))?;
        match lock.lock() {
            Err(e) if e.kind() != io::ErrorKind::Unsupported => return Err(Error::Io { path, source: e }),
            _ => {}
        }
        let found =
            serde_json::from_slice::<Marker>(&read_bounded(&path)?).ok().map(|m| m.image_layout_version);
        if found.as_deref() != Some(VERSION) {
            return Err(Error::content(&path.display(), format!("not an image layout of version {VERSION}")));
        }
        Ok(Layout { dir: dir.to_owned(), _lock: lock })
    }

    fn put(&self, descriptor: &Descriptor, blob: &Blob) -> Result<()> {
        let path = self.dir.join(blob_name(&descriptor.digest));
        // Blobs that were fetched into their place were checked on the way.
        if matches!(blob, Blob::Files(files) if *files == [path.clone()]) {
            return Ok(());
        }
        if is_intact(&path, &descriptor.digest, descriptor.size).map_err(Error::io(&path))? {
            return Ok(());
        }
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let mut temporary = temporary(folder)?;
        let mut reader = Reader::new(descriptor, blob)?;
        io::copy(&mut reader, &mut temporary).map_err(Error::io(&path))?;
        reader.finish()?;
        temporary.persist(&path).map_err(|e| Error::Io { path, source: e.error })?;
        Ok(())
    }

    fn list(&self, entries: Vec<Descriptor>, tag: Option<&str>) -> Result<()> {
        let mut index = read_index(&self.dir)?.unwrap_or_else(|| Index::new(Vec::new(), Annotations::new()));
        index.media_type.get_or_insert_with(|| media::INDEX.to_owned());
        index.manifests.retain(|old| {
            let name = old.annotations.get(REF_NAME).map(String::as_str);
            let replaced = tag.is_some() && name == tag;
            let again = name.is_none() && entries.iter().any(|e| e.digest == old.digest);
            !replaced && !again
        });
        index.manifests.extend(entries);
        let path = self.dir.join("index.json");
        let bytes = serde_json::to_vec(&index).map_err(|e| Error::content(&path.display(), e.to_string()))?;
        replace(&self.dir, &path, &bytes)
    }
}

pub(crate) fn temporary(folder: &Path) -> Result<tempfile::NamedTempFile> {
    let builder = tempfile::Builder::new().prefix(".part-").permissions(permissions()).tempfile_in(folder);
    builder.map_err(Error::io(folder))
}

/// Writes a small file whole: aside, synced, renamed.
fn replace(folder: &Path, path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = temporary(folder)?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(Error::io(path))?;
    file.persist(path).map_err(|e| Error::Io { path: path.to_owned(), source: e.error })?;
    Ok(())
}
