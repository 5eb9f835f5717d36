//! Reads tar, for debs and npm packages: ustar, GNU long names, pax (POSIX.1-2017, pax, "ustar Interchange
//! Format" and "pax Extended Header").
//!
//! Headers are read block by block here, not by an iterator of the `tar` crate, because that one reads
//! long-name and pax records into memory whatever size they claim. Its field parsing is used.
//! Names and targets come out as written; `path` judges them.

use std::io::{self, Read};

use tar::{EntryType, Header};

use super::bounds::MAX_ENTRIES;
use super::path::show;

const BLOCK: u64 = 512;
/// Most bytes of a long name, and of one pax record set: names end at 4095 anyway.
const MAX_LONG_NAME: u64 = 16 << 10;
const MAX_PAX: u64 = 256 << 10;
/// Last second of the year 9999: no package is younger.
const MAX_MTIME: u64 = 253_402_300_799;

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Directory,
    File,
    Symlink,
    Hardlink,
}

/// One member, names as written.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) path: Vec<u8>,
    pub(super) link: Vec<u8>,
    pub(super) kind: Type,
    pub(super) size: u64,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: u64,
}

/// A tar stream. After [`Tarball::next`], reading gives that member's content.
pub(super) struct Tarball<R> {
    inner: R,
    /// Of the present member: content bytes and padding not read yet.
    left: u64,
    padding: u64,
    members: usize,
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

impl<R: Read> Tarball<R> {
    pub(super) fn new(inner: R) -> Self {
        Tarball { inner, left: 0, padding: 0, members: 0 }
    }

    /// The next member; `None` at the end, after which the whole stream was read and held nothing else.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        let mut long_path = None;
        let mut long_link = None;
        let mut pax = Pax::default();
        loop {
            self.skip_rest()?;
            self.members += 1;
            if self.members > 4 * MAX_ENTRIES {
                return Err(invalid(format!("more than {MAX_ENTRIES} entries")));
            }
            let mut block = [0u8; BLOCK as usize];
            if !fill(&mut self.inner, &mut block)? || block.iter().all(|b| *b == 0) {
                if long_path.is_some() || long_link.is_some() || pax != Pax::default() {
                    return Err(invalid("a long name or pax header describes no entry"));
                }
                self.drain()?;
                return Ok(None);
            }
            let header = Header::from_byte_slice(&block);
            check_sum(header)?;
            let size = field("size", header.entry_size())?;
            match header.entry_type() {
                EntryType::GNULongName => self.long(&mut long_path, size)?,
                EntryType::GNULongLink => self.long(&mut long_link, size)?,
                EntryType::XHeader => {
                    if pax != Pax::default() {
                        return Err(invalid("two pax headers for one entry"));
                    }
                    pax = Pax::parse(&self.whole(size, MAX_PAX)?)?;
                }
                EntryType::XGlobalHeader => {
                    // `git archive` writes its commit here. Names and sizes for all files are nobody's need.
                    if Pax::parse(&self.whole(size, MAX_PAX)?)? != Pax::default() {
                        return Err(invalid("a global pax header sets a name, size or owner"));
                    }
                }
                other => {
                    let member = member(header, other, long_path, long_link, pax)?;
                    self.expect(member.size)?;
                    return Ok(Some(member));
                }
            }
        }
    }

    fn expect(&mut self, size: u64) -> io::Result<()> {
        self.left = size;
        self.padding = (BLOCK - size % BLOCK) % BLOCK;
        Ok(())
    }

    fn long(&mut self, into: &mut Option<Vec<u8>>, size: u64) -> io::Result<()> {
        if into.is_some() {
            return Err(invalid("two long names for one entry"));
        }
        let mut name = self.whole(size, MAX_LONG_NAME)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        *into = Some(name);
        Ok(())
    }

    fn whole(&mut self, size: u64, limit: u64) -> io::Result<Vec<u8>> {
        if size > limit {
            return Err(invalid(format!("a header of {size} bytes, at most {limit} are read")));
        }
        self.expect(size)?;
        let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let rest = self.left + self.padding;
        (self.left, self.padding) = (0, 0);
        if rest > 0 && io::copy(&mut (&mut self.inner).take(rest), &mut io::sink())? != rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Reads to the end, so that checksums behind the last block are seen; only zeros may come.
    fn drain(&mut self) -> io::Result<()> {
        let mut buffer = [0u8; 8192];
        loop {
            match self.inner.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) if buffer[..n].iter().all(|b| *b == 0) => {}
                Ok(_) => return Err(invalid("data after the end of the tar")),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl<R: Read> Read for Tarball<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.inner.read(&mut buffer[..most])?;
        self.left -= n as u64;
        Ok(n)
    }
}

/// Fills the block; false when the stream ended before it.
fn fill(from: &mut impl Read, block: &mut [u8]) -> io::Result<bool> {
    let mut have = 0;
    while have < block.len() {
        match from.read(&mut block[have..]) {
            Ok(0) if have == 0 => return Ok(false),
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => have += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(true)
}

fn check_sum(header: &Header) -> io::Result<()> {
    let bytes = header.as_bytes();
    let rest = bytes[..148].iter().chain(&bytes[156..]);
    let sum = rest.map(|b| u32::from(*b)).sum::<u32>() + 8 * u32::from(b' ');
    match header.cksum() {
        Ok(said) if said == sum => Ok(()),
        _ => Err(invalid("a header's checksum is wrong")),
    }
}

fn field<T>(name: &str, value: io::Result<T>) -> io::Result<T> {
    value.map_err(|_| invalid(format!("a header's {name} is no number")))
}

/// As [`field`], but blank is 0: npm leaves out whose file it was.
fn field_or_blank(name: &str, value: io::Result<u64>, raw: &[u8]) -> io::Result<u64> {
    if raw.iter().all(|b| matches!(b, 0 | b' ')) { Ok(0) } else { field(name, value) }
}

/// Puts header, long names and pax records together.
fn member(
    header: &Header,
    entry_type: EntryType,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: Pax,
) -> io::Result<Member> {
    // A long GNU name and a pax name for one entry: readers disagree which wins.
    if (long_path.is_some() && pax.path.is_some()) || (long_link.is_some() && pax.link.is_some()) {
        return Err(invalid("an entry has two long names"));
    }
    let path = pax.path.or(long_path).unwrap_or_else(|| header.path_bytes().into_owned());
    let link = pax.link.or(long_link);
    let link = link
        .unwrap_or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned).unwrap_or_default());
    let refused = |what: &str| Err(invalid(format!("{}: {what}", show(&path))));
    let kind = match entry_type {
        // Before ustar a folder was a file with a slash at its end.
        EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Type::Directory,
        EntryType::Regular | EntryType::Continuous => Type::File,
        EntryType::Directory => Type::Directory,
        EntryType::Symlink => Type::Symlink,
        EntryType::Link => Type::Hardlink,
        EntryType::Char | EntryType::Block => return refused("a device"),
        EntryType::Fifo => return refused("a named pipe"),
        EntryType::GNUSparse => return refused("a sparse file"),
        other => return refused(&format!("an entry of the unknown type {:?}", char::from(other.as_byte()))),
    };
    if pax.sparse {
        return refused("a sparse file");
    }
    let size = match pax.size {
        Some(size) => size,
        None => field("size", header.entry_size())?,
    };
    if kind != Type::File && size != 0 {
        return refused("content where none can be");
    }
    let number = |name: &str, value: u64| {
        u32::try_from(value).map_err(|_| invalid(format!("{}: its {name} {value} is too large", show(&path))))
    };
    let old = header.as_old();
    let uid = number("owner", pax.uid.map_or_else(|| field_or_blank("owner", header.uid(), &old.uid), Ok)?)?;
    let gid = number("group", pax.gid.map_or_else(|| field_or_blank("group", header.gid(), &old.gid), Ok)?)?;
    let mtime = pax.mtime.map_or_else(|| field_or_blank("time", header.mtime(), &old.mtime), Ok)?;
    if mtime > MAX_MTIME {
        return refused("its time is before 1970 or after 9999");
    }
    let mode = field("mode", header.mode())? & 0o7777;
    Ok(Member { path, link, kind, size, mode, uid, gid, mtime })
}

/// The pax records that change how an entry is read. Times of access, comments and extended attributes are
/// passed over, as dpkg and npm do.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pax {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<u64>,
    sparse: bool,
}

impl Pax {
    /// `"%d %s=%s\n", length, keyword, value`, as often as there is room.
    fn parse(mut bytes: &[u8]) -> io::Result<Pax> {
        let bad = || invalid("a broken pax header");
        let mut pax = Pax::default();
        while !bytes.is_empty() {
            let space = bytes.iter().position(|b| *b == b' ').ok_or_else(bad)?;
            let length = decimal(&bytes[..space]).and_then(|n| usize::try_from(n).ok()).ok_or_else(bad)?;
            if length <= space + 1 || length > bytes.len() || bytes[length - 1] != b'\n' {
                return Err(bad());
            }
            let record = &bytes[space + 1..length - 1];
            bytes = &bytes[length..];
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            match key {
                b"path" => pax.path = Some(value.to_vec()),
                b"linkpath" => pax.link = Some(value.to_vec()),
                b"size" => pax.size = Some(decimal(value).ok_or_else(bad)?),
                b"uid" => pax.uid = Some(decimal(value).ok_or_else(bad)?),
                b"gid" => pax.gid = Some(decimal(value).ok_or_else(bad)?),
                b"mtime" => {
                    let whole = value.split(|b| *b == b'.').next().unwrap_or_default();
                    pax.mtime = Some(decimal(whole).ok_or_else(bad)?);
                }
                _ if key.starts_with(b"GNU.sparse.") => pax.sparse = true,
                _ => {}
            }
        }
        Ok(pax)
    }
}

/// Digits only: no sign, no space, no overflow.
fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pax_records_are_read_by_their_length() {
        let pax =
            Pax::parse(b"18 path=a\nb=c d.e\n12 size=123\n19 mtime=1.500000000\n10 x=y=z!\n").unwrap_err();
        assert!(pax.to_string().contains("broken"), "the third length is wrong");
        let pax = Pax::parse(b"18 path=a\nb=c d.e\n12 size=123\n15 mtime=1.500\n").unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a\nb=c d.e"[..]));
        assert_eq!((pax.size, pax.mtime), (Some(123), Some(1)));
    }

    #[test]
    fn broken_pax_records_are_errors() {
        for bytes in [
            &b"x"[..],
            b"5 a=b",
            b"99 a=b\n",
            b"0 a=b\n",
            b"2 \n",
            b"6 a b\n\n",
            b"11 size=-1\n",
            b"-6 a=b\n",
            b"3 \n",
        ] {
            assert!(Pax::parse(bytes).is_err(), "{:?}", show(bytes));
        }
    }

    proptest! {
        #[test]
        fn any_pax_header_gets_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Pax::parse(&bytes);
        }
    }
}
