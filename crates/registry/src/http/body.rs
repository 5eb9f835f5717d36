//! Answers' bodies: nothing, bytes, or a part of a file, stretch by stretch.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use tokio::task::JoinHandle;

use super::sendfile::{Outbox, STRETCH, stand_in};

/// Bytes of a file that are read at once where they must be read.
const WINDOW: usize = 128 << 10;

/// An answer's body.
pub(crate) enum Body {
    Bytes(Bytes),
    File(FileBody),
}

impl Body {
    pub(crate) fn empty() -> Self {
        Body::Bytes(Bytes::new())
    }

    /// `length` bytes of `file`, which has them, from `offset`; sent by the outbox of a plain connection, or
    /// read here for one that encrypts.
    pub(crate) fn file(file: File, offset: u64, length: u64, outbox: Option<&Outbox>) -> Self {
        let file = Arc::new(file);
        if let Some(outbox) = outbox {
            outbox.note(file.clone(), offset, length);
        }
        Body::File(FileBody {
            file,
            at: offset,
            left: length,
            sent_by_outbox: outbox.is_some(),
            waiting: None,
        })
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
    sent_by_outbox: bool,
    waiting: Option<JoinHandle<io::Result<Bytes>>>,
}

impl FileBody {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let piece = match self.waiting.as_mut() {
            Some(waiting) => {
                let done = ready!(Pin::new(waiting).poll(cx)).map_err(io::Error::other);
                self.waiting = None;
                done.flatten()
            }
            None => match self.cached() {
                Ok(Some(piece)) => Ok(piece),
                Ok(None) => {
                    let (file, at, by_outbox) = (self.file.clone(), self.at, self.sent_by_outbox);
                    let length = self.next_length();
                    self.waiting =
                        Some(tokio::task::spawn_blocking(move || fetch(&file, at, length, by_outbox)));
                    return self.poll_next(cx);
                }
                Err(e) => Err(e),
            },
        };
        if let Ok(piece) = &piece {
            self.at += piece.len() as u64;
            self.left -= piece.len() as u64;
        }
        Poll::Ready(Some(piece))
    }

    fn next_length(&self) -> usize {
        let most = if self.sent_by_outbox { STRETCH } else { WINDOW };
        usize::try_from(self.left).map_or(most, |left| left.min(most))
    }

    /// The next piece out of the page cache; nothing when a disk must be waited for, which is no work for a
    /// thread that serves connections.
    fn cached(&self) -> io::Result<Option<Bytes>> {
        let length = self.next_length();
        let mut window = vec![0; if self.sent_by_outbox { 1 } else { length }];
        // Of a stretch that the kernel sends, its last byte tells of the rest: files are read from the front.
        let at = if self.sent_by_outbox { self.at + length as u64 - 1 } else { self.at };
        match preadv2(&self.file, &mut [IoSliceMut::new(&mut window)], at, ReadWriteFlags::NOWAIT) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) if self.sent_by_outbox => Ok(Some(stand_in(length))),
            Ok(n) => {
                window.truncate(n);
                Ok(Some(window.into()))
            }
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INTR) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Reads `length` bytes: to be sent, or only to have them in the page cache.
fn fetch(file: &File, at: u64, length: usize, only_cache: bool) -> io::Result<Bytes> {
    let mut window = vec![0; length.min(WINDOW)];
    if !only_cache {
        file.read_exact_at(&mut window, at)?;
        return Ok(window.into());
    }
    let mut read = 0;
    while read < length {
        let part = (length - read).min(WINDOW);
        file.read_exact_at(&mut window[..part], at + read as u64)?;
        read += part;
    }
    Ok(stand_in(length))
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Body::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Body::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Body::File(file) => Poll::Ready(ready!(file.poll_next(cx)).map(|piece| piece.map(Frame::data))),
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
