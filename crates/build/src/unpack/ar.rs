//! Reads ar, the outer format of a deb (deb(5), ar(5)).

use std::io::{self, Read};

/// One member's header.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) size: u64,
}

/// An ar stream. After [`Ar::next`], reading gives that member's bytes.
pub(super) struct Ar<R> {
    inner: R,
    left: u64,
    padding: u64,
    started: bool,
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}

impl<R: Read> Ar<R> {
    pub(super) fn new(inner: R) -> Self {
        Ar { inner, left: 0, padding: 0, started: false }
    }

    /// The next member; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Member>> {
        if !self.started {
            let mut magic = [0u8; 8];
            self.inner.read_exact(&mut magic)?;
            if &magic != b"!<arch>\n" {
                return Err(invalid("this is no Debian package (no ar archive)"));
            }
            self.started = true;
        }
        let rest = self.left;
        if io::copy(&mut (&mut self.inner).take(rest), &mut io::sink())? != rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The padding byte after the very last member may be missing.
        io::copy(&mut (&mut self.inner).take(self.padding), &mut io::sink())?;
        (self.left, self.padding) = (0, 0);
        let mut header = [0u8; 60];
        let mut have = 0;
        while have < header.len() {
            match self.inner.read(&mut header[have..]) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let member = parse(&header)?;
        self.left = member.size;
        self.padding = member.size % 2;
        Ok(Some(member))
    }
}

impl<R: Read> Read for Ar<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let n = self.inner.read(&mut buffer[..most])?;
        if n == 0 && most > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

/// A header: name 16, time 12, owner 6, group 6, mode 8, size 10 characters, then a backquote and newline.
fn parse(header: &[u8; 60]) -> io::Result<Member> {
    if &header[58..] != b"`\n" {
        return Err(invalid("a broken ar header"));
    }
    let text = |field: &[u8]| {
        std::str::from_utf8(field)
            .map(|t| t.trim_end_matches(' ').to_owned())
            .map_err(|_| invalid("a broken ar header"))
    };
    let name = text(&header[..16])?;
    let size = text(&header[48..58])?;
    if size.is_empty() || !size.bytes().all(|b| b.is_ascii_digit()) {
        return Err(invalid("a member's size is no number"));
    }
    let size = size.parse().map_err(|_| invalid("a member's size is no number"))?;
    // GNU ar ends a name with a slash; dpkg accepts both.
    Ok(Member { name: name.strip_suffix('/').unwrap_or(&name).to_owned(), size })
}
