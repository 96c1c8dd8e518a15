//! HTTP/1.1 by TLS: on a connection that is kept, on new ones with a full handshake, and on new ones that resume.

use std::io::{Error, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use super::http::{answer, open, request};
use super::{Latencies, again};
use crate::bench::backend::MESSAGE;
use crate::bench::site::{HOST, Site};

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// What a client believes that trusts the certificate of this bench. It resumes nothing.
pub fn trusting(site: &Site) -> Result<ClientConfig, Error> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(&site.certificate).map_err(Error::other)?;
    roots.add(certificate).map_err(Error::other)?;
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Asks on one connection.
pub fn kept(address: SocketAddr, config: &ClientConfig, stop: &AtomicBool) -> Result<Latencies, Error> {
    let mut stream = secured(address, &Arc::new(config.clone()))?;
    let (request, mut buffer) = (request(HOST, MESSAGE, ""), vec![0; 16 << 10]);
    again(stop, || {
        stream.write_all(request.as_bytes())?;
        answer(&mut stream, &mut buffer, MESSAGE)
    })
}

/// Asks on a new connection each time, each with a full handshake.
pub fn full(address: SocketAddr, config: &ClientConfig, stop: &AtomicBool) -> Result<Latencies, Error> {
    let config = Arc::new(config.clone());
    again(stop, || once(address, &config).and_then(|kind| expect(kind, HandshakeKind::Full)))
}

/// Asks on a new connection each time, each of which goes on from the one before.
pub fn resumed(address: SocketAddr, config: &ClientConfig, stop: &AtomicBool) -> Result<Latencies, Error> {
    let mut config = config.clone();
    config.resumption = Resumption::in_memory_sessions(32);
    let config = Arc::new(config);
    once(address, &config)?;
    again(stop, || once(address, &config).and_then(|kind| expect(kind, HandshakeKind::Resumed)))
}

fn expect(kind: HandshakeKind, wanted: HandshakeKind) -> Result<(), Error> {
    if kind == wanted { Ok(()) } else { Err(Error::other(format!("the handshake was {kind:?}"))) }
}

fn secured(address: SocketAddr, config: &Arc<ClientConfig>) -> Result<Stream, Error> {
    let name = ServerName::try_from(HOST).map_err(Error::other)?;
    let session = ClientConnection::new(Arc::clone(config), name).map_err(Error::other)?;
    Ok(StreamOwned::new(session, open(address)?))
}

fn once(address: SocketAddr, config: &Arc<ClientConfig>) -> Result<HandshakeKind, Error> {
    let mut stream = secured(address, config)?;
    stream.write_all(request(HOST, MESSAGE, "").as_bytes())?;
    answer(&mut stream, &mut [0; 4 << 10], MESSAGE)?;
    stream.conn.send_close_notify();
    stream.flush()?;
    stream.conn.handshake_kind().ok_or_else(|| Error::other("there was no handshake"))
}
