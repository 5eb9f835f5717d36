//! What the targets share.
#![allow(missing_docs)]

use std::io::{Read, copy, sink};
use std::path::Path;

use perijove_build::entry::{Entry, Sink};
use perijove_build::{Error, Result};

/// Reads what an archive holds and keeps nothing, as far as `LIMIT`: a bomb is bounded by the formats' own checks,
/// and a fuzzer has no time for the gigabytes below them.
pub struct Discard {
    left: u64,
}

const LIMIT: u64 = 8 << 20;

impl Sink for Discard {
    fn entry(&mut self, _: Entry, content: &mut dyn Read) -> Result<()> {
        let read = copy(&mut content.take(self.left), &mut sink()).map_err(Error::io("fuzz"))?;
        self.left -= read;
        Ok(())
    }
}

/// Has `unpack` read the bytes as a file.
pub fn archive(bytes: &[u8], unpack: impl FnOnce(&Path, &mut Discard) -> Result<()>) {
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), bytes).is_ok() {
        let _ = unpack(file.path(), &mut Discard { left: LIMIT });
    }
}
