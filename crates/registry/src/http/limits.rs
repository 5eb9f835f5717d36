//! What bounds a connection in time and a request in size.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::errors::{ApiError, Kind};

/// How long what a refused request still sends is thrown away, so that the client reads the answer before it
/// meets a closed connection.
const DRAIN: Duration = Duration::from_secs(5);

/// A request's body with a bound on the time between two pieces.
pub(crate) struct Incomings {
    body: Incoming,
    idle: Duration,
    /// The client waits for `100 Continue`, which the first look at the body sends.
    waits: bool,
}

/// Why a body ended early.
pub(crate) enum Cut {
    /// The connection broke, or the client stopped half-way.
    Broken,
    /// Nothing came for too long.
    Idle,
}

impl Incomings {
    pub(crate) fn new(body: Incoming, idle: Duration, expects_continue: bool) -> Self {
        Incomings { body, idle, waits: expects_continue }
    }

    /// The next piece; nothing at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        self.waits = false;
        loop {
            match timeout(self.idle, self.body.frame()).await {
                Err(_) => return Err(Cut::Idle),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(Cut::Broken),
                // Trailers are nothing to this registry.
                Ok(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The whole body, when it has at most `limit` bytes; nothing when it has more.
    pub(crate) async fn whole(&mut self, limit: u64) -> Result<Option<Bytes>, ApiError> {
        let hint = self.body.size_hint();
        if hint.lower() > limit {
            return Ok(None);
        }
        let mut whole = BytesMut::new();
        while let Some(piece) = self.next().await.map_err(|_| cut_short())? {
            if whole.len() as u64 + piece.len() as u64 > limit {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Some(whole.freeze()))
    }

    /// The length that the client announced.
    pub(crate) fn announced(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }

    /// Throws away what still comes, for a while.
    pub(crate) async fn drain(&mut self) {
        if !self.waits && !self.body.is_end_stream() {
            let rest = async { while let Ok(Some(_)) = self.next().await {} };
            let _gave_up = timeout(DRAIN, rest).await;
        }
    }
}

/// The answer to a body that ended early; mostly nobody is there to read it.
pub(crate) fn cut_short() -> ApiError {
    ApiError::new(Kind::SizeInvalid, "the body ended before its announced length")
}

/// Whether a request of the connection is being worked on.
#[derive(Clone, Default)]
pub(crate) struct Activity(Arc<AtomicUsize>);

/// Work in progress until it is dropped.
pub(crate) struct Working(Arc<AtomicUsize>);

impl Activity {
    pub(crate) fn begin(&self) -> Working {
        self.0.fetch_add(1, Ordering::Relaxed);
        Working(self.0.clone())
    }

    fn is_working(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that breaks when neither side moved a byte for too long, while no request is being worked on
/// (syncing a large blob may take longer; bodies have their own bound).
pub(crate) struct IdleStream<S> {
    stream: S,
    limit: Duration,
    activity: Activity,
    moved: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl<S> IdleStream<S> {
    pub(crate) fn new(stream: S, limit: Duration, activity: Activity) -> Self {
        let moved = Instant::now();
        IdleStream { stream, limit, activity, moved, alarm: Box::pin(sleep_until(moved + limit)) }
    }

    /// Notes progress, or looks at the clock. The alarm is set again only when it rings: a timer a byte would
    /// cost more than the byte.
    fn watch<T>(&mut self, cx: &mut Context<'_>, polled: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.moved = Instant::now();
            return polled;
        }
        while self.alarm.as_mut().poll(cx).is_ready() {
            let now = Instant::now();
            if self.activity.is_working() {
                self.moved = now;
            }
            let until = self.moved + self.limit;
            if until <= now {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(until);
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for IdleStream<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_read(cx, buf);
        this.watch(cx, polled)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for IdleStream<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.watch(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.watch(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        this.watch(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_shutdown(cx);
        this.watch(cx, polled)
    }
}
