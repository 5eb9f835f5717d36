//! Where a blob's bytes are, and two ways to read them: a stream for sending, a checked reader for files.

use std::fs::File;
use std::io::{self, Read, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::Stream;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use crate::digest::Digester;
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::reference::Reference;

/// Where the bytes of a blob are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Blob {
    /// In memory.
    Bytes(Bytes),
    /// In files that make the blob one after the other.
    Files(Vec<PathBuf>),
    /// In this repository of a registry (tag and digest of the reference are not looked at).
    Remote(Reference),
}

impl Blob {
    /// The length of what is at hand, in bytes; `None` for what is remote.
    pub async fn len(&self) -> Result<Option<u64>> {
        match self {
            Blob::Bytes(bytes) => Ok(Some(bytes.len() as u64)),
            Blob::Files(files) => {
                let mut sum = 0;
                for path in files {
                    sum += tokio::fs::metadata(path).await.map_err(Error::io(path))?.len();
                }
                Ok(Some(sum))
            }
            Blob::Remote(_) => Ok(None),
        }
    }
}

/// How much of a file is read and sent at a time.
const CHUNK: usize = 256 << 10;

/// The blob's bytes from `offset` on. What is remote gives an error: it has to be fetched before.
pub(crate) fn stream(blob: Blob, offset: u64) -> impl Stream<Item = std::io::Result<Bytes>> + Send {
    struct State {
        bytes: Option<Bytes>,
        files: std::vec::IntoIter<PathBuf>,
        open: Option<tokio::fs::File>,
        skip: u64,
        remote: bool,
    }
    let (bytes, files, remote) = match blob {
        Blob::Bytes(bytes) => (Some(bytes), Vec::new(), false),
        Blob::Files(files) => (None, files, false),
        Blob::Remote(_) => (None, Vec::new(), true),
    };
    let state = State { bytes, files: files.into_iter(), open: None, skip: offset, remote };
    futures_util::stream::try_unfold(state, |mut s| async move {
        if s.remote {
            return Err(std::io::Error::other("the blob is in a registry, not here"));
        }
        if let Some(mut bytes) = s.bytes.take() {
            let skip = usize::try_from(s.skip).unwrap_or(usize::MAX).min(bytes.len());
            s.skip = 0;
            let mut chunk = bytes.split_off(skip);
            let rest = chunk.split_off(chunk.len().min(CHUNK));
            s.bytes = Some(rest).filter(|r| !r.is_empty());
            return Ok(Some((chunk, s)).filter(|(chunk, _)| !chunk.is_empty()));
        }
        loop {
            if let Some(file) = &mut s.open {
                let mut chunk = bytes::BytesMut::with_capacity(CHUNK);
                if file.read_buf(&mut chunk).await? > 0 {
                    return Ok(Some((chunk.freeze(), s)));
                }
                s.open = None;
            }
            let Some(path) = s.files.next() else { return Ok(None) };
            let mut file = tokio::fs::File::open(&path).await?;
            file.set_max_buf_size(CHUNK);
            if s.skip > 0 {
                let length = file.metadata().await?.len();
                let skip = s.skip.min(length);
                file.seek(SeekFrom::Start(skip)).await?;
                s.skip -= skip;
            }
            s.open = Some(file);
        }
    })
}

/// Reads a blob that is at hand from its start. At the end, [`Reader::finish`] tells whether it was the blob.
pub(crate) struct Reader<'a> {
    blob: &'a Descriptor,
    bytes: &'a [u8],
    files: std::slice::Iter<'a, PathBuf>,
    open: Option<File>,
    digester: Digester,
    length: u64,
}

impl<'a> Reader<'a> {
    /// Fails where the blob is remote.
    pub fn new(descriptor: &'a Descriptor, blob: &'a Blob) -> Result<Self> {
        let (bytes, files): (&[u8], &[PathBuf]) = match blob {
            Blob::Bytes(bytes) => (bytes, &[]),
            Blob::Files(files) => (&[], files),
            Blob::Remote(repo) => {
                let reason = format!("this blob is still in {}, fetch it first", repo.name());
                return Err(Error::content(&descriptor.digest, reason));
            }
        };
        let digester = Digester::new(descriptor.digest.algorithm());
        Ok(Reader { blob: descriptor, bytes, files: files.iter(), open: None, digester, length: 0 })
    }

    /// Checks digest and size of what was read; to be called at the end.
    pub fn finish(self) -> Result<()> {
        if self.length != self.blob.size {
            let reason =
                format!("its descriptor says {} bytes, but there are {}", self.blob.size, self.length);
            return Err(Error::content(&self.blob.digest, reason));
        }
        let found = self.digester.finish();
        if found != self.blob.digest {
            return Err(Error::Digest {
                what: "a blob's file".to_owned(),
                expected: self.blob.digest.clone(),
                found,
            });
        }
        Ok(())
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = loop {
            if !self.bytes.is_empty() {
                break Read::read(&mut self.bytes, buffer)?;
            }
            if let Some(file) = &mut self.open {
                let n = file.read(buffer)?;
                if n > 0 {
                    break n;
                }
                self.open = None;
            }
            let Some(path) = self.files.next() else { return Ok(0) };
            let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
            self.open = Some(File::open(path).map_err(named)?);
        };
        self.digester.update(&buffer[..n]);
        self.length += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;
    use crate::digest::Digest;

    async fn all(blob: &Blob, offset: u64) -> Vec<u8> {
        let chunks: Vec<Bytes> = stream(blob.clone(), offset).try_collect().await.unwrap();
        assert!(chunks.iter().all(|c| !c.is_empty() && c.len() <= CHUNK));
        chunks.concat()
    }

    #[tokio::test]
    async fn streams_from_any_offset() {
        let folder = tempfile::tempdir().unwrap();
        let whole: Vec<u8> = (0..CHUNK * 2 + 77).map(|i| (i % 251) as u8).collect();
        let cuts = [0, 5, 5, CHUNK + 9, whole.len()];
        let files = cuts.windows(2).enumerate().map(|(i, cut)| {
            let path = folder.path().join(i.to_string());
            std::fs::write(&path, &whole[cut[0]..cut[1]]).unwrap();
            path
        });
        let files = Blob::Files(files.collect());
        let bytes = Blob::Bytes(whole.clone().into());
        assert_eq!(files.len().await.unwrap(), Some(whole.len() as u64));
        for offset in [0, 1, 5, 6, CHUNK, CHUNK + 9, whole.len() - 1, whole.len()] {
            assert!(all(&files, offset as u64).await == whole[offset..], "{offset}");
            assert!(all(&bytes, offset as u64).await == whole[offset..], "{offset}");
        }
        assert!(all(&Blob::Bytes(Bytes::new()), 0).await.is_empty());
    }

    #[test]
    fn a_reader_tells_what_it_read() {
        let descriptor = Descriptor::of("x", b"hello");
        let read = |bytes: &'static [u8], descriptor: &Descriptor| {
            let blob = Blob::Bytes(Bytes::from_static(bytes));
            let mut reader = Reader::new(descriptor, &blob)?;
            let mut out = Vec::new();
            reader.read_to_end(&mut out).unwrap();
            assert_eq!(out, bytes);
            reader.finish()
        };
        read(b"hello", &descriptor).unwrap();
        assert!(matches!(read(b"hullo", &descriptor), Err(Error::Digest { .. })));
        assert!(matches!(read(b"hell", &descriptor), Err(Error::Content { .. })));
        let empty = Descriptor::new("x", Digest::sha256(b""), 0);
        read(b"", &empty).unwrap();
        let remote = Blob::Remote("r.example/a".parse().unwrap());
        assert!(Reader::new(&empty, &remote).is_err());
    }
}
