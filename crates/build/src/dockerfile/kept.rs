//! What builders made, kept below Perijove's cache folder: `perijove test` runs what `perijove build` made, and
//! an image whose inputs are unchanged is not made again.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use perijove_oci::content::Links;
use perijove_oci::{Blob, Descriptor, Digest};
use serde::{Deserialize, Serialize};

use super::opened::Opened;
use crate::{Error, Result};

/// Results that are kept of one image and platform. More than one, so that a result that is being pushed
/// outlives the build after it.
const KEEP: usize = 2;
/// The record's name.
const RECORD: &str = "image.json";

/// What is written beside the blobs.
#[derive(Serialize, Deserialize)]
struct Record {
    config: String,
    layers: Vec<Descriptor>,
}

/// The results of one image and platform.
pub struct Kept {
    slot: PathBuf,
}

impl Kept {
    /// Of what `slot` names: repository, image and platform.
    pub fn new(cache: &Path, slot: &str) -> Self {
        Kept { slot: cache.join("dockerfile").join("kept").join(Digest::sha256(slot.as_bytes()).hex()) }
    }

    /// The result with `key`, if it is there and whole. Layers of `base` are not kept a second time. Blocks.
    pub fn read(&self, key: &Digest, base: Option<&Opened>) -> Option<Opened> {
        let folder = self.slot.join(key.hex());
        let record: Record = serde_json::from_slice(&fs::read(folder.join(RECORD)).ok()?).ok()?;
        let links = Links { layers: record.layers, ..Links::default() };
        let files = |layer: &Descriptor| Ok(Blob::Files(vec![folder.join(layer.digest.hex())]));
        let found = Opened::new(&"cache", &links, Bytes::from(record.config), files).ok()?.on(base);
        let whole = found.layers.iter().all(|layer| match &layer.content {
            Blob::Files(files) if files.iter().all(|f| f.starts_with(&folder)) => {
                files.iter().all(|f| fs::metadata(f).is_ok_and(|meta| meta.len() == layer.descriptor.size))
            }
            _ => true,
        });
        whole.then_some(found)
    }

    /// Keeps `made`, whose files are moved, in place of older results. Blocks.
    pub fn write(&self, key: &Digest, made: Opened, base: Option<&Opened>) -> Result<Opened> {
        let io = |path: &Path| Error::io(path.to_owned());
        fs::create_dir_all(&self.slot).map_err(io(&self.slot))?;
        let folder = tempfile::Builder::new().prefix(".part-").tempdir_in(&self.slot);
        let folder = folder.map_err(io(&self.slot))?;
        let made = made.on(base);
        let shared = base.map_or(&[][..], |base| &base.layers);
        let own = made.layers.iter().enumerate().filter(|(at, layer)| {
            shared.get(*at).is_none_or(|known| known.descriptor.digest != layer.descriptor.digest)
        });
        for (_, layer) in own {
            let Blob::Files(files) = &layer.content else { continue };
            let target = folder.path().join(layer.descriptor.digest.hex());
            match &files[..] {
                [file] if !target.exists() => fs::rename(file, &target).map_err(io(file))?,
                _ => {}
            }
        }
        let record = Record {
            config: String::from_utf8_lossy(&made.config).into_owned(),
            layers: made.layers.iter().map(|layer| layer.descriptor.clone()).collect(),
        };
        let path = folder.path().join(RECORD);
        fs::write(&path, crate::pending::json(&record)?).map_err(io(&path))?;
        let target = self.slot.join(key.hex());
        if let Err(error) = fs::remove_dir_all(&target)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(Error::Io { path: target, source: error });
        }
        fs::rename(folder.path(), &target).map_err(io(&target))?;
        self.forget(&target);
        self.read(key, base).ok_or_else(|| Error::Refused {
            reason: format!("{} lost a file while it was written", target.display()),
            hint: "run it again, and do not empty the cache meanwhile".to_owned(),
        })
    }

    /// Removes all but the newest results. One that cannot be removed now is removed another time.
    fn forget(&self, newest: &Path) {
        let Ok(entries) = fs::read_dir(&self.slot) else { return };
        let others = entries.flatten().filter(|e| e.path() != newest);
        let mut others: Vec<(SystemTime, PathBuf)> = others
            .filter(|e| !e.file_name().as_encoded_bytes().starts_with(b"."))
            .filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())))
            .collect();
        others.sort();
        for (_, path) in others.iter().rev().skip(KEEP - 1) {
            let _ = fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use perijove_oci::media;

    use super::*;

    /// A result as a builder leaves it in `folder`.
    fn made(folder: &Path, layers: &[&str]) -> Opened {
        fs::create_dir_all(folder).unwrap();
        let mut links = Links::default();
        let mut diffs = Vec::new();
        for layer in layers {
            fs::write(folder.join(layer), layer).unwrap();
            links.layers.push(Descriptor::of(media::LAYER, layer.as_bytes()));
            diffs.push(Digest::sha256(layer.as_bytes()));
        }
        let config = serde_json::json!({
            "architecture": "amd64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": diffs },
        });
        let file = |wanted: &Descriptor| {
            let name = layers.iter().find(|l| Digest::sha256(l.as_bytes()) == wanted.digest).unwrap();
            Ok(Blob::Files(vec![folder.join(name)]))
        };
        Opened::new(&"test", &links, config.to_string().into(), file).unwrap()
    }

    fn own(image: &Opened, cache: &Path) -> Vec<bool> {
        let inside = |blob: &Blob| matches!(blob, Blob::Files(files) if files[0].starts_with(cache));
        image.layers.iter().map(|layer| inside(&layer.content)).collect()
    }

    #[test]
    fn a_result_is_kept_whole_and_without_its_base() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let base = made(&folder.path().join("base"), &["a"]);
        let kept = Kept::new(&cache, "app");
        let key = Digest::sha256(b"key");
        let written = kept.write(&key, made(&folder.path().join("out"), &["a", "b"]), Some(&base)).unwrap();
        assert_eq!(own(&written, &cache), [false, true]);
        let read = kept.read(&key, Some(&base)).unwrap();
        assert_eq!((own(&read, &cache), &read.config), (vec![false, true], &written.config));
        assert!(kept.read(&key, None).is_none(), "the base's layer is not there without the base");
        assert!(kept.read(&Digest::sha256(b"other"), Some(&base)).is_none());
        let Blob::Files(files) = &read.layers[1].content else { panic!() };
        fs::write(&files[0], "").unwrap();
        assert!(kept.read(&key, Some(&base)).is_none(), "a cut file");
    }

    #[test]
    fn older_results_go() {
        let folder = tempfile::tempdir().unwrap();
        let cache = folder.path().join("cache");
        let kept = Kept::new(&cache, "app");
        let keys: Vec<Digest> = ["1", "2", "3"].map(|k| Digest::sha256(k.as_bytes())).to_vec();
        for (at, key) in keys.iter().enumerate() {
            kept.write(key, made(&folder.path().join(at.to_string()), &["a"]), None).unwrap();
            // Their times, which order them, may be equal on a coarse clock.
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(at as u64);
            fs::File::open(kept.slot.join(key.hex())).unwrap().set_modified(time).unwrap();
        }
        let there: Vec<bool> = keys.iter().map(|key| kept.read(key, None).is_some()).collect();
        assert_eq!(there, [false, true, true]);
        // The same again takes its own place.
        kept.write(&keys[1], made(&folder.path().join("again"), &["b"]), None).unwrap();
        assert_eq!(kept.read(&keys[1], None).unwrap().layers[0].diff_id, Digest::sha256(b"b"));
        assert_eq!(fs::read_dir(&kept.slot).unwrap().count(), KEEP);
    }
}
