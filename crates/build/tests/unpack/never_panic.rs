//! Whatever bytes come, the answer is a result.

use std::io::Read;
use std::path::Path;

use perijove_build::Result;
use perijove_build::entry::{Entry, Sink};
use perijove_build::unpack::{NpmOptions, WheelOptions, ca_bundle, deb, npm, wheel};
use proptest::prelude::*;

use crate::archives::{Tar, ar, deb as made_deb, gzip, npm as made_npm, tar};
use crate::zips::wheel as made_wheel;

struct Nothing;

impl Sink for Nothing {
    fn entry(&mut self, _: Entry, _: &mut dyn Read) -> Result<()> {
        Ok(())
    }
}

fn everything(bytes: &[u8]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let at: &Path = file.path();
    let _ = deb(at, "x.deb", &mut Nothing);
    let _ = ca_bundle(at, "x.deb");
    let _ = wheel(at, "x.whl", &WheelOptions::debian("3.13"), &mut Nothing);
    let _ = npm(at, "x.tgz", &NpmOptions { folder: "x".to_owned() }, &mut Nothing);
}

/// Honest archives with some bytes changed, cut or doubled: these get further than noise.
fn damaged(good: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let length = good.len();
    let changes = prop::collection::vec((0..length, any::<u8>()), 0..6);
    (changes, 0..=length, 0..length).prop_map(move |(changes, cut, doubled)| {
        let mut bytes = good.clone();
        for (at, byte) in changes {
            bytes[at] = byte;
        }
        if doubled % 3 == 0 {
            bytes.extend_from_within(doubled..);
        }
        if cut % 2 == 0 {
            bytes.truncate(cut.max(length / 2));
        }
        bytes
    })
}

fn plain_deb() -> Vec<u8> {
    let control = tar(&[Tar::file("control", crate::archives::CONTROL)]);
    let data = tar(&[
        Tar::folder("./usr/"),
        Tar::file("./usr/x", "x"),
        Tar::symlink("./usr/y", "x"),
        Tar::hardlink("./z", "./usr/x"),
    ]);
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &data)])
}

const JSON: &str = r#"{"name": "x", "version": "1", "bin": "x.js"}"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn noise(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        everything(&bytes);
        everything(&gzip(&bytes));
        everything(&[b"!<arch>\n", &bytes[..]].concat());
        everything(&ar(&[("debian-binary", b"2.0\n"), ("control.tar", &bytes), ("data.tar", &bytes)]));
    }

    #[test]
    fn damaged_debs(bytes in damaged(plain_deb())) {
        everything(&bytes);
    }

    #[test]
    fn damaged_packed_debs(bytes in damaged(made_deb(&[Tar::file("./usr/x", "x")]))) {
        everything(&bytes);
    }

    #[test]
    fn damaged_wheels(bytes in damaged(made_wheel(&[("x.py", "x"), ("greet-1.0.data/scripts/x", "#!python\n")]))) {
        everything(&bytes);
    }

    #[test]
    fn damaged_tars_of_npm(bytes in damaged(tar(&[Tar::file("p/package.json", JSON), Tar::folder("p/d/"), Tar::file("p/d/x", "y")]))) {
        everything(&gzip(&bytes));
    }

    #[test]
    fn damaged_npm(bytes in damaged(made_npm(&[Tar::file("p/package.json", JSON)]))) {
        everything(&bytes);
    }
}
