//! Package archives into streams of [`Entry`]s.
//!
//! One file a kind (`deb`, `wheel`, `npm`, `files`); each reads its archive from the disk once, front to
//! back where the format allows it, and hands every file to a [`Sink`] without keeping it. Nothing here
//! writes. What all kinds share: `path` (which names and links an image gets), `bounds` (how much an
//! archive may unpack to), `tarball` (the tar that debs and npm packages hold).
//!
//! An archive that lies is an [`Error::Archive`] that names it and the entry. The sink may have seen
//! entries by then, so what it made of them must be thrown away, as for any other error.

use std::io::{self, Read};
use std::path::Path;

use crate::entry::{Entry, Kind, Sink};
use crate::{Error, Result};

mod accounts;
mod ar;
pub mod bounds;
mod ca;
mod control;
mod deb;
mod decompress;
mod effects;
mod entry_points;
mod files;
mod metadata;
mod npm;
mod package_json;
mod parents;
mod path;
mod record;
mod slim;
mod tarball;
mod wheel;
mod wheel_plan;
mod zip_end;

pub use accounts::User;
pub use ca::ca_bundle;
pub use control::Control;
pub use deb::deb;
pub use effects::{DebianImage, Effect, debian_effects};
pub use files::files;
pub use metadata::WheelMetadata;
pub use npm::{NpmOptions, npm, npm_bin_links};
pub use package_json::PackageJson;
pub use slim::{SLIM, Slim};
pub use wheel::{WheelOptions, wheel};

/// Where an archive lies and what messages call it.
#[derive(Clone, Copy)]
struct Source<'a> {
    path: &'a Path,
    name: &'a str,
}

impl Source<'_> {
    /// The archive's own fault.
    fn broken(&self, reason: impl Into<String>) -> Error {
        Error::Archive { archive: self.name.to_owned(), reason: reason.into() }
    }

    /// A read that failed: the disk's fault when the system said so, the archive's otherwise.
    fn unreadable(&self, place: &str, error: io::Error) -> Error {
        if error.raw_os_error().is_some() {
            return Error::Io { path: self.path.to_owned(), source: error };
        }
        match error.kind() {
            io::ErrorKind::UnexpectedEof => self.broken(format!("{place}: the archive ends early")),
            _ => self.broken(format!("{place}: {error}")),
        }
    }

    fn open(&self) -> Result<std::fs::File> {
        std::fs::File::open(self.path).map_err(Error::io(self.path))
    }

    /// Reads a small file of the archive whole. `size` is what the archive says, checked against `limit`.
    fn read_small(&self, place: &str, size: u64, limit: u64, from: &mut dyn Read) -> Result<Vec<u8>> {
        if size > limit {
            return Err(self.broken(format!("{place}: {size} bytes, at most {limit} are read")));
        }
        let mut bytes = Vec::new();
        from.take(size).read_to_end(&mut bytes).map_err(|e| self.unreadable(place, e))?;
        if bytes.len() as u64 != size {
            return Err(self.unreadable(place, io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes)
    }

    /// Hands an entry to the sink. A file's content is exactly the entry's `size` bytes of `from`; fewer
    /// are an error, and what the sink leaves unread is read here, so that checks on the way see it all.
    fn send(&self, sink: &mut dyn Sink, entry: Entry, from: &mut dyn Read) -> Result<()> {
        let Kind::File { size: left } = entry.kind else {
            return sink.entry(entry, &mut io::empty());
        };
        let mut content = Content { from, left, fault: None };
        let path = entry.path.clone();
        let taken = sink.entry(entry, &mut content);
        if taken.is_ok() && content.fault.is_none() && content.left > 0 {
            // The fault, if any, is kept in `content`.
            let _ = io::copy(&mut content, &mut io::sink());
        }
        match content.fault {
            Some(fault) => Err(self.unreadable(&path, fault)),
            None => taken,
        }
    }
}

/// Exactly `left` bytes of another reader. Remembers why it failed: the sink sees only an I/O error, which
/// it would blame on itself.
struct Content<'a> {
    from: &'a mut dyn Read,
    left: u64,
    fault: Option<io::Error>,
}

impl Read for Content<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        match self.from.read(&mut buffer[..most]) {
            Ok(0) => self.fail(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                self.left -= n as u64;
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => Err(e),
            Err(e) => self.fail(e),
        }
    }
}

impl Content<'_> {
    fn fail(&mut self, error: io::Error) -> io::Result<usize> {
        let seen = io::Error::new(error.kind(), error.to_string());
        self.fault = Some(error);
        Err(seen)
    }
}
