//! Any bytes as a Debian package: a result, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perijove_build::unpack;

fuzz_target!(|bytes: &[u8]| perijove_fuzz::archive(bytes, |path, sink| {
    let _ = unpack::ca_bundle(path, "fuzz.deb");
    unpack::deb(path, "fuzz.deb", sink).map(drop)
}));
