//! Builders for ar, tar, debs and npm tarballs, honest and not.

use std::io::Write;

/// A tar member, field by field.
#[derive(Clone)]
pub struct Tar<'a> {
    pub name: &'a [u8],
    pub kind: u8,
    pub content: &'a [u8],
    pub link: &'a [u8],
    pub mode: u32,
    pub uid: u64,
    pub mtime: u64,
    /// The size field, when it lies.
    pub size: Option<u64>,
}

impl<'a> Tar<'a> {
    pub fn new(name: &'a (impl AsRef<[u8]> + ?Sized), kind: u8) -> Tar<'a> {
        let mode = if kind == b'5' { 0o755 } else { 0o644 };
        Tar {
            name: name.as_ref(),
            kind,
            content: b"",
            link: b"",
            mode,
            uid: 0,
            mtime: 1_700_000_000,
            size: None,
        }
    }

    pub fn file(name: &'a (impl AsRef<[u8]> + ?Sized), content: &'a (impl AsRef<[u8]> + ?Sized)) -> Tar<'a> {
        Tar { content: content.as_ref(), ..Tar::new(name, b'0') }
    }

    pub fn folder(name: &'a (impl AsRef<[u8]> + ?Sized)) -> Tar<'a> {
        Tar::new(name, b'5')
    }

    pub fn symlink(name: &'a (impl AsRef<[u8]> + ?Sized), to: &'a (impl AsRef<[u8]> + ?Sized)) -> Tar<'a> {
        Tar { link: to.as_ref(), ..Tar::new(name, b'2') }
    }

    pub fn hardlink(name: &'a (impl AsRef<[u8]> + ?Sized), to: &'a (impl AsRef<[u8]> + ?Sized)) -> Tar<'a> {
        Tar { link: to.as_ref(), ..Tar::new(name, b'1') }
    }

    pub fn mode(self, mode: u32) -> Tar<'a> {
        Tar { mode, ..self }
    }

    /// Header, content, padding.
    pub fn bytes(&self) -> Vec<u8> {
        let mut header = [0u8; 512];
        let put = |header: &mut [u8], at: usize, room: usize, value: &[u8]| {
            let n = value.len().min(room);
            header[at..at + n].copy_from_slice(&value[..n]);
        };
        put(&mut header, 0, 100, self.name);
        put(&mut header, 100, 8, format!("{:07o}", self.mode).as_bytes());
        put(&mut header, 108, 8, format!("{:07o}", self.uid).as_bytes());
        put(&mut header, 116, 8, b"0000000");
        put(&mut header, 124, 12, &number(self.size.unwrap_or(self.content.len() as u64)));
        put(&mut header, 136, 12, &number(self.mtime));
        header[156] = self.kind;
        put(&mut header, 157, 100, self.link);
        put(&mut header, 257, 8, b"ustar  \0");
        let mut out = checked(header).to_vec();
        out.extend_from_slice(self.content);
        out.resize(out.len().next_multiple_of(512), 0);
        out
    }
}

/// 11 octal digits, or GNU's base 256 for more.
fn number(value: u64) -> Vec<u8> {
    if value < 1 << 33 {
        return format!("{value:011o}").into_bytes();
    }
    let mut bytes = vec![0x80, 0, 0, 0];
    bytes.extend(value.to_be_bytes());
    bytes
}

fn checked(mut header: [u8; 512]) -> [u8; 512] {
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// A pax record.
pub fn pax(key: &str, value: &[u8]) -> Vec<u8> {
    let mut length = key.len() + value.len() + 3;
    while format!("{length}").len() + key.len() + value.len() + 3 != length {
        length = format!("{length}").len() + key.len() + value.len() + 3;
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

pub fn tar(members: &[Tar<'_>]) -> Vec<u8> {
    let mut out: Vec<u8> = members.iter().flat_map(Tar::bytes).collect();
    out.extend([0; 1024]);
    out
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, content) in members {
        out.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len()).bytes(),
        );
        out.extend_from_slice(content);
        if content.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

pub const CONTROL: &str = "Package: hello\nVersion: 1.0-1\nArchitecture: all\nSource: greet (1.0)\nMaintainer: A <a@b.c>\n\
    Section: misc\nHomepage: https://example.org\nDescription: says hello\n and more\n";

/// A deb with this control file and data, everything in gzip.
pub fn deb_with(control: &[u8], data: &[u8]) -> Vec<u8> {
    let control = gzip(&tar(&[Tar::folder("./"), Tar::file("./control", control)]));
    ar(&[("debian-binary", b"2.0\n"), ("control.tar.gz", &control), ("data.tar.gz", &gzip(data))])
}

pub fn deb(members: &[Tar<'_>]) -> Vec<u8> {
    deb_with(CONTROL.as_bytes(), &tar(members))
}

pub fn npm(members: &[Tar<'_>]) -> Vec<u8> {
    gzip(&tar(members))
}
