//! A Packages index, unpacked and cut down to the fields that a lock needs.
//!
//! An index of Debian's main archive is 55 MB of text of which descriptions and tags are more than half. It is
//! unpacked as a stream, checked line by line, and what is kept is remembered in the cache under the digest of
//! the packed index, so that a second lock neither downloads nor unpacks it.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use perijove_oci::Digest;

use super::release::Packing;
use crate::{Error, Result};

/// The fields that are kept.
const KEPT: [&str; 13] = [
    "Package",
    "Version",
    "Architecture",
    "Multi-Arch",
    "Priority",
    "Provides",
    "Pre-Depends",
    "Depends",
    "Conflicts",
    "Breaks",
    "Filename",
    "Size",
    "SHA256",
];

/// No index unpacks to more than this: 1 GiB (the largest is 60 MiB).
const MAX_UNPACKED: u64 = 1 << 30;

/// Grows with [`KEPT`] and the form of the text, so that an older cache is not read.
const CACHE_FORMAT: &str = "debs-index-1";

/// Unpacks `packed` and keeps the lines that a lock needs. The error is the reason, with the line.
pub fn distil(packed: impl BufRead, packing: Packing) -> Result<String, String> {
    match packing {
        Packing::Xz => keep(BufReader::with_capacity(1 << 18, XzDecoder::new(packed))),
        Packing::Gzip => keep(BufReader::with_capacity(1 << 18, MultiGzDecoder::new(packed))),
        Packing::Plain => keep(packed),
    }
}

fn keep(source: impl BufRead) -> Result<String, String> {
    let mut source = source.take(MAX_UNPACKED);
    let (mut kept, mut line): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    let (mut number, mut in_kept, mut in_paragraph) = (0u64, false, false);
    loop {
        line.clear();
        let read = source
            .read_until(b'\n', &mut line)
            .map_err(|e| format!("it does not unpack after line {number}: {e}"))?;
        if read == 0 {
            break;
        }
        number += 1;
        let bad = || format!("line {number} is not a line of an index: `{}`", shown(&line));
        match line[0] {
            b'\n' => {
                in_paragraph = false;
                in_kept = false;
                kept.push(b'\n');
                continue;
            }
            b' ' | b'\t' if !in_paragraph => return Err(bad()),
            b' ' | b'\t' => {}
            _ => {
                let colon = line.iter().position(|b| *b == b':').ok_or_else(bad)?;
                let name = &line[..colon];
                if name.is_empty() || name.contains(&b' ') {
                    return Err(bad());
                }
                in_kept = KEPT.iter().any(|k| k.as_bytes().eq_ignore_ascii_case(name));
                in_paragraph = true;
            }
        }
        if in_kept {
            kept.extend_from_slice(&line);
        }
    }
    if source.limit() == 0 {
        return Err(format!("it unpacks to more than {MAX_UNPACKED} bytes"));
    }
    if kept.last().is_some_and(|b| *b != b'\n') {
        kept.push(b'\n');
    }
    String::from_utf8(kept).map_err(|_| "it is not UTF-8".to_owned())
}

fn shown(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end().chars().take(60).collect()
}

/// The distilled indexes of earlier locks, below Perijove's cache folder.
pub struct IndexCache {
    folder: PathBuf,
}

impl IndexCache {
    /// In the cache folder `cache`.
    pub fn new(cache: &Path) -> Self {
        IndexCache { folder: cache.join(CACHE_FORMAT) }
    }

    /// The distilled text of the index whose packed form has `digest`. A damaged file is no file.
    pub fn get(&self, digest: &Digest) -> Option<String> {
        let file = std::fs::File::open(self.path(digest)).ok()?;
        let mut text = String::new();
        zstd::Decoder::new(file).ok()?.take(MAX_UNPACKED).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// Remembers it. Complete or absent: written beside its place, then renamed.
    pub fn put(&self, digest: &Digest, text: &str) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(Error::io(&self.folder))?;
        let path = self.path(digest);
        let write = || -> std::io::Result<()> {
            let mut temporary = tempfile::Builder::new().prefix(".part-").tempfile_in(&self.folder)?;
            let mut encoder = zstd::Encoder::new(&mut temporary, 1)?;
            // The checksum is what tells a damaged file from a whole one.
            encoder.include_checksum(true)?;
            encoder.write_all(text.as_bytes())?;
            encoder.finish()?;
            temporary.persist(&path).map_err(|e| e.error)?;
            Ok(())
        };
        write().map_err(Error::io(&path))
    }

    fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(format!("{}.zst", digest.hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str =
        "Package: a\nVersion: 1\nDescription: x\n more\nDepends: b,\n c\nTag: t\n\nPackage: d\nSize: 3";
    const DISTILLED: &str = "Package: a\nVersion: 1\nDepends: b,\n c\n\nPackage: d\nSize: 3\n";

    fn pack(packing: Packing) -> Vec<u8> {
        match packing {
            Packing::Plain => INDEX.as_bytes().to_vec(),
            Packing::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
                encoder.write_all(INDEX.as_bytes()).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(INDEX.as_bytes()).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    #[test]
    fn keeps_the_same_of_every_packing() {
        for packing in [Packing::Plain, Packing::Xz, Packing::Gzip] {
            assert_eq!(distil(&pack(packing)[..], packing).unwrap(), DISTILLED, "{packing:?}");
        }
    }

    #[test]
    fn refuses_what_is_cut_off_or_no_index() {
        for packing in [Packing::Xz, Packing::Gzip] {
            let packed = pack(packing);
            for length in [0, 5, packed.len() / 2, packed.len() - 1] {
                let cut = distil(&packed[..length], packing);
                assert!(cut.is_err(), "{packing:?} cut to {length}");
            }
        }
        for (text, says) in [
            ("<html>\n", "line 1"),
            ("A: 1\nno field\n", "line 2"),
            (" continuation\n", "line 1"),
            ("A: 1\n\n x\n", "line 3"),
        ] {
            let reason = distil(text.as_bytes(), Packing::Plain).unwrap_err();
            assert!(reason.contains(says), "{reason}");
        }
        assert!(distil(&b"Package: \xff\n"[..], Packing::Plain).unwrap_err().contains("UTF-8"));
        assert!(distil(&b"not xz at all"[..], Packing::Xz).unwrap_err().contains("does not unpack"));
    }

    #[test]
    fn remembers_and_distrusts_damage() {
        let folder = tempfile::tempdir().unwrap();
        let cache = IndexCache::new(folder.path());
        let digest = Digest::sha256(b"index");
        assert_eq!(cache.get(&digest), None);
        cache.put(&digest, DISTILLED).unwrap();
        assert_eq!(cache.get(&digest).as_deref(), Some(DISTILLED));
        let path = cache.path(&digest);
        let whole = std::fs::read(&path).unwrap();
        for damage in [&whole[..whole.len() - 2], &[&whole[..12], b"X", &whole[13..]].concat()] {
            std::fs::write(&path, damage).unwrap();
            assert_eq!(cache.get(&digest), None);
        }
    }
}
