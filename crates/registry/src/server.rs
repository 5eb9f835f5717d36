//! The server: opens the store and the address, accepts connections within bounds, ends gracefully.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use crate::clients::{Clients, Guest};
use crate::error::Error;
use crate::http::{Activity, App, FileStream, IdleStream, Outbox, Steady, too_many_connections};
use crate::settings::{Collect, Limits, Settings};
use crate::store::{Store, StoreOptions};
use crate::tls;

/// What hyper holds of a connection at most, in each direction.
const CONNECTION_BUFFER: usize = 128 << 10;

/// Pause after a failed accept: out of descriptors, most often, and somebody has to give one back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A registry that is ready to serve.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    app: App,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    /// Whether all connections come from one address, the proxy's.
    behind_proxy: bool,
    collect: Option<Collect>,
}

impl Server {
    /// Opens the store and the address. Call it on a runtime with I/O and time.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left open then.
    pub async fn bind(settings: Settings) -> Result<Self, Error> {
        settings.check_exposure()?;
        let Settings { listen, root, create_only, tls, mount, access, behind_proxy, limits, collect, report } =
            settings;
        let tls = tls.as_ref().map(tls::acceptor).transpose()?;
        let listen_error = |source| Error::Listen { address: listen, source };
        let listener = TcpListener::bind(listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let options = StoreOptions {
            create_only,
            upload_sessions: limits.upload_sessions,
            cache_bytes: limits.cache_bytes,
        };
        let store = Arc::new(Store::open(&root, options)?);
        let app = App::new(store, limits.clone(), mount, access, report);
        Ok(Server { listener, address, app, tls, limits, behind_proxy, collect })
    }

    /// The address that is listened on; the port is a real one.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// The store, for garbage collection on demand.
    pub fn store(&self) -> Arc<Store> {
        self.app.store.clone()
    }

    /// Serves until `shutdown` is ready; then ends what is under way, within the time that the limits give.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let most = connections(self.limits.connections);
        let slots = Arc::new(Semaphore::new(most));
        let share = if self.behind_proxy { most } else { most.div_ceil(2) };
        let clients = Clients::new(self.limits.client_connections.unwrap_or(share));
        let (stop, stopping) = watch::channel(());
        let collecting =
            self.collect.map(|collect| tokio::spawn(collect_now_and_then(self.app.clone(), collect)));
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut shutdown => break,
            };
            let Ok((stream, peer)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            match (slots.clone().try_acquire_owned(), clients.enter(peer.ip())) {
                (Ok(slot), Some(guest)) => {
                    self.spawn(stream, Seat { _slot: slot, _guest: guest }, stopping.clone());
                }
                _ => refuse(stream),
            }
        }
        drop(self.listener);
        if let Some(collecting) = collecting {
            collecting.abort();
        }
        drop(stopping);
        let _nobody_left = stop.send(());
        let all = u32::try_from(most).unwrap_or(u32::MAX);
        let _too_late = tokio::time::timeout(self.limits.shutdown_time, slots.acquire_many(all)).await;
    }

    fn spawn(&self, stream: TcpStream, seat: Seat, stopping: watch::Receiver<()>) {
        // Answers are written whole; waiting for more to send only delays them.
        let _slower = stream.set_nodelay(true);
        let activity = Activity::default();
        let talk = Talk { app: self.app.clone(), limits: self.limits.clone(), activity, seat, stopping };
        let idle_time = self.limits.idle_time;
        match self.tls.clone() {
            None => {
                let outbox = Outbox::default();
                let stream = FileStream::new(stream, outbox.clone());
                let stream = IdleStream::new(stream, idle_time, talk.activity.clone());
                tokio::spawn(talk.hold(stream, Some(outbox)));
            }
            Some(tls) => {
                let stream = IdleStream::new(stream, idle_time, talk.activity.clone());
                tokio::spawn(async move {
                    let handshake = tokio::time::timeout(talk.limits.header_time, tls.accept(stream)).await;
                    if let Ok(Ok(stream)) = handshake {
                        talk.hold(stream, None).await;
                    }
                });
            }
        }
    }
}

/// Binds, says where, and serves until `shutdown`.
///
/// # Errors
/// Those of [`Server::bind`].
pub async fn serve(
    settings: Settings,
    on_ready: impl FnOnce(SocketAddr),
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let server = Server::bind(settings).await?;
    on_ready(server.local_addr());
    server.run(shutdown).await;
    Ok(())
}

/// A connection's place among all, and among those of its client; free again when it is dropped.
struct Seat {
    _slot: OwnedSemaphorePermit,
    _guest: Guest,
}

/// What a connection needs.
struct Talk {
    app: App,
    limits: Limits,
    activity: Activity,
    seat: Seat,
    stopping: watch::Receiver<()>,
}

impl Talk {
    /// Speaks HTTP/1.1 until either side ends it.
    async fn hold<S>(self, stream: S, outbox: Option<Outbox>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Talk { app, limits, activity, seat, mut stopping } = self;
        let service = service_fn(move |request| {
            let (app, outbox, working) = (app.clone(), outbox.clone(), activity.begin());
            async move {
                let response = app.answer(request, outbox.as_ref()).await;
                drop(working);
                Ok::<_, std::convert::Infallible>(response)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.header_time)
            .max_buf_size(CONNECTION_BUFFER.max(limits.header_bytes))
            .half_close(true)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = Steady::new(connection);
        // What breaks a connection is the client's affair: there is nobody to tell.
        tokio::select! {
            _ended = &mut connection => {}
            _told = stopping.changed() => {
                connection.as_mut().graceful_shutdown();
                let _ended = connection.await;
            }
        }
        drop(seat);
    }
}

/// Tells one connection too many to come again.
fn refuse(mut stream: TcpStream) {
    tokio::spawn(async move {
        let answer = too_many_connections();
        let say = async {
            stream.write_all(answer.as_bytes()).await?;
            stream.shutdown().await
        };
        let _gone = tokio::time::timeout(Duration::from_secs(1), say).await;
    });
}

async fn collect_now_and_then(app: App, collect: Collect) {
    let mut pause = collect.first;
    loop {
        tokio::time::sleep(pause).await;
        pause = collect.every;
        let store = app.store.clone();
        let run = move || store.collect(collect.blob_grace, collect.upload_grace);
        match tokio::task::spawn_blocking(run).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => app.tell(&format!("garbage collection: {error}")),
            Err(error) => app.tell(&format!("garbage collection: {error}")),
        }
    }
}

/// Connections that the process has descriptors for: each may have a blob open, too.
fn connections(wanted: usize) -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    wanted.min(limit.saturating_sub(64) / 2).max(1)
}
