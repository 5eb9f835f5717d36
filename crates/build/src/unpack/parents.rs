//! Folders before what is in them, whatever the archive left out or sent late.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use crate::Result;
use crate::entry::{EPOCH, Entry, Kind, Sink};

use super::Source;
use super::path::{Names, ancestors};

/// Sends the entries of one archive on: refuses double ones, adds folders that the archive doesn't name
/// (0755, root, [`EPOCH`]), and holds back folders that are only wanted when something lies in them.
pub(super) struct Ordered<'a> {
    source: Source<'a>,
    sink: &'a mut dyn Sink,
    names: Names,
    held: HashMap<String, Entry>,
    added: HashSet<String>,
}

impl<'a> Ordered<'a> {
    pub(super) fn new(source: Source<'a>, sink: &'a mut dyn Sink) -> Self {
        Ordered { source, sink, names: Names::default(), held: HashMap::new(), added: HashSet::new() }
    }

    /// Keeps a folder until something in it comes.
    pub(super) fn hold(&mut self, folder: Entry) {
        self.held.entry(folder.path.clone()).or_insert(folder);
    }

    /// Sends the entry, and before it the folders above it that did not come yet.
    pub(super) fn send(&mut self, entry: Entry, from: &mut dyn Read) -> Result<()> {
        for folder in ancestors(&entry.path) {
            if self.names.get(folder).is_none() {
                let missing = self.held.remove(folder).unwrap_or_else(|| {
                    self.added.insert(folder.to_owned());
                    plain_folder(folder.to_owned())
                });
                self.names.add(folder, &Kind::Directory).map_err(|e| self.source.broken(e))?;
                self.sink.entry(missing, &mut io::empty())?;
            }
        }
        match self.names.add(&entry.path, &entry.kind) {
            Ok(true) => self.source.send(self.sink, entry, from),
            // A folder that comes after what is in it (`usr` after `bin/x` was moved there): its time is lost,
            // its rights may not be.
            Ok(false)
                if self.added.remove(&entry.path) && (entry.mode, entry.uid, entry.gid) != (0o755, 0, 0) =>
            {
                Err(self
                    .source
                    .broken(format!("{}: a folder with rights of its own after its content", entry.path)))
            }
            Ok(false) => Ok(()),
            Err(reason) => Err(self.source.broken(reason)),
        }
    }
}

/// A folder as every package would make it.
pub(super) fn plain_folder(path: String) -> Entry {
    Entry { path, kind: Kind::Directory, mode: 0o755, uid: 0, gid: 0, mtime: EPOCH }
}
