//! Connections to an instance.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;

/// Connects. The caller sets the limit.
pub async fn connect(address: SocketAddr) -> Result<TcpStream, String> {
    TcpStream::connect(address).await.map_err(|error| told(&error))
}

/// An I/O error as a fragment, without the system's number.
pub fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the connection was reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "the connection was closed before an answer came".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}
