//! What a tar entry's header and content say, read with suspicion.

use std::fs::File;
use std::io::{self, Read, Write};

use rustix::fs::{Gid, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;

use super::apply::Ownership;

/// Why an entry cannot be applied: as the tar has it, or as the system says.
pub(super) enum Fault {
    Reason(String),
    Os(Errno),
}

impl Fault {
    // By value, to serve `map_err`.
    #[allow(clippy::needless_pass_by_value)]
    pub(super) fn tar(error: io::Error) -> Self {
        Fault::Reason(error.to_string())
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Self {
        Fault::Os(errno)
    }
}

/// Exactly `size` bytes of the entry.
pub(super) fn copy(
    entry: &mut impl Read,
    file: &mut File,
    size: u64,
    buffer: &mut [u8],
) -> Result<(), Fault> {
    let mut left = size;
    while left > 0 {
        let n = entry.read(buffer).map_err(Fault::tar)?;
        if n == 0 {
            return Err(Fault::Reason(format!("the tar ends {left} bytes early")));
        }
        file.write_all(&buffer[..n]).map_err(Fault::tar)?;
        left = left.saturating_sub(n as u64);
    }
    Ok(())
}

/// Seconds since 1970.
pub(super) fn mtime(header: &tar::Header) -> Result<i64, Fault> {
    let seconds = header.mtime().map_err(Fault::tar)?;
    Ok(i64::try_from(seconds).unwrap_or(0))
}

/// For `utimensat`: the time of access stays.
pub(super) fn times(mtime: i64) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime, tv_nsec: 0 },
    }
}

/// A path for a message: bounded, no control characters.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).chars().take(200).map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Whose the entry is, where that counts.
pub(super) fn owner(header: &tar::Header, ownership: Ownership) -> Result<Option<(Uid, Gid)>, Fault> {
    if ownership == Ownership::Caller {
        return Ok(None);
    }
    let id = |id: io::Result<u64>| {
        u32::try_from(id.map_err(Fault::tar)?)
            .ok()
            .filter(|id| *id != u32::MAX)
            .ok_or_else(|| Fault::Reason("its owner's number is too large".to_owned()))
    };
    Ok(Some((Uid::from_raw(id(header.uid())?), Gid::from_raw(id(header.gid())?))))
}
