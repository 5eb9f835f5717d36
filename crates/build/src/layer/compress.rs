//! Deterministic compression of a layer's pieces.
//!
//! A stream is cut into chunks of [`CHUNK`] bytes and each becomes a whole gzip member (RFC 1952, section 2.2:
//! members may follow each other) or zstd frame (RFC 8878, section 3). So a piece's compressed bytes depend on
//! nothing but the piece, pieces can be laid one behind the other, and memory stays flat. The encoders are
//! pinned by Cargo.lock; [`crate::part::FORMAT`] changes when their output does.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

/// Uncompressed bytes in one gzip member or zstd frame.
pub const CHUNK: usize = 4 << 20;

/// libdeflate's level: 9 takes three times as long for one part in a hundred.
const GZIP_LEVEL: i32 = 6;
/// zstd's own default: 9 takes three times as long for one part in nine.
const ZSTD_LEVEL: i32 = 3;

/// How layers are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Understood by every registry and node.
    #[default]
    Gzip,
    /// Smaller and faster to unpack; containerd 1.5, Docker 20.10 and later.
    Zstd,
}

impl Compression {
    /// The layer's media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Compression::Gzip => perijove_oci::media::LAYER_GZIP,
            Compression::Zstd => perijove_oci::media::LAYER_ZSTD,
        }
    }

    /// File name extension in the cache.
    pub fn extension(self) -> &'static str {
        match self {
            Compression::Gzip => "tar.gz",
            Compression::Zstd => "tar.zst",
        }
    }

    /// The compressed form of one chunk.
    pub fn chunk(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Compression::Gzip => gzip_member(bytes),
            Compression::Zstd => zstd::bulk::compress(bytes, ZSTD_LEVEL),
        }
    }
}

fn gzip_member(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let level = libdeflater::CompressionLvl::new(GZIP_LEVEL).unwrap_or_default();
    let mut compressor = libdeflater::Compressor::new(level);
    let mut out = vec![0; compressor.gzip_compress_bound(bytes.len())];
    let length = compressor
        .gzip_compress(bytes, &mut out)
        .map_err(|e| io::Error::other(format!("libdeflate: {e}")))?;
    out.truncate(length);
    Ok(out)
}

/// Collects bytes into chunks and writes each one compressed.
pub struct ChunkWriter<W: Write> {
    compression: Compression,
    buffer: Vec<u8>,
    inner: W,
}

impl<W: Write> ChunkWriter<W> {
    /// Compressed chunks go to `inner`.
    pub fn new(compression: Compression, inner: W) -> Self {
        ChunkWriter { compression, buffer: Vec::new(), inner }
    }

    /// Writes the last, shorter chunk, and gives the writer back.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk()?;
        Ok(self.inner)
    }

    fn write_chunk(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.inner.write_all(&self.compression.chunk(&self.buffer)?)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl<W: Write> Write for ChunkWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == CHUNK {
            self.write_chunk()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The uncompressed stream of a compressed layer or piece.
pub fn reader<'a>(media_type: &str, inner: impl io::BufRead + 'a) -> io::Result<Box<dyn io::Read + 'a>> {
    if media_type.ends_with("zstd") {
        Ok(Box::new(zstd::stream::read::Decoder::with_buffer(inner)?))
    } else if media_type.ends_with("gzip") {
        Ok(Box::new(flate2::bufread::MultiGzDecoder::new(inner)))
    } else {
        Ok(Box::new(inner))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn compressed(compression: Compression, parts: &[&[u8]]) -> Vec<u8> {
        let mut writer = ChunkWriter::new(compression, Vec::new());
        for part in parts {
            writer.write_all(part).unwrap();
        }
        writer.finish().unwrap()
    }

    #[test]
    fn reads_back_whatever_the_cuts() {
        let text: Vec<u8> = (0..CHUNK + 12345).map(|n| (n * n % 251) as u8).collect();
        for compression in [Compression::Gzip, Compression::Zstd] {
            let whole = compressed(compression, &[&text]);
            assert_eq!(whole, compressed(compression, &[&text[..7], &text[7..CHUNK], &text[CHUNK..]]));
            let both = [whole.clone(), compressed(compression, &[b"and more"])].concat();
            let mut back = Vec::new();
            reader(compression.media_type(), &both[..]).unwrap().read_to_end(&mut back).unwrap();
            assert_eq!(back, [&text[..], b"and more"].concat());
        }
    }

    #[test]
    fn output_is_pinned() {
        // If this fails after an update of an encoder, raise `part::FORMAT`: every layer changes.
        let text: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
        let digest = |c| perijove_oci::Digest::sha256(&compressed(c, &[&text])).short().to_owned();
        insta::assert_snapshot!(format!(
            "gzip {} zstd {}",
            digest(Compression::Gzip),
            digest(Compression::Zstd)
        ));
    }
}
