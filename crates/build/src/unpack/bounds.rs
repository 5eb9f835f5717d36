//! How much an archive may unpack to.
//!
//! The sizes are far above what real packages need (the largest wheels unpack to about 4 GB, the best
//! compressed debs to 20 times their size) and far below what fills a disk before anyone looks.

use std::io::{self, Read};

/// Most bytes that one archive may unpack to: 8 GiB.
pub const MAX_UNPACKED: u64 = 8 << 30;

/// Most times its own size that an archive may unpack to, when that is more than [`FREE_UNPACKED`].
pub const MAX_RATIO: u64 = 100;

/// What any archive may unpack to, however small it is: 64 MiB.
pub const FREE_UNPACKED: u64 = 64 << 20;

/// Most entries in one archive. The largest npm and Python packages have about 30,000.
pub const MAX_ENTRIES: usize = 500_000;

/// Most bytes of a file that is read whole: RECORD, METADATA, control, package.json, a script to rewrite.
pub const MAX_TEXT: u64 = 16 << 20;

/// Most memory that an xz stream may ask for. `xz -9` needs 65 MiB.
pub const MAX_XZ_MEMORY: u64 = 80 << 20;

/// Largest zstd window, as a power of two: 128 MiB, zstd's own limit without `--long`.
pub const MAX_ZSTD_WINDOW_LOG: u32 = 27;

/// Most bytes that an archive of `packed` bytes may unpack to.
pub fn allowance(packed: u64) -> u64 {
    packed.saturating_mul(MAX_RATIO).clamp(FREE_UNPACKED, MAX_UNPACKED)
}

/// A reader that fails once more than its limit came out of it.
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Bounded<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Bounded { inner, left: limit, limit }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        match self.left.checked_sub(n as u64) {
            Some(left) => {
                self.left = left;
                Ok(n)
            }
            None => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("unpacks to more than {} bytes, far more than its size allows", self.limit),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_archives_get_a_fixed_allowance_and_no_archive_more_than_the_maximum() {
        assert_eq!(allowance(0), FREE_UNPACKED);
        assert_eq!(allowance(10 << 20), 1000 << 20);
        assert_eq!(allowance(u64::MAX), MAX_UNPACKED);
    }

    #[test]
    fn the_bound_is_exact() {
        let mut out = Vec::new();
        assert!(Bounded::new(&[0u8; 10][..], 10).read_to_end(&mut out).is_ok());
        assert!(Bounded::new(&[0u8; 11][..], 10).read_to_end(&mut out).is_err());
    }
}
