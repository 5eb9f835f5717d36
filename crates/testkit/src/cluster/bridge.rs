//! Bytes between a port on loopback in one network namespace and a socket in the file system, which every namespace
//! can reach: so a cluster needs no interface on this machine. What passes can be shut off or slowed down.

use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;

use super::control::Flow;

/// Where bytes go.
#[derive(Clone, Debug)]
pub enum To {
    /// To a socket in the file system.
    Socket(PathBuf),
    /// To an address of this network namespace.
    Address(std::net::SocketAddr),
}

/// Takes connections on a port, until the process ends.
pub fn from_port(listener: TcpListener, to: To, flow: watch::Receiver<Flow>) {
    tokio::spawn(async move {
        loop {
            accept(&listener, &to, &flow).await;
        }
    });
}

/// Takes connections on an address that nobody else wants. While the flow is closed nothing listens there.
pub fn from_address(address: std::net::SocketAddr, to: To, mut flow: watch::Receiver<Flow>) {
    tokio::spawn(async move {
        while flow.wait_for(|f| !f.closed).await.is_ok() {
            let Ok(listener) = TcpListener::bind(address).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let mut closing = flow.clone();
            loop {
                tokio::select! {
                    () = accept(&listener, &to, &flow) => {}
                    closed = closing.wait_for(|f| f.closed) => match closed {
                        Ok(_) => break,
                        Err(_) => return,
                    },
                }
            }
        }
    });
}

async fn accept(listener: &TcpListener, to: &To, flow: &watch::Receiver<Flow>) {
    if let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(connect(stream, to.clone(), flow.clone()));
    }
}

/// Takes connections on a socket in the file system, until the process ends.
pub fn from_socket(listener: UnixListener, to: To, flow: watch::Receiver<Flow>) {
    tokio::spawn(async move {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(connect(stream, to.clone(), flow.clone()));
            }
        }
    });
}

/// A flow that nobody changes.
pub fn open() -> watch::Receiver<Flow> {
    watch::channel(Flow::default()).1
}

/// One connection; while the flow is closed it ends at once.
async fn connect<S: AsyncRead + AsyncWrite + Unpin>(from: S, to: To, mut flow: watch::Receiver<Flow>) {
    if flow.borrow_and_update().closed {
        return;
    }
    match to {
        To::Socket(path) => {
            if let Ok(other) = UnixStream::connect(path).await {
                between(from, other, flow).await;
            }
        }
        To::Address(address) => {
            if let Ok(other) = TcpStream::connect(address).await {
                let _ = other.set_nodelay(true);
                between(from, other, flow).await;
            }
        }
    }
}

async fn between<A, B>(from: A, other: B, mut flow: watch::Receiver<Flow>)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut closing = flow.clone();
    let (mut from_read, mut from_write) = tokio::io::split(from);
    let (mut other_read, mut other_write) = tokio::io::split(other);
    let there = async {
        let _ = tokio::io::copy(&mut from_read, &mut other_write).await;
        let _ = other_write.shutdown().await;
    };
    let back = async {
        let _ = paced(&mut other_read, &mut from_write, &mut flow).await;
        let _ = from_write.shutdown().await;
    };
    tokio::select! {
        _ = async { tokio::join!(there, back) } => {}
        () = async {
            if closing.wait_for(|f| f.closed).await.is_err() {
                // Nobody can close it any more.
                std::future::pending::<()>().await;
            }
        } => {}
    }
}

/// Copies at most as fast as the flow says, in pieces of a tenth of a second.
async fn paced(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    flow: &mut watch::Receiver<Flow>,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 256 << 10];
    loop {
        let speed = flow.borrow_and_update().bytes_per_second;
        let piece = speed.map_or(buffer.len(), |s| (s / 10).clamp(1, buffer.len() as u64) as usize);
        let read = from.read(&mut buffer[..piece]).await?;
        if read == 0 {
            return Ok(());
        }
        to.write_all(&buffer[..read]).await?;
        if let Some(speed) = speed {
            tokio::time::sleep(Duration::from_secs_f64(read as f64 / speed as f64)).await;
        }
    }
}
