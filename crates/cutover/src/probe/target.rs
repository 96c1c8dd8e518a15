//! Connections to an instance, in TLS if that is what it speaks.

use std::io;
use std::net::SocketAddr;

use cutover_core::table::Protocol;
use cutover_core::tls::InstanceTls;
use cutover_proxy::tls::{Terms, failed_with_instance};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::{TlsConnector, rustls};

use crate::engine::port::ProbeTarget;

/// What can be read and written.
pub trait Both: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Both for T {}

/// Connects. The caller sets the limit.
pub async fn connect(at: &ProbeTarget) -> Result<Box<dyn Both>, String> {
    let connected = match &at.socket {
        Some(path) => UnixStream::connect(path).await.map(|unix| Box::new(unix) as Box<dyn Both>),
        None => TcpStream::connect(at.address).await.map(|tcp| Box::new(tcp) as Box<dyn Both>),
    };
    connected.map_err(|error| told(&error))
}

/// Connects to speak this, in TLS if the instance speaks it. The caller sets the limit.
pub async fn speak(at: &ProbeTarget, protocol: Protocol) -> Result<Box<dyn Both>, String> {
    let stream = connect(at).await?;
    match &at.tls {
        None => Ok(stream),
        Some(tls) => secured(stream, tls, at.address, protocol).await,
    }
}

/// The files are read for each look: they may have changed since the last, and nobody looks often.
async fn secured(
    stream: Box<dyn Both>,
    tls: &InstanceTls,
    address: SocketAddr,
    protocol: Protocol,
) -> Result<Box<dyn Both>, String> {
    let spec = tls.clone();
    let terms = tokio::task::spawn_blocking(move || Terms::read(&spec)).await;
    let terms = terms.map_err(|error| error.to_string())?.map_err(|error| without_tls(&error))?;
    let connector = TlsConnector::from(terms.config(protocol));
    let shaken = connector.connect(terms.name(address), stream).await;
    Ok(Box::new(shaken.map_err(|error| without_tls(&failed_with_instance(&error, tls, address)))?))
}

fn without_tls(why: &dyn std::fmt::Display) -> String {
    format!("no TLS with the instance: {why}")
}

/// An I/O error as a fragment, without the system's number.
pub fn told(error: &io::Error) -> String {
    // In TLS 1.3 an instance looks at our certificate when our side of the handshake is over.
    if let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return without_tls(error);
    }
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such socket yet".to_owned(),
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "the connection was reset".to_owned(),
        io::ErrorKind::UnexpectedEof => "the connection was closed before an answer came".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}
