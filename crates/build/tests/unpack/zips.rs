//! Builders for zips and wheels, honest and not.

use std::io::Write;

use base64::Engine as _;
use sha2::Digest as _;

/// A zip's entry, field by field.
#[derive(Clone)]
pub struct Zip {
    pub name: Vec<u8>,
    pub content: Vec<u8>,
    pub mode: u32,
    pub deflate: bool,
    /// General purpose flags; bit 11 says that names are UTF-8.
    pub flags: u16,
    /// The size and name in the local header, when they lie.
    pub local_size: Option<u32>,
    pub local_name: Option<Vec<u8>>,
    /// The plain size everywhere, when it lies.
    pub size: Option<u32>,
}

impl Zip {
    pub fn new(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Zip {
        Zip {
            name: name.as_ref().to_vec(),
            content: content.as_ref().to_vec(),
            mode: 0o100_644,
            deflate: true,
            flags: 1 << 11,
            local_size: None,
            local_name: None,
            size: None,
        }
    }

    pub fn mode(self, mode: u32) -> Zip {
        Zip { mode, ..self }
    }
}

/// Entries, directory, end record.
pub fn zip(entries: &[Zip]) -> Vec<u8> {
    zip_with_comment(entries, b"")
}

pub fn zip_with_comment(entries: &[Zip], comment: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for e in entries {
        let offset = u32::try_from(out.len()).unwrap();
        let packed = if e.deflate { deflate(&e.content) } else { e.content.clone() };
        let size = e.size.unwrap_or(u32::try_from(e.content.len()).unwrap());
        let fixed = |size: u32, name: usize| {
            let mut f = Vec::new();
            f.extend(20u16.to_le_bytes());
            f.extend(e.flags.to_le_bytes());
            f.extend(if e.deflate { 8u16 } else { 0 }.to_le_bytes());
            f.extend([0, 0, 0x21, 0]);
            f.extend(crc32(&e.content).to_le_bytes());
            f.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
            f.extend(size.to_le_bytes());
            f.extend(u16::try_from(name).unwrap().to_le_bytes());
            f.extend(0u16.to_le_bytes());
            f
        };
        let local_name = e.local_name.as_ref().unwrap_or(&e.name);
        out.extend(b"PK\x03\x04");
        out.extend(fixed(e.local_size.unwrap_or(size), local_name.len()));
        out.extend(local_name);
        out.extend(&packed);
        directory.extend(b"PK\x01\x02");
        directory.extend([20, 3]);
        directory.extend(fixed(size, e.name.len()));
        directory.extend([0; 6]);
        directory.extend((e.mode << 16).to_le_bytes());
        directory.extend(offset.to_le_bytes());
        directory.extend(&e.name);
    }
    let start = u32::try_from(out.len()).unwrap();
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    let count = u16::try_from(entries.len()).unwrap().to_le_bytes();
    out.extend(count);
    out.extend(count);
    out.extend(u32::try_from(directory.len()).unwrap().to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend(u16::try_from(comment.len()).unwrap().to_le_bytes());
    out.extend(comment);
    out
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

pub const DIST_INFO: &str = "greet-1.0.dist-info";
pub const WHEEL: &str = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
pub const METADATA: &str = "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\nLicense: MIT\n\nReadme\n";

/// METADATA, WHEEL and these files.
pub fn contents(files: &[(&str, &str)]) -> Vec<Zip> {
    let mut entries: Vec<Zip> = files.iter().map(|(name, content)| Zip::new(name, content)).collect();
    entries.push(Zip::new(format!("{DIST_INFO}/METADATA"), METADATA));
    entries.push(Zip::new(format!("{DIST_INFO}/WHEEL"), WHEEL));
    entries
}

/// RECORD rows for the entries.
pub fn record(entries: &[Zip]) -> String {
    let mut rows = String::new();
    for e in entries.iter().filter(|e| !e.name.ends_with(b"/")) {
        let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(&e.content));
        let name = String::from_utf8_lossy(&e.name);
        rows.push_str(&format!("\"{}\",sha256={hash},{}\r\n", name.replace('"', "\"\""), e.content.len()));
    }
    rows.push_str(&format!("{DIST_INFO}/RECORD,,\r\n"));
    rows
}

/// The entries with their RECORD behind.
pub fn recorded(mut entries: Vec<Zip>) -> Vec<Zip> {
    let rows = record(&entries);
    entries.push(Zip::new(format!("{DIST_INFO}/RECORD"), rows));
    entries
}

/// A whole wheel of these files.
pub fn wheel(files: &[(&str, &str)]) -> Vec<u8> {
    zip(&recorded(contents(files)))
}
