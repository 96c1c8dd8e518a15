//! Opening a connection to an instance.

use std::io;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};

use super::wire::Wire;
use crate::live::target::LiveTarget;
use crate::tls::seal::Seal;

/// Connects within the limit, which a handshake shares; zero is no limit.
pub async fn connect(target: &LiveTarget, limit: Duration) -> io::Result<Wire> {
    match &target.seal {
        None => plain(target, limit).await,
        // Apart, so that the future of a request to an instance without TLS stays small.
        Some(seal) => within(limit, Box::pin(secured(target, seal))).await,
    }
}

/// The same without TLS, whatever the instance speaks: for bytes that are passed on as they are.
pub async fn plain(target: &LiveTarget, limit: Duration) -> io::Result<Wire> {
    if let Some(path) = &target.socket {
        return Ok(Wire::Unix(within(limit, UnixStream::connect(path)).await?));
    }
    let stream = within(limit, TcpStream::connect(target.address)).await?;
    stream.set_nodelay(true)?;
    Ok(Wire::Plain(stream))
}

async fn secured(target: &LiveTarget, seal: &Seal) -> io::Result<Wire> {
    let stream = TcpStream::connect(target.address).await?;
    stream.set_nodelay(true)?;
    let secured = seal.greet(stream, target.address, target.protocol).await?;
    Ok(Wire::Tls(Box::new(secured)))
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    if limit.is_zero() {
        return work.await;
    }
    tokio::time::timeout(limit, work).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
