//! Pieces: a part's files as a run of tar entries, compressed once and kept by the part's key.
//!
//! A part is one piece, or a few when its files change at different paces ([`Class`]). A piece has no folders and
//! no end-of-archive mark, so pieces can be laid one behind the other in any layer, and a part's bytes never
//! depend on its neighbours. A layer begins with the folders of all its pieces, each once: Docker and Podman refuse
//! a layer that names a path twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use perijove_oci::{Algorithm, Digest, Digester};
use serde::{Deserialize, Serialize};

use super::compress::{ChunkWriter, Compression};
use super::tarball;
use crate::entry::{Entry, Kind, Sink};
use crate::{Error, Result};

/// How a file ages when its package gets a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Vendored web assets: the same bytes for many versions.
    Static,
    /// Compiled code: changes when the compiler or the source behind it does.
    Native,
    /// The rest: changes with every version.
    Code,
}

/// The class of a file of a wheel. On the reference refreezes, splitting Static off JupyterHub halves what a
/// node pulls, and Native off SQLAlchemy takes another 6 %.
pub fn class_of(path: &str) -> Class {
    const VENDORED: [&str; 3] = ["/static/components/", "/node_modules/", "/bower_components/"];
    if VENDORED.iter().any(|folder| path.contains(folder)) {
        Class::Static
    } else if path.ends_with(".so") || path.contains(".so.") {
        Class::Native
    } else {
        Class::Code
    }
}

/// One file of a part, for the contents list: who owns which path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owned {
    /// Path in the image.
    pub path: String,
    /// `file:` and the first 16 hex digits of its sha256, `link:` and its target, or `hard:` and its target.
    pub what: String,
    /// The piece that holds it.
    pub class: Class,
}

/// What is known of a written piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PieceInfo {
    /// Compressed bytes.
    pub size: u64,
    /// Their digest.
    pub digest: Digest,
}

/// A folder of a piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// Path in the image.
    pub path: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u64,
    /// The piece that needs it.
    pub class: Class,
}

impl Folder {
    /// As an entry of a layer.
    pub fn entry(&self) -> Entry {
        let Folder { path, mode, uid, gid, mtime, .. } = self.clone();
        Entry { path, kind: Kind::Directory, mode, uid, gid, mtime }
    }
}

/// A compressed layer: its digest and size, and the digest of its uncompressed tar.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Digest of the compressed bytes.
    pub digest: Digest,
    /// Compressed length in bytes.
    pub size: u64,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
}

/// What the cache says of a part: its pieces and its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartInfo {
    /// The pieces by class.
    pub pieces: BTreeMap<Class, PieceInfo>,
    /// The files, in the part's order; folders are nobody's.
    pub owned: Vec<Owned>,
    /// The folders of each piece, by path.
    pub folders: Vec<Folder>,
}

/// The end of a layer: two zero blocks (POSIX pax, "ustar Interchange Format"), compressed.
pub fn end_mark(compression: Compression) -> Result<Vec<u8>> {
    compression.chunk(&[0; 1024]).map_err(Error::io("end of layer"))
}

/// Writes a part's entries into pieces in a new folder that is put in place whole by [`PieceWriter::finish`].
pub struct PieceWriter {
    compression: Compression,
    split: bool,
    folder: tempfile::TempDir,
    open: BTreeMap<Class, OpenPiece>,
    owned: Vec<Owned>,
    /// The part's folders, and which pieces need them.
    folders: BTreeMap<String, (Entry, BTreeSet<Class>)>,
}

struct OpenPiece {
    out: ChunkWriter<TeeHash<BufWriter<File>>>,
    path: PathBuf,
}

/// Passes bytes on and digests them.
struct TeeHash<W> {
    inner: W,
    digester: Digester,
    length: u64,
}

impl<W> TeeHash<W> {
    fn new(inner: W) -> Self {
        TeeHash { inner, digester: Digester::new(Algorithm::Sha256), length: 0 }
    }
}

impl<W: Write> Write for TeeHash<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.digester.update(&bytes[..n]);
        self.length += n as u64;
        Ok(n)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl PieceWriter {
    /// `root` is the piece cache; `split` says whether files go into pieces by [`Class`].
    pub fn new(root: &Path, compression: Compression, split: bool) -> Result<Self> {
        Ok(PieceWriter {
            compression,
            split,
            folder: new_folder(root)?,
            open: BTreeMap::new(),
            owned: Vec::new(),
            folders: BTreeMap::new(),
        })
    }

    fn piece(&mut self, class: Class) -> Result<&mut OpenPiece> {
        use std::collections::btree_map::Entry as Slot;
        match self.open.entry(class) {
            Slot::Occupied(slot) => Ok(slot.into_mut()),
            Slot::Vacant(slot) => {
                let path = self.folder.path().join(file_name(class, self.compression));
                let file = File::create_new(&path).map_err(Error::io(&path))?;
                let out = ChunkWriter::new(self.compression, TeeHash::new(BufWriter::new(file)));
                Ok(slot.insert(OpenPiece { out, path }))
            }
        }
    }

    /// Puts the folder in place as `target`.
    pub fn finish(self, target: &Path) -> Result<PartInfo> {
        let mut pieces = BTreeMap::new();
        for (class, piece) in self.open {
            let mut hashed = piece.out.finish().map_err(Error::io(&piece.path))?;
            hashed.flush().map_err(Error::io(&piece.path))?;
            pieces.insert(class, PieceInfo { size: hashed.length, digest: hashed.digester.finish() });
        }
        let mut folders = Vec::new();
        for (Entry { path, mode, uid, gid, mtime, .. }, classes) in self.folders.into_values() {
            let folder = |class| Folder { path: path.clone(), mode, uid, gid, mtime, class };
            folders.extend(classes.into_iter().map(folder));
        }
        let info = PartInfo { pieces, owned: self.owned, folders };
        put_in_place(self.folder, target, &info)?;
        Ok(info)
    }
}

/// A new folder in the piece cache `root` that is removed again unless it is put in place.
pub fn new_folder(root: &Path) -> Result<tempfile::TempDir> {
    fs::create_dir_all(root).map_err(Error::io(root))?;
    tempfile::Builder::new().prefix(".new-").tempdir_in(root).map_err(Error::io(root))
}

/// Writes `info` beside the pieces in `folder` and puts the folder in place as `target`. Somebody else may have
/// done the same meanwhile: theirs is equal. What cannot be read there (another version wrote it) is replaced.
pub fn put_in_place(folder: tempfile::TempDir, target: &Path, info: &PartInfo) -> Result<()> {
    let text = serde_json::to_vec(info).map_err(|e| Error::io(target)(e.into()))?;
    let path = folder.path().join(INFO);
    fs::write(&path, text).map_err(Error::io(&path))?;
    let parent = target.parent().unwrap_or(target);
    fs::create_dir_all(parent).map_err(Error::io(parent))?;
    match fs::rename(folder.path(), target) {
        Ok(()) => {
            let _ = folder.keep();
            return Ok(());
        }
        Err(_) if read_info(target).is_some() => return Ok(()),
        Err(_) => {}
    }
    let old = new_folder(parent)?;
    fs::rename(target, old.path()).map_err(Error::io(target))?;
    fs::rename(folder.path(), target).map_err(Error::io(target))?;
    let _ = folder.keep();
    Ok(())
}

/// The file of [`PartInfo`] in a part's folder.
const INFO: &str = "part.json";

impl Sink for PieceWriter {
    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<()> {
        if entry.kind == Kind::Directory {
            // A folder of a split part is in a piece when a file below it is.
            let classes = if self.split { BTreeSet::new() } else { BTreeSet::from([Class::Code]) };
            self.folders.insert(entry.path.clone(), (entry, classes));
            return Ok(());
        }
        let class = if self.split { class_of(&entry.path) } else { Class::Code };
        for (at, _) in entry.path.match_indices('/') {
            if let Some((_, classes)) = self.folders.get_mut(&entry.path[..at]) {
                classes.insert(class);
            }
        }
        let place = self.folder.path().to_owned();
        let piece = self.piece(class)?;
        let mut content = HashRead { inner: content, digester: Digester::new(Algorithm::Sha256) };
        tarball::append(&mut piece.out, &entry, &mut content).map_err(Error::io(&place))?;
        let what = match &entry.kind {
            Kind::Directory => return Ok(()),
            Kind::File { .. } => format!("file:{}", &content.digester.finish().hex()[..16]),
            Kind::Symlink { target } => format!("link:{target}"),
            Kind::Hardlink { target } => format!("hard:{target}"),
        };
        self.owned.push(Owned { path: entry.path, what, class });
        Ok(())
    }
}

struct HashRead<'a> {
    inner: &'a mut dyn Read,
    digester: Digester,
}

impl Read for HashRead<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.digester.update(&buffer[..n]);
        Ok(n)
    }
}

/// A piece's file name in its part's folder.
pub fn file_name(class: Class, compression: Compression) -> String {
    let class = match class {
        Class::Static => "static",
        Class::Native => "native",
        Class::Code => "code",
    };
    format!("{class}.{}", compression.extension())
}

/// What the cache holds under `folder`, if it is whole and readable.
pub fn read_info(folder: &Path) -> Option<PartInfo> {
    serde_json::from_slice(&fs::read(folder.join(INFO)).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unreadable_part_is_replaced_and_a_readable_one_stays() {
        let cache = tempfile::tempdir().unwrap();
        let target = cache.path().join("ab/part");
        let put = |mark: &str| {
            let folder = new_folder(cache.path()).unwrap();
            fs::write(folder.path().join("code.tar.gz"), mark).unwrap();
            let info = PartInfo { pieces: BTreeMap::new(), owned: Vec::new(), folders: Vec::new() };
            put_in_place(folder, &target, &info).unwrap();
            fs::read_to_string(target.join("code.tar.gz")).unwrap()
        };
        assert_eq!([put("one"), put("two")], ["one", "one"], "the first of two equal ones");
        fs::write(target.join(INFO), "{\"of another version\": 1}").unwrap();
        assert_eq!(put("three"), "three");
        assert_eq!(fs::read_dir(cache.path()).unwrap().count(), 1, "nothing is left behind");
        assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
    }
}
