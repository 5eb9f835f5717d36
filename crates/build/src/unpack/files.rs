//! A folder of plain files, copied to the root of an image.

use std::fs::{File, FileType, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use walkdir::WalkDir;

use crate::entry::{EPOCH, Entry, Kind, Sink};
use crate::{Error, Result};

use super::Source;
use super::path::{check_symlink, clean};

/// Sends everything in `folder` (not the folder itself), sorted by name within each folder.
///
/// What depends on the machine stays out: modes are 0755 for folders and executable files (by the owner's
/// bit) and 0644 for others, whatever the umask was; owner root; time [`EPOCH`]; no extended attributes; a file
/// with two names is two files. Symbolic links are kept when they stay inside the root; an absolute target
/// is one in the image.
///
/// Fails with [`Error::Input`] on sockets, pipes, devices and names that no image gets, with [`Error::Io`] on
/// what cannot be read.
pub fn files(folder: &Path, sink: &mut dyn Sink) -> Result<()> {
    for found in WalkDir::new(folder).min_depth(1).follow_links(false).sort_by_file_name() {
        let found = found.map_err(|e| {
            let path = e.path().unwrap_or(folder).to_owned();
            Error::io(path)(e.into())
        })?;
        let whole = found.path();
        let refuse = |reason: String, hint: &str| Error::Input {
            place: whole.display().to_string(),
            reason,
            hint: hint.to_owned(),
        };
        let inside = whole.strip_prefix(folder).unwrap_or(whole);
        let path = clean(inside.as_os_str().as_encoded_bytes())
            .map_err(|e| refuse(e, "rename it"))?
            .ok_or_else(|| refuse("it has no name".to_owned(), ""))?;
        let kind = found.file_type();
        let entry = |kind, mode| Entry { path: path.clone(), kind, mode, uid: 0, gid: 0, mtime: EPOCH };
        if kind.is_dir() {
            sink.entry(entry(Kind::Directory, 0o755), &mut std::io::empty())?;
        } else if kind.is_symlink() {
            let target = std::fs::read_link(whole).map_err(Error::io(whole))?;
            let target = check_symlink(&path, target.as_os_str().as_encoded_bytes())
                .map_err(|e| refuse(e, "let it lead to a file of the image"))?;
            sink.entry(entry(Kind::Symlink { target }, 0o777), &mut std::io::empty())?;
        } else if kind.is_file() {
            let mut file = File::open(whole).map_err(Error::io(whole))?;
            let metadata = file.metadata().map_err(Error::io(whole))?;
            let mode = mode(&metadata);
            let size = metadata.len();
            // A file that shrinks while it is read is an error that `send` finds; one that grows is cut at
            // the size it had.
            let source = Source { path: whole, name: &whole.display().to_string() };
            source.send(sink, entry(Kind::File { size }, mode), &mut file)?;
        } else {
            return Err(refuse(
                format!("{}, which no image can hold", word(kind)),
                "remove it from the folder",
            ));
        }
    }
    Ok(())
}

fn mode(metadata: &Metadata) -> u32 {
    if metadata.mode() & 0o100 != 0 { 0o755 } else { 0o644 }
}

fn word(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_socket() => "a socket",
        kind if kind.is_fifo() => "a named pipe",
        _ => "a device",
    }
}
