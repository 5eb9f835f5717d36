//! Any bytes as what a server says of its packages: a page of a Python index (JSON or HTML), an archive's Release
//! and Packages. A result, never a panic.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use perijove_build::lock::debs::distil::distil;
use perijove_build::lock::debs::release::{Packing, Release};
use perijove_build::lock::index::simple;
use url::Url;

static BASE: LazyLock<Option<Url>> = LazyLock::new(|| Url::parse("http://127.0.0.1/simple/x/").ok());

fuzz_target!(|bytes: &[u8]| {
    let Some(base) = &*BASE else { return };
    for kind in ["application/vnd.pypi.simple.v1+json", "text/html"] {
        let _ = simple::parse(bytes, kind, base);
    }
    for packing in [Packing::Plain, Packing::Gzip, Packing::Xz] {
        let _ = distil(bytes, packing);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Release::parse(text);
    }
});
