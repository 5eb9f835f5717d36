//! Layers in the cache: which pieces are there, and the digest of what they make together.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use perijove_oci::Blob as Content;
use perijove_oci::{Algorithm, Descriptor, Digester};

use super::compress::{self, Compression};
use super::piece::{self, Blob, PartInfo, PieceWriter};
use super::plan::{Group, is_split};
use crate::part::Part;
use crate::{Error, Result};

/// The part and layer cache below Perijove's cache folder. All of it can be made again.
#[derive(Clone, Debug)]
pub struct LayerCache {
    root: PathBuf,
    compression: Compression,
}

/// A layer whose bytes lie in the cache, or a group that turned out to hold no file.
#[derive(Clone, Debug)]
pub enum Layer {
    /// Its digests and its files.
    Local(Blob, Vec<PathBuf>),
    /// None of its pieces exists.
    Empty,
}

impl LayerCache {
    /// `cache` is Perijove's cache folder.
    pub fn new(cache: &Path, compression: Compression) -> Self {
        LayerCache { root: cache.join("layers"), compression }
    }

    /// How layers are compressed here.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// A part that is cut into pieces lies beside the same part in one piece: which of the two a lock wants
    /// depends on the size that it tells.
    fn part_folder(&self, part: &Part) -> PathBuf {
        let hex = part.key.hex();
        let name = if is_split(part) { format!("{hex}-split") } else { hex.to_owned() };
        self.root.join(self.compression.extension()).join(&hex[..2]).join(name)
    }

    /// What is known of a part that lies in the cache, whole.
    pub fn part(&self, part: &Part) -> Option<PartInfo> {
        let folder = self.part_folder(part);
        let info = piece::read_info(&folder)?;
        let whole = info.pieces.iter().all(|(class, piece)| {
            let path = folder.join(piece::file_name(*class, self.compression));
            fs::metadata(path).is_ok_and(|meta| meta.len() == piece.size)
        });
        if !whole {
            // Somebody removed or cut a file: make the part again.
            let _ = fs::remove_dir_all(&folder);
        }
        whole.then_some(info)
    }

    /// Makes a part's pieces with `unpack`, which gives the package's metadata.
    pub fn write(
        &self,
        part: &Part,
        unpack: impl FnOnce(&mut PieceWriter) -> Result<std::collections::BTreeMap<String, String>>,
    ) -> Result<PartInfo> {
        let mut writer = PieceWriter::new(&self.root, self.compression, is_split(part))?;
        let metadata = unpack(&mut writer)?;
        writer.finish(&self.part_folder(part), metadata)
    }

    fn record_path(&self, group: &Group) -> PathBuf {
        self.root.join("made").join(&group.key.hex()[..2]).join(group.key.hex())
    }

    /// The layer of `group`, if all its parts lie in the cache and it was put together before.
    pub fn made(&self, parts: &[Part], group: &Group) -> Option<Layer> {
        let record = fs::read(self.record_path(group)).ok()?;
        let blob: Option<Blob> = serde_json::from_slice(&record).ok()?;
        let Some(blob) = blob else { return Some(Layer::Empty) };
        Some(Layer::Local(blob, self.files(parts, group)?))
    }

    /// The files that make the layer, in order, with the end mark; none if a part is not in the cache.
    fn files(&self, parts: &[Part], group: &Group) -> Option<Vec<PathBuf>> {
        let mut files = Vec::new();
        for unit in &group.units {
            let part = &parts[unit.part];
            if self.part(part)?.pieces.contains_key(&unit.class) {
                files.push(self.part_folder(part).join(piece::file_name(unit.class, self.compression)));
            }
        }
        if !files.is_empty() {
            files.push(self.end_mark().ok()?);
        }
        Some(files)
    }

    fn end_mark(&self) -> Result<PathBuf> {
        let path = self.root.join(format!("end.{}", self.compression.extension()));
        let bytes = piece::end_mark(self.compression)?;
        if fs::read(&path).ok().as_deref() != Some(&bytes[..]) {
            write_whole(&path, &bytes)?;
        }
        Ok(path)
    }

    /// Puts the layer of `group` together; all its parts must lie in the cache.
    pub fn make(&self, parts: &[Part], group: &Group) -> Result<Layer> {
        let missing = || Error::Refused {
            reason: format!("layer `{}` lost a part in the cache while it was made", group.label),
            hint: "run it again, and do not empty the cache meanwhile".to_owned(),
        };
        let files = self.files(parts, group).ok_or_else(missing)?;
        let layer = match &files[..] {
            [] => Layer::Empty,
            // One piece and the end mark: its digests were taken when it was written.
            [_, _] => Layer::Local(self.alone(parts, group).ok_or_else(missing)?, files),
            _ => Layer::Local(self.digest(&files)?, files),
        };
        let record = match &layer {
            Layer::Local(blob, _) => serde_json::to_vec(&Some(blob)),
            Layer::Empty => serde_json::to_vec(&None::<Blob>),
        };
        let path = self.record_path(group);
        write_whole(&path, &record.map_err(|e| Error::Io { path: path.clone(), source: e.into() })?)?;
        Ok(layer)
    }

    fn alone(&self, parts: &[Part], group: &Group) -> Option<Blob> {
        group
            .units
            .iter()
            .find_map(|unit| Some(self.part(&parts[unit.part])?.pieces.get(&unit.class)?.alone.clone()))
    }

    fn digest(&self, files: &[PathBuf]) -> Result<Blob> {
        let mut digester = Digester::new(Algorithm::Sha256);
        let mut diff = Digester::new(Algorithm::Sha256);
        let mut size = 0;
        let mut buffer = vec![0; 256 << 10];
        for path in files {
            let file = File::open(path).map_err(Error::io(path))?;
            let mut tee = Tee { inner: file, digester: &mut digester, size: &mut size };
            let mut plain = compress::reader(
                self.compression.media_type(),
                BufReader::with_capacity(256 << 10, &mut tee),
            )
            .map_err(Error::io(path))?;
            loop {
                match plain.read(&mut buffer).map_err(Error::io(path))? {
                    0 => break,
                    n => diff.update(&buffer[..n]),
                }
            }
        }
        Ok(Blob { digest: digester.finish(), size, diff_id: diff.finish() })
    }
}

impl Blob {
    /// The layer's descriptor and content for a push or an image layout.
    pub fn content(&self, compression: Compression, files: Vec<PathBuf>) -> (Descriptor, Content) {
        (Descriptor::new(compression.media_type(), self.digest.clone(), self.size), Content::Files(files))
    }
}

struct Tee<'a, R> {
    inner: R,
    digester: &'a mut Digester,
    size: &'a mut u64,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.digester.update(&buffer[..n]);
        *self.size += n as u64;
        Ok(n)
    }
}

/// Writes a file that is complete or absent.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let temporary = tempfile::NamedTempFile::new_in(folder).map_err(Error::io(folder))?;
    fs::write(temporary.path(), bytes).map_err(Error::io(temporary.path()))?;
    temporary.persist(path).map_err(|e| Error::Io { path: path.to_owned(), source: e.error })?;
    Ok(())
}
