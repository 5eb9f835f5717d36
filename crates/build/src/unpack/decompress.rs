//! The compressions that a deb's members and an npm tarball come in.

use std::io::{self, BufRead, Read};

use super::bounds::{Bounded, MAX_XZ_MEMORY, MAX_ZSTD_WINDOW_LOG};

/// A compression, named after a member's suffix (deb(5)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Compression {
    /// From what follows `control.tar` or `data.tar`. bzip2 and lzma went out of use before Debian 9.
    pub(super) fn of_suffix(suffix: &str) -> Option<Compression> {
        match suffix {
            "" => Some(Compression::None),
            ".gz" => Some(Compression::Gzip),
            ".xz" => Some(Compression::Xz),
            ".zst" => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// The plain bytes, at most `limit` of them. Several streams one after the other are one; anything
    /// else after the stream is an error.
    pub(super) fn reader<'a, R: BufRead + 'a>(self, from: R, limit: u64) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Compression::None => Box::new(Bounded::new(from, limit)),
            Compression::Gzip => Box::new(Bounded::new(flate2::bufread::MultiGzDecoder::new(from), limit)),
            Compression::Xz => {
                let stream =
                    liblzma::stream::Stream::new_stream_decoder(MAX_XZ_MEMORY, liblzma::stream::CONCATENATED)
                        .map_err(io::Error::from)?;
                Box::new(Bounded::new(liblzma::bufread::XzDecoder::new_stream(from, stream), limit))
            }
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(from)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Box::new(Bounded::new(decoder, limit))
            }
        })
    }
}
