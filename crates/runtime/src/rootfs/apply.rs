//! Applies one layer's tar to a folder (image specification, layer.md: representing changes, whiteouts).
//!
//! Names of devices are left out: a container gets its own `/dev`. Set-user-id bits and extended
//! attributes are left out: every container runs with `no_new_privs`, where they mean nothing.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;

use rustix::fs::{self, AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use tar::EntryType;

use super::extensions::Extensions;
use super::header::{Fault, copy, mtime, owner, shown, times};
use super::tree::{self, EntryPath, Tree};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// aufs kept its own files under this prefix; they are no whiteouts.
const AUFS: &[u8] = b".wh..wh.";

/// What may not be exceeded by all layers together.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of all layers' tars.
    pub bytes: u64,
    /// Entries of all layers.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 64 << 30, entries: 4_000_000 }
    }
}

/// Whose the files become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// The caller's.
    Caller,
    /// As the layers say; only root can.
    Layers,
}

/// An entry that cannot be applied.
#[derive(Debug)]
pub struct Refused {
    /// The entry's path, where one is at fault.
    pub entry: Option<String>,
    /// Why.
    pub reason: String,
}

struct FolderMeta {
    mode: Mode,
    owner: Option<(Uid, Gid)>,
    mtime: i64,
}

/// A root file system that is being made, layer by layer.
pub struct Applier {
    tree: Tree,
    ownership: Ownership,
    limits: Limits,
    entries: u64,
    /// Folders get their mode last, so that a read-only one can be filled.
    folders: BTreeMap<Vec<u8>, FolderMeta>,
    /// What this layer made: its whiteouts are about the layers below only.
    made: HashSet<Vec<u8>>,
    buffer: Vec<u8>,
    /// Device nodes that were left out.
    devices: u64,
}

impl Applier {
    /// Applies to the root folder `tree`.
    pub fn new(tree: Tree, ownership: Ownership, limits: Limits) -> Self {
        Applier {
            tree,
            ownership,
            limits,
            entries: 0,
            folders: BTreeMap::new(),
            made: HashSet::new(),
            buffer: vec![0; 256 << 10],
            devices: 0,
        }
    }

    /// Applies one layer's tar.
    ///
    /// # Errors
    /// [`Refused`] with the entry that is at fault. The folder is then to be thrown away.
    pub fn layer(&mut self, tar: &mut dyn Read) -> Result<(), Refused> {
        self.made.clear();
        self.tree.forget();
        let damaged = |e: io::Error| Refused { entry: None, reason: format!("the tar is damaged: {e}") };
        let mut archive = tar::Archive::new(tar);
        let mut extensions = Extensions::default();
        for entry in archive.entries().map_err(damaged)?.raw(true) {
            let mut entry = entry.map_err(damaged)?;
            if extensions.take(&mut entry)? {
                continue;
            }
            let extensions = std::mem::take(&mut extensions);
            let name = extensions.path.unwrap_or_else(|| entry.path_bytes().into_owned());
            let link = extensions.link.or_else(|| entry.link_name_bytes().map(Cow::into_owned));
            let refused = |reason: String| Refused { entry: Some(shown(&name)), reason };
            self.entries += 1;
            if self.entries > self.limits.entries {
                return Err(refused(format!("more than {} entries", self.limits.entries)));
            }
            if extensions.sparse {
                return Err(refused("sparse files are not supported".to_owned()));
            }
            let path = EntryPath::new(&name).map_err(refused)?;
            self.entry(&mut entry, &path, link.as_deref()).map_err(|e| match e {
                Fault::Reason(reason) => refused(reason),
                Fault::Os(e) => refused(io::Error::from(e).to_string()),
            })?;
        }
        if extensions.path.is_some() || extensions.link.is_some() {
            return Err(Refused { entry: None, reason: "the tar ends after a long name".to_owned() });
        }
        Ok(())
    }

    fn entry(
        &mut self,
        entry: &mut tar::Entry<'_, impl Read>,
        path: &EntryPath,
        link: Option<&[u8]>,
    ) -> Result<(), Fault> {
        let header = entry.header().clone();
        let kind = header.entry_type();
        let Some((parent, name)) = path.split() else {
            return match kind {
                EntryType::Directory => self.folder_meta(path, &header),
                _ => Err(Fault::Reason("the root is not a folder".to_owned())),
            };
        };
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.whiteout(parent, name, hidden);
        }
        match kind {
            EntryType::Char | EntryType::Block => {
                self.devices += 1;
                return Ok(());
            }
            EntryType::Regular
            | EntryType::Continuous
            | EntryType::Directory
            | EntryType::Symlink
            | EntryType::Link
            | EntryType::Fifo => {}
            EntryType::GNUSparse => return Err(Fault::Reason("sparse files are not supported".to_owned())),
            other => {
                return Err(Fault::Reason(format!(
                    "unknown kind of entry {:?}",
                    char::from(other.as_byte())
                )));
            }
        }
        self.note_made(path);
        let target = match kind {
            EntryType::Link => Some(self.hard_link_target(link)?),
            _ => None,
        };
        let owner = owner(&header, self.ownership)?;
        let folder = self.parent(parent)?;
        let existing = tree::kind(&folder, name)?;
        if kind == EntryType::Directory && existing == Some(FileType::Directory) {
            return self.folder_meta(path, &header);
        }
        if existing.is_some() {
            if kind == EntryType::Link && self.same_file(target.as_ref(), &folder, name)? {
                return Ok(());
            }
            tree::remove(&folder, name)?;
            self.tree.forget();
            self.forget_folders(path);
        }
        let mode = Mode::from_raw_mode(header.mode().map_err(Fault::tar)? & 0o7777);
        let mtime = mtime(&header)?;
        match kind {
            EntryType::Directory => {
                fs::mkdirat(&folder, name, Mode::RWXU)?;
                return self.folder_meta(path, &header);
            }
            EntryType::Symlink => {
                let link = link
                    .filter(|l| !l.is_empty())
                    .ok_or_else(|| Fault::Reason("a link to nothing".to_owned()))?;
                fs::symlinkat(link, &folder, name)?;
                if let Some((uid, gid)) = owner {
                    fs::chownat(&folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
                }
                fs::utimensat(&folder, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)?;
            }
            EntryType::Link => {
                if let Some((from, from_name)) = target {
                    fs::linkat(&from, &from_name[..], &folder, name, AtFlags::empty())?;
                }
            }
            _ => {
                let flags =
                    OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = if kind == EntryType::Fifo {
                    fs::mknodat(&folder, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
                    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    File::from(fs::openat(&folder, name, flags, Mode::empty())?)
                } else {
                    let mut file = File::from(fs::openat(&folder, name, flags, Mode::RUSR | Mode::WUSR)?);
                    let size = header.entry_size().map_err(Fault::tar)?;
                    copy(entry, &mut file, size, &mut self.buffer)?;
                    file
                };
                if let Some((uid, gid)) = owner {
                    fs::fchown(&file, Some(uid), Some(gid))?;
                }
                fs::fchmod(&file, mode - (Mode::SUID | Mode::SGID))?;
                fs::futimens(&file, &times(mtime))?;
            }
        }
        Ok(())
    }

    /// Sets modes, owners and times of all folders: the last thing to do. Gives the number of device
    /// nodes that were left out.
    ///
    /// # Errors
    /// [`Refused`] with the folder that cannot be changed.
    pub fn finish(self) -> Result<u64, Refused> {
        // The deepest first: a folder that its owner may not search is closed after what lies in it.
        for (path, meta) in self.folders.iter().rev() {
            let set = || -> Result<(), Errno> {
                let folder =
                    self.tree.open_in(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW)?;
                if let Some((uid, gid)) = meta.owner {
                    fs::fchown(&folder, Some(uid), Some(gid))?;
                }
                fs::fchmod(&folder, meta.mode)?;
                fs::futimens(&folder, &times(meta.mtime))
            };
            match set() {
                // Removed by another name of the same folder.
                Ok(()) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(e) => {
                    return Err(Refused { entry: Some(shown(path)), reason: io::Error::from(e).to_string() });
                }
            }
        }
        Ok(self.devices)
    }

    fn whiteout(&mut self, parent: &[Vec<u8>], name: &[u8], hidden: &[u8]) -> Result<(), Fault> {
        if name == OPAQUE {
            let Some(folder) = self
                .tree
                .folder(parent, false, |_| {})?
                .map(OwnedFd::try_clone)
                .transpose()
                .map_err(Fault::tar)?
            else {
                return Ok(());
            };
            self.empty(&folder, parent)?;
            self.tree.forget();
            return Ok(());
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Fault::Reason("the whiteout names no entry".to_owned()));
        }
        let mut path = parent.to_vec();
        path.push(hidden.to_vec());
        if self.made.contains(&tree::join(&path)) {
            return Ok(());
        }
        if let Some(folder) = self.tree.folder(parent, false, |_| {})? {
            tree::remove(folder, hidden)?;
            self.tree.forget();
            self.forget_below(&tree::join(&path));
        }
        Ok(())
    }

    /// Removes what lower layers put in a folder, all the way down.
    fn empty(&mut self, folder: &OwnedFd, at: &[Vec<u8>]) -> Result<(), Fault> {
        for child in tree::children(folder)? {
            let mut path = at.to_vec();
            path.push(child);
            let key = tree::join(&path);
            let name = &path[path.len() - 1][..];
            if !self.made.contains(&key) {
                tree::remove(folder, name)?;
                self.forget_below(&key);
            } else if tree::kind(folder, name)? == Some(FileType::Directory) {
                self.empty(&tree::open_folder(folder, name)?, &path)?;
            }
        }
        Ok(())
    }

    fn parent(&mut self, parts: &[Vec<u8>]) -> Result<OwnedFd, Fault> {
        let (made, folders) = (&mut self.made, &mut self.folders);
        let owner = (self.ownership == Ownership::Layers).then_some((Uid::ROOT, Gid::ROOT));
        let folder = self.tree.folder(parts, true, |implied| {
            made.insert(tree::join(implied));
            let mode = Mode::from_raw_mode(0o755);
            folders.insert(tree::join(implied), FolderMeta { mode, owner, mtime: 0 });
        })?;
        match folder {
            Some(fd) => fd.try_clone().map_err(Fault::tar),
            None => Err(Fault::Os(Errno::NOENT)),
        }
    }

    fn hard_link_target(&self, link: Option<&[u8]>) -> Result<(OwnedFd, Vec<u8>), Fault> {
        let to = EntryPath::new(link.unwrap_or_default())
            .map_err(|e| Fault::Reason(format!("its target: {e}")))?;
        let (parent, name) = to.split().ok_or_else(|| Fault::Reason("a hard link to the root".to_owned()))?;
        let missing =
            || Fault::Reason(format!("a hard link to `{}`, which is not there", shown(&to.to_bytes())));
        let folder = match self.tree.open_in(&tree::join(parent), OFlags::PATH | OFlags::DIRECTORY) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Err(missing()),
            other => other?,
        };
        match tree::kind(&folder, name)? {
            Some(FileType::RegularFile | FileType::Symlink | FileType::Fifo) => Ok((folder, name.to_vec())),
            Some(_) => Err(Fault::Reason("a hard link to something that is no file".to_owned())),
            None => Err(missing()),
        }
    }

    /// A hard link to itself, as some writers make: replacing it would lose the file.
    fn same_file(
        &self,
        target: Option<&(OwnedFd, Vec<u8>)>,
        folder: &OwnedFd,
        name: &[u8],
    ) -> Result<bool, Fault> {
        let Some((from, from_name)) = target else { return Ok(false) };
        let a = fs::statat(from, &from_name[..], AtFlags::SYMLINK_NOFOLLOW)?;
        let b = fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    }

    fn folder_meta(&mut self, path: &EntryPath, header: &tar::Header) -> Result<(), Fault> {
        let mode = Mode::from_raw_mode(header.mode().map_err(Fault::tar)? & 0o7777);
        let meta = FolderMeta { mode, owner: owner(header, self.ownership)?, mtime: mtime(header)? };
        self.folders.insert(path.to_bytes(), meta);
        Ok(())
    }

    fn forget_folders(&mut self, path: &EntryPath) {
        self.forget_below(&path.to_bytes());
    }

    fn forget_below(&mut self, path: &[u8]) {
        let below = [path, b"/"].concat();
        self.folders.retain(|known, _| known != path && !known.starts_with(&below));
    }

    fn note_made(&mut self, path: &EntryPath) {
        let mut bytes = path.to_bytes();
        while self.made.insert(bytes.clone()) {
            let Some(slash) = bytes.iter().rposition(|b| *b == b'/') else { break };
            bytes.truncate(slash);
        }
    }
}
