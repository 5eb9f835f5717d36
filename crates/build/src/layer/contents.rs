//! What lies in a layer: its pieces in order, and the files of each.
//!
//! Every layer has such a list as a small blob of its own, named by an annotation of the layer. So a later build
//! with an empty cache can cut a piece out of a layer that it cannot use whole, and knows who owns which file
//! without fetching a package.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::piece::{Class, Folder, Owned, PartInfo, PieceInfo};
use super::plan::{Group, unit_id};
use crate::entry::Entry;
use crate::part::Part;
use crate::{Error, Result};

/// Media type of the list: JSON in a zstd frame.
pub const MEDIA_TYPE: &str = "application/vnd.perijove.layer.contents.v1+json+zstd";

/// A list has at most this many bytes, compressed and not: a million files.
pub const MAX_BYTES: u64 = 128 << 20;

/// The level hardly matters at these sizes; the output is pinned by Cargo.lock as that of layers is.
const ZSTD_LEVEL: i32 = 9;

/// The pieces of a layer, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Compressed bytes of the folders, which come first.
    pub folders_size: u64,
    /// In the order in which they lie.
    pub pieces: Vec<Listed>,
}

/// One piece of a layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The piece's name in the layer's key ([`unit_id`]).
    pub id: String,
    /// For messages: name and version of the part.
    pub part: String,
    /// Which piece of the part it is.
    pub class: Class,
    /// All pieces of the part, wherever they lie; this one is missing when it holds no file.
    pub pieces: BTreeMap<Class, PieceInfo>,
    /// The files of this piece.
    pub owned: Vec<Owned>,
    /// Its folders.
    pub folders: Vec<Folder>,
}

impl Contents {
    /// The list for `group`; `info` tells of a part.
    pub fn of(
        parts: &[Part],
        group: &Group,
        mut info: impl FnMut(&Part) -> Option<PartInfo>,
    ) -> Option<Self> {
        let mut pieces = Vec::new();
        for unit in &group.units {
            let part = &parts[unit.part];
            let PartInfo { pieces: all, owned, folders } = info(part)?;
            pieces.push(Listed {
                id: unit_id(part, unit.class),
                part: format!("{} {}", part.name, part.version).trim_end().to_owned(),
                class: unit.class,
                owned: owned.into_iter().filter(|owned| owned.class == unit.class).collect(),
                folders: folders.into_iter().filter(|folder| folder.class == unit.class).collect(),
                pieces: all,
            });
        }
        Some(Contents { folders_size: 0, pieces })
    }

    /// Each folder of the layer once, parents first. Of pieces that differ in one the last counts, as it would
    /// when they were unpacked one after the other.
    pub fn folders(&self) -> impl Iterator<Item = Entry> {
        let all = self.pieces.iter().flat_map(|listed| &listed.folders);
        let by_path: BTreeMap<&str, &Folder> = all.map(|folder| (folder.path.as_str(), folder)).collect();
        by_path.into_values().map(Folder::entry).collect::<Vec<_>>().into_iter()
    }

    /// Whether nothing lies in the layer.
    pub fn is_empty(&self) -> bool {
        self.pieces.iter().all(|listed| listed.folders.is_empty() && listed.size() == 0)
    }

    /// The bytes of the blob.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let text = serde_json::to_vec(self).map_err(|e| Error::io("contents")(e.into()))?;
        zstd::bulk::compress(&text, ZSTD_LEVEL).map_err(Error::io("contents"))
    }

    /// Reads a blob; `None` when it is none of ours.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let limit = usize::try_from(MAX_BYTES).unwrap_or(usize::MAX);
        let length = zstd::bulk::Decompressor::upper_bound(bytes)?.min(limit);
        serde_json::from_slice(&zstd::bulk::decompress(bytes, length).ok()?).ok()
    }

    /// A piece by its name, and where it begins in the compressed layer.
    pub fn find(&self, id: &str) -> Option<(u64, &Listed)> {
        let mut offset = self.folders_size;
        for listed in &self.pieces {
            if listed.id == id {
                return Some((offset, listed));
            }
            offset = offset.checked_add(listed.size())?;
        }
        None
    }
}

impl Listed {
    /// Compressed bytes in the layer.
    pub fn size(&self) -> u64 {
        self.pieces.get(&self.class).map_or(0, |piece| piece.size)
    }
}

#[cfg(test)]
mod tests {
    use perijove_oci::Digest;

    use super::*;

    fn listed(id: &str, size: Option<u64>) -> Listed {
        let digest = Digest::sha256(id.as_bytes());
        let pieces = size.map(|size| (Class::Code, PieceInfo { size, digest })).into_iter().collect();
        let folder = |path: &str, mode| Folder {
            path: path.to_owned(),
            mode,
            uid: 0,
            gid: 0,
            mtime: 1,
            class: Class::Code,
        };
        let folders = vec![folder("usr", 0o755), folder("usr/share", if id == "c" { 0o700 } else { 0o755 })];
        let owned = vec![Owned { path: format!("usr/{id}"), what: "link:x".into(), class: Class::Code }];
        Listed { id: id.to_owned(), part: id.to_owned(), class: Class::Code, pieces, owned, folders }
    }

    #[test]
    fn finds_where_a_piece_begins() {
        let contents = Contents {
            folders_size: 3,
            pieces: vec![listed("a", Some(7)), listed("b", None), listed("c", Some(5))],
        };
        let offset = |id| contents.find(id).map(|(offset, listed)| (offset, listed.size()));
        assert_eq!([offset("a"), offset("b"), offset("c")], [Some((3, 7)), Some((10, 0)), Some((10, 5))]);
        assert_eq!(offset("d"), None);
        let folders: Vec<(String, u32)> =
            contents.folders().map(|folder| (folder.path, folder.mode)).collect();
        assert_eq!(folders, [("usr".to_owned(), 0o755), ("usr/share".to_owned(), 0o700)], "each once");
    }

    #[test]
    fn reads_back_what_it_wrote_and_nothing_else() {
        let contents = Contents { folders_size: 0, pieces: vec![listed("a", Some(7))] };
        let bytes = contents.encode().unwrap();
        assert_eq!(Contents::decode(&bytes).unwrap(), contents);
        assert_eq!(Contents::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Contents::decode(b"{}"), None);
        // A frame that says it holds more than memory does.
        let lie = [&[0x28, 0xb5, 0x2f, 0xfd, 0xc0][..], &[0xff; 7], &[0x7f, 1, 0, 0]].concat();
        assert_eq!(Contents::decode(&lie), None);
    }
}
