//! Answers' bodies: nothing, bytes, or a part of a file read window by window.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use hyper::body::{Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

/// Bytes of a file that are read at once.
const WINDOW: usize = 256 << 10;

/// An answer's body.
pub(crate) enum Body {
    Bytes(Bytes),
    File(FileBody),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Body::Bytes(Bytes::new())
    }

    /// `length` bytes of `file`, which has them, from `offset`.
    pub(crate) fn file(file: File, offset: u64, length: u64) -> Self {
        Body::File(FileBody { file: Arc::new(file), at: offset, left: length, reading: None, lent: None })
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Body::Bytes(bytes)
    }
}

/// See [`Body::file`].
pub(crate) struct FileBody {
    file: Arc<File>,
    at: u64,
    left: u64,
    reading: Option<JoinHandle<io::Result<BytesMut>>>,
    /// The window before the last one: its memory is used again once the connection has written it.
    lent: Option<(Bytes, Bytes)>,
}

impl FileBody {
    fn poll_window(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let mut reading = match self.reading.take() {
            Some(reading) => reading,
            None => {
                let mut window = self.window();
                match read_cached(&self.file, &mut window, self.at) {
                    Ok(true) => return Poll::Ready(Some(Ok(self.lend(window)))),
                    Ok(false) => {
                        let (file, at) = (self.file.clone(), self.at);
                        tokio::task::spawn_blocking(move || {
                            file.read_exact_at(&mut window, at).map(|()| window)
                        })
                    }
                    Err(e) => return Poll::Ready(Some(Err(e))),
                }
            }
        };
        match Pin::new(&mut reading).poll(cx) {
            Poll::Pending => {
                self.reading = Some(reading);
                Poll::Pending
            }
            Poll::Ready(Ok(Ok(window))) => Poll::Ready(Some(Ok(self.lend(window)))),
            Poll::Ready(Ok(Err(e))) => Poll::Ready(Some(Err(e))),
            Poll::Ready(Err(e)) => Poll::Ready(Some(Err(io::Error::other(e)))),
        }
    }

    /// Memory for the next window.
    fn window(&mut self) -> BytesMut {
        let length = usize::try_from(self.left).unwrap_or(WINDOW).min(WINDOW);
        let used = self.lent.take();
        let mut window = match used {
            Some((older, newer)) => {
                self.lent = Some((Bytes::new(), newer));
                older.try_into_mut().unwrap_or_default()
            }
            None => BytesMut::new(),
        };
        window.resize(length, 0);
        window
    }

    fn lend(&mut self, window: BytesMut) -> Bytes {
        let window = window.freeze();
        self.at += window.len() as u64;
        self.left -= window.len() as u64;
        let newer = self.lent.take().map_or_else(Bytes::new, |(_, newer)| newer);
        self.lent = Some((newer, window.clone()));
        window
    }
}

/// Fills the start of `window` from the page cache and cuts it to what was there; false when a disk must be
/// waited for, which is nothing for a thread that serves connections.
fn read_cached(file: &File, window: &mut BytesMut, at: u64) -> io::Result<bool> {
    match preadv2(file, &mut [IoSliceMut::new(window)], at, ReadWriteFlags::NOWAIT) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(n) => {
            window.truncate(n);
            Ok(true)
        }
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Body::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::File(file) => {
                Poll::Ready(ready!(file.poll_window(cx)).map(|window| window.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.size_hint().exact() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File(file) => file.left,
        })
    }
}
