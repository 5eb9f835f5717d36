//! Any bytes as an archive: a result, never a panic.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use perijove_build::Result;
use perijove_build::entry::{Entry, Sink};
use perijove_build::unpack;

struct Discard;

impl Sink for Discard {
    fn entry(&mut self, _: Entry, _: &mut dyn Read) -> Result<()> {
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), bytes).is_ok() {
        let _ = unpack::deb(file.path(), "fuzz.deb", &mut Discard);
    }
});
