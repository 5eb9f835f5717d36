//! Files go to plain connections by sendfile(2): the bytes never enter this process.
//!
//! hyper writes what a body gives it as memory. So a file's body gives it memory that stands for the file, a
//! stretch of zeros that nobody ever reads ([`stand_in`]), and notes the file in the connection's [`Outbox`].
//! When hyper hands such a stretch to [`FileStream`] to be written, the next bytes of the noted file are sent
//! in its place. Nothing else can send the stand-in: without a noted file the write fails.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Length of the stand-in: what is given to hyper at once. Zeros that are never touched take no memory.
pub(crate) const STRETCH: usize = 1 << 20;

static STAND_IN: [u8; STRETCH] = [0; STRETCH];

/// `length` bytes, at most [`STRETCH`], that stand for the next bytes of the file noted last.
pub(crate) fn stand_in(length: usize) -> Bytes {
    Bytes::from_static(&STAND_IN[..length.min(STRETCH)])
}

fn is_stand_in(buffer: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&buffer.as_ptr())
}

/// The files whose stand-ins are on their way through a connection, oldest first.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<VecDeque<Part>>>);

struct Part {
    file: Arc<File>,
    at: u64,
    left: u64,
}

impl Outbox {
    /// Notes that `length` bytes of `file` from `at` will be written as stand-ins.
    pub(crate) fn note(&self, file: Arc<File>, at: u64, length: u64) {
        if length > 0 {
            self.parts().push_back(Part { file, at, left: length });
        }
    }

    fn parts(&self) -> std::sync::MutexGuard<'_, VecDeque<Part>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends up to `length` bytes of the oldest file.
    fn send(&self, stream: &TcpStream, length: usize) -> io::Result<usize> {
        let mut parts = self.parts();
        let part = parts.front_mut().ok_or_else(|| io::Error::other("a stand-in without its file"))?;
        let length = length.min(usize::try_from(part.left).unwrap_or(usize::MAX));
        let sent = rustix::fs::sendfile(stream, &*part.file, Some(&mut part.at), length)?;
        if sent == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        part.left -= sent as u64;
        if part.left == 0 {
            parts.pop_front();
        }
        Ok(sent)
    }
}

/// A TCP connection that writes the files of its outbox where it is given stand-ins.
pub(crate) struct FileStream {
    stream: TcpStream,
    outbox: Outbox,
}

impl FileStream {
    pub(crate) fn new(stream: TcpStream, outbox: Outbox) -> Self {
        FileStream { stream, outbox }
    }

    fn poll_send(&self, cx: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_io(Interest::WRITABLE, || self.outbox.send(&self.stream, length)) {
                // The socket's buffer is full: readiness was taken back, so the next round waits for it.
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                sent => return Poll::Ready(sent),
            }
        }
    }
}

impl AsyncRead for FileStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for FileStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if is_stand_in(buf) {
            return self.poll_send(cx, buf.len());
        }
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let full = |buf: &&IoSlice<'_>| !buf.is_empty();
        match bufs.iter().find(full) {
            Some(first) if is_stand_in(first) => self.poll_send(cx, first.len()),
            _ => {
                let memory = bufs.iter().position(|buf| is_stand_in(buf)).unwrap_or(bufs.len());
                Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, &bufs[..memory])
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        // hyper copies what it writes otherwise, and a copied stand-in is only zeros.
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn memory_and_files_arrive_in_order() {
        let bytes: Vec<u8> = (0..5_000_000u32).map(|n| (n % 241) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let (near, mut far) = pair().await;
        let outbox = Outbox::default();
        let file = Arc::new(file);
        outbox.note(file.clone(), 10, 3_000_000);
        outbox.note(file, 0, 5);
        let mut stream = FileStream::new(near, outbox);
        let writer = tokio::spawn(async move {
            // The last slice of a write may be a stand-in: it must not be sent as memory.
            let first = [IoSlice::new(b"head"), IoSlice::new(&STAND_IN)];
            assert_eq!(stream.write_vectored(&first).await.unwrap(), 4);
            let mut left = 3_000_000;
            while left > 0 {
                left -= stream.write_vectored(&[IoSlice::new(&stand_in(left))]).await.unwrap();
            }
            stream.write_all(b"middle").await.unwrap();
            stream.write_all(&stand_in(5)).await.unwrap();
            // Nothing is noted any more.
            assert!(stream.write(&stand_in(1)).await.is_err());
        });
        let mut received = Vec::new();
        far.read_to_end(&mut received).await.unwrap();
        writer.await.unwrap();
        let wanted = [&b"head"[..], &bytes[10..3_000_010], b"middle", &bytes[..5]].concat();
        assert!(received == wanted);
    }
}
