//! Entries as tar blocks (POSIX ustar; GNU `././@LongLink` for long names, which every runtime reads).

use std::io::{self, Read, Write};

use crate::entry::{Entry, Kind};

/// Appends one entry. `content` must give exactly the entry's size.
pub fn append(out: &mut dyn Write, entry: &Entry, content: &mut dyn Read) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.uid.into());
    header.set_gid(entry.gid.into());
    header.set_mtime(entry.mtime);
    let (kind, size, target) = match &entry.kind {
        Kind::Directory => (tar::EntryType::Directory, 0, None),
        Kind::File { size } => (tar::EntryType::Regular, *size, None),
        Kind::Symlink { target } => (tar::EntryType::Symlink, 0, Some(target)),
        Kind::Hardlink { target } => (tar::EntryType::Link, 0, Some(target)),
    };
    header.set_entry_type(kind);
    header.set_size(size);
    if let Some(target) = target {
        put_name(
            out,
            tar::EntryType::GNULongLink,
            target.as_bytes(),
            &mut header.as_gnu_mut().map(|h| &mut h.linkname),
        )?;
    }
    let mut path = entry.path.clone();
    if entry.kind == Kind::Directory {
        path.push('/');
    }
    put_name(
        out,
        tar::EntryType::GNULongName,
        path.as_bytes(),
        &mut header.as_gnu_mut().map(|h| &mut h.name),
    )?;
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    let copied = io::copy(&mut content.take(size), out)?;
    if copied != size {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{}: ends after {copied} of {size} bytes", entry.path),
        ));
    }
    out.write_all(&[0; 512][..padding(size)])
}

fn padding(size: u64) -> usize {
    (size.wrapping_neg() % 512) as usize
}

/// Puts `name` into its header field, and in front a long-name entry where it is longer than the field.
fn put_name(
    out: &mut dyn Write,
    kind: tar::EntryType,
    name: &[u8],
    field: &mut Option<&mut [u8; 100]>,
) -> io::Result<()> {
    if name.len() > 100 {
        let mut header = tar::Header::new_gnu();
        if let Some(gnu) = header.as_gnu_mut() {
            gnu.name[..13].copy_from_slice(b"././@LongLink");
        }
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(kind);
        header.set_size(name.len() as u64 + 1);
        header.set_cksum();
        out.write_all(header.as_bytes())?;
        out.write_all(name)?;
        out.write_all(&[0; 512][..1 + padding(name.len() as u64 + 1)])?;
    }
    if let Some(field) = field {
        let length = name.len().min(100);
        field[..length].copy_from_slice(&name[..length]);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tar_reads_what_was_written() {
        let long = format!("{}/file", "x".repeat(150));
        let entry =
            |path: &str, kind| Entry { path: path.into(), kind, mode: 0o755, uid: 1000, gid: 7, mtime: 9 };
        let mut bytes = Vec::new();
        append(&mut bytes, &entry("a", Kind::Directory), &mut io::empty()).unwrap();
        append(&mut bytes, &entry(&long, Kind::File { size: 5 }), &mut &b"hello"[..]).unwrap();
        append(&mut bytes, &entry("l", Kind::Symlink { target: long.clone() }), &mut io::empty()).unwrap();
        append(&mut bytes, &entry("h", Kind::Hardlink { target: "a/b".into() }), &mut io::empty()).unwrap();
        bytes.extend([0; 1024]);
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut seen = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let link = entry.link_name().unwrap().map(|l| l.display().to_string());
            seen.push((
                entry.path().unwrap().display().to_string(),
                text,
                link,
                entry.header().uid().unwrap(),
            ));
        }
        assert_eq!(
            seen,
            [
                ("a/".into(), String::new(), None, 1000),
                (long.clone(), "hello".into(), None, 1000),
                ("l".into(), String::new(), Some(long), 1000),
                ("h".into(), String::new(), Some("a/b".into()), 1000),
            ]
        );
    }

    #[test]
    fn a_short_file_is_an_error() {
        let entry =
            Entry { path: "a".into(), kind: Kind::File { size: 9 }, mode: 0, uid: 0, gid: 0, mtime: 0 };
        assert!(append(&mut Vec::new(), &entry, &mut &b"short"[..]).is_err());
    }
}
