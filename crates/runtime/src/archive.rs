//! An image as `docker load` and `podman load` take it: docker's archive of `manifest.json`, the
//! configuration and the layers. Layers stay compressed: both decompress what they load.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};

use serde_json::json;

use crate::image::{Image, blob_path};

/// Writes `image`, to be known as `name`, to `to`. Streams: no layer is held in memory.
///
/// # Errors
/// When a blob cannot be read or `to` cannot be written.
pub(crate) fn write(image: &Image, name: &str, to: impl Write) -> io::Result<()> {
    let mut tar = tar::Builder::new(to);
    let config = format!("{}.json", image.manifest.config.digest.hex());
    let layers: Vec<String> =
        image.manifest.layers.iter().map(|l| format!("{}.tar", l.digest.hex())).collect();
    append(&mut tar, &config, &mut File::open(blob_path(&image.layout, &image.manifest.config.digest))?)?;
    let mut written = BTreeSet::new();
    for (layer, file) in image.manifest.layers.iter().zip(&layers) {
        if written.insert(file) {
            append(&mut tar, file, &mut File::open(blob_path(&image.layout, &layer.digest))?)?;
        }
    }
    let manifest = json!([{ "Config": config, "RepoTags": [name], "Layers": layers }]).to_string();
    let mut header = header(manifest.len() as u64);
    tar.append_data(&mut header, "manifest.json", manifest.as_bytes())?;
    tar.into_inner()?.flush()
}

fn append(tar: &mut tar::Builder<impl Write>, name: &str, file: &mut File) -> io::Result<()> {
    let mut header = header(file.metadata()?.len());
    tar.append_data(&mut header, name, file)
}

fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}
