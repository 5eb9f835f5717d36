//! Any bytes as a wheel: a result, never a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use perijove_build::unpack::{WheelOptions, wheel};

fuzz_target!(|bytes: &[u8]| perijove_fuzz::archive(bytes, |path, sink| {
    wheel(path, "fuzz.whl", &WheelOptions::debian("3.13"), sink).map(drop)
}));
