//! One file of an image, as it travels from a package archive into a layer.

use std::io::Read;

use crate::Result;

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Directory,
    /// A regular file of `size` bytes.
    File {
        /// Length in bytes.
        size: u64,
    },
    /// A symbolic link, its target as written.
    Symlink {
        /// Relative or absolute path.
        target: String,
    },
    /// Another name of a file that came before in the same part.
    Hardlink {
        /// Path of that file, relative to the root.
        target: String,
    },
}

/// A path in the image with its metadata. Owners are numbers; there are no user names in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Relative to the root: no leading or trailing `/`, no `.`, `..` or empty component, not empty.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with set-uid, set-gid and sticky: 0 to 0o7777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// Takes the entries of a part, in the part's own fixed order, parents before children.
pub trait Sink {
    /// Takes one entry; `content` holds exactly `size` bytes for [`Kind::File`] and nothing otherwise.
    fn entry(&mut self, entry: Entry, content: &mut dyn Read) -> Result<()>;
}

/// The time of every file whose package has no reliable one of its own (wheels, npm, plain files):
/// 1980-01-01T00:00:00Z, the first moment that a zip can name.
pub const EPOCH: u64 = 315_532_800;
