//! Any bytes as an npm package: a result, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perijove_build::unpack::{NpmOptions, npm};

fuzz_target!(|bytes: &[u8]| perijove_fuzz::archive(bytes, |path, sink| {
    npm(path, "fuzz.tgz", &NpmOptions { folder: "x".to_owned() }, sink).map(drop)
}));
