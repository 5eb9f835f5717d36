//! Layers in the cache: which pieces are there, and the digest of what they make together.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use perijove_oci::Blob as Content;
use perijove_oci::{Algorithm, Descriptor, Digest, Digester};
use serde::{Deserialize, Serialize};

use super::compress::{self, ChunkWriter, Compression};
use super::contents::{self, Contents};
use super::piece::{self, Blob, Class, PartInfo, PieceWriter};
use super::plan::{Group, is_split};
use super::tarball;
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
    /// It holds files.
    Local(Box<Local>),
    /// None of its pieces exists.
    Empty,
}

/// A layer in the cache.
#[derive(Clone, Debug)]
pub struct Local {
    /// Its digests.
    pub blob: Blob,
    /// The files that make it, one behind the other.
    pub files: Vec<PathBuf>,
    /// The list of what lies in it.
    pub contents: Descriptor,
}

/// What the cache keeps of a [`Local`]; files are relative to the cache's root, with their sizes.
#[derive(Serialize, Deserialize)]
struct Record {
    blob: Blob,
    files: Vec<(PathBuf, u64)>,
    contents: Descriptor,
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

    /// Makes a part's pieces with `unpack`.
    pub fn write(
        &self,
        part: &Part,
        unpack: impl FnOnce(&mut PieceWriter) -> Result<()>,
    ) -> Result<PartInfo> {
        let mut writer = PieceWriter::new(&self.root, self.compression, is_split(part))?;
        unpack(&mut writer)?;
        writer.finish(&self.part_folder(part))
    }

    /// Keeps a part whose compressed pieces were cut out of layers.
    pub fn keep(&self, part: &Part, info: &PartInfo, pieces: &[(Class, bytes::Bytes)]) -> Result<()> {
        let folder = piece::new_folder(&self.root)?;
        for (class, bytes) in pieces {
            let path = folder.path().join(piece::file_name(*class, self.compression));
            fs::write(&path, bytes).map_err(Error::io(&path))?;
        }
        piece::put_in_place(folder, &self.part_folder(part), info)
    }

    /// Where the list of contents with this digest lies, if it does.
    pub fn contents_path(&self, digest: &Digest) -> PathBuf {
        self.root.join("contents").join(&digest.hex()[..2]).join(digest.hex())
    }

    /// A layer's list of contents, if it lies in the cache.
    pub fn contents(&self, list: &Descriptor) -> Option<Contents> {
        Contents::decode(&fs::read(self.contents_path(&list.digest)).ok()?)
    }

    /// Keeps a layer's list of contents, checked by its digest.
    pub fn keep_contents(&self, list: &Descriptor, bytes: &[u8]) -> Result<()> {
        write_whole(&self.contents_path(&list.digest), bytes)
    }

    fn agreed_path(&self, layers: &Digest) -> PathBuf {
        self.root.join("agreed").join(&layers.hex()[..2]).join(layers.hex())
    }

    /// Whether the owners of the files in these layers were found to agree before. `layers` is a digest of the
    /// layers' lists.
    pub fn agreed(&self, layers: &Digest) -> bool {
        self.agreed_path(layers).exists()
    }

    /// Remembers that they do.
    pub fn remember_agreed(&self, layers: &Digest) -> Result<()> {
        write_whole(&self.agreed_path(layers), b"")
    }

    fn record_path(&self, group: &Group) -> PathBuf {
        self.root.join("made").join(&group.key.hex()[..2]).join(group.key.hex())
    }

    /// The layer of `group`, if it was put together before and all of it still lies in the cache.
    pub fn made(&self, group: &Group) -> Option<Layer> {
        let record = fs::read(self.record_path(group)).ok()?;
        let record: Option<Record> = serde_json::from_slice(&record).ok()?;
        let Some(Record { blob, files, contents }) = record else { return Some(Layer::Empty) };
        let has = |path: &Path, size| fs::metadata(path).is_ok_and(|meta| meta.len() == size);
        let whole = has(&self.contents_path(&contents.digest), contents.size)
            && files.iter().all(|(path, size)| has(&self.root.join(path), *size));
        let files = files.into_iter().map(|(path, _)| self.root.join(path)).collect();
        whole.then(|| Layer::Local(Box::new(Local { blob, files, contents })))
    }

    /// The files that make the layer of these contents, in order, between its folders and the end mark.
    fn files(&self, parts: &[Part], group: &Group, contents: &mut Contents) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        let mut folders = ChunkWriter::new(self.compression, Vec::new());
        for folder in contents.folders() {
            tarball::append(&mut folders, &folder, &mut io::empty()).map_err(Error::io(&self.root))?;
        }
        let folders = folders.finish().map_err(Error::io(&self.root))?;
        if !folders.is_empty() {
            let extension = format!("folders.{}", self.compression.extension());
            let path = self.record_path(group).with_extension(extension);
            write_whole(&path, &folders)?;
            contents.folders_size = folders.len() as u64;
            files.push(path);
        }
        for (unit, listed) in group.units.iter().zip(&contents.pieces) {
            if listed.pieces.contains_key(&unit.class) {
                let folder = self.part_folder(&parts[unit.part]);
                files.push(folder.join(piece::file_name(unit.class, self.compression)));
            }
        }
        files.push(self.end_mark()?);
        Ok(files)
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
        let path = self.record_path(group);
        let json =
            |record: Option<&Record>| serde_json::to_vec(&record).map_err(|e| Error::io(&path)(e.into()));
        let mut contents = Contents::of(parts, group, |part| self.part(part)).ok_or_else(missing)?;
        if contents.is_empty() {
            write_whole(&path, &json(None)?)?;
            return Ok(Layer::Empty);
        }
        let files = self.files(parts, group, &mut contents)?;
        let blob = self.digest(&files)?;
        let list = contents.encode()?;
        let contents = Descriptor::of(contents::MEDIA_TYPE, &list);
        self.keep_contents(&contents, &list)?;
        let mut sizes = Vec::new();
        for file in &files {
            let size = fs::metadata(file).map_err(Error::io(file))?.len();
            sizes.push((file.strip_prefix(&self.root).unwrap_or(file).to_owned(), size));
        }
        let record = Record { blob, files: sizes, contents };
        write_whole(&path, &json(Some(&record))?)?;
        Ok(Layer::Local(Box::new(Local { blob: record.blob, files, contents: record.contents })))
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

impl Local {
    /// The layer's descriptor and content for a push or an image layout.
    pub fn content(&self, compression: Compression) -> (Descriptor, Content) {
        let descriptor = Descriptor::new(compression.media_type(), self.blob.digest.clone(), self.blob.size);
        (descriptor, Content::Files(self.files.clone()))
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
