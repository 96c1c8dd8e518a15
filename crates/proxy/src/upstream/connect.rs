//! Opening a connection to an instance.

use std::io;
use std::time::Duration;

use tokio::net::TcpStream;

use crate::live::target::LiveTarget;

/// Connects within the limit; zero is no limit.
pub async fn connect(target: &LiveTarget, limit: Duration) -> io::Result<TcpStream> {
    let connecting = TcpStream::connect(target.address);
    let stream = if limit.is_zero() {
        connecting.await?
    } else {
        tokio::time::timeout(limit, connecting).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}
