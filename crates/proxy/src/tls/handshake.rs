//! From a connection that was just accepted to one that is encrypted.

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{Accepted, Acceptor};
use tokio::net::TcpStream;

use super::door::Door;
use super::self_signed;
use super::stream::{Now, Secured};
use crate::acme::answer::{Answers, PROTOCOL};

/// How long a handshake may take, from the first byte to the last.
pub const LIMIT: Duration = Duration::from_secs(10);

/// The first byte of every TLS connection: a handshake record (RFC 8446, 5.1).
const HANDSHAKE: u8 = 22;

/// A protocol that only cutover's agent offers, beside HTTP: it wants to know who answers behind the listener, also while there is no
/// certificate yet.
pub const LOOKING: &[u8] = b"cutover-look";

/// Who is there.
#[derive(Debug)]
pub enum Greeted {
    /// A client, by TLS.
    Secured(Box<Secured>),
    /// Somebody who talks as if there were no TLS here, and was not answered yet.
    InTheClear(TcpStream),
    /// Nobody any more.
    Gone,
}

/// What is spoken after a handshake.
enum Then {
    /// What the listener is for.
    Serve(Arc<ServerConfig>),
    /// Nothing: the handshake was the answer.
    Close(Arc<ServerConfig>),
}

/// Makes the handshake. The caller limits its time.
pub async fn greet(door: &Door, answers: &Answers, tcp: TcpStream) -> Greeted {
    let hello = match hello(&tcp).await {
        Ok(Some(hello)) => hello,
        Ok(None) => return Greeted::InTheClear(tcp),
        Err(error) => return failed(&error),
    };
    let (config, serves) = match choose(door, answers, &hello.accepted).await {
        Some(Then::Serve(config)) => (config, true),
        Some(Then::Close(config)) => (config, false),
        None => return failed(&"there is no certificate to show"),
    };
    match hello.accepted.into_connection(config) {
        Ok(tls) => {
            let secured = Secured::new(tcp, tls, hello.unfed);
            match poll_fn(|cx| secured.poll_handshake(cx)).await {
                Ok(()) if serves => Greeted::Secured(Box::new(secured)),
                Ok(()) => Greeted::Gone,
                Err(error) => failed(&error),
            }
        }
        Err((error, mut alert)) => {
            let _ = alert.write_all(&mut Now(&tcp));
            failed(&error)
        }
    }
}

/// Which certificate is shown. An authority that wants to know whether a name is ours offers nothing but its own protocol.
async fn choose(door: &Door, answers: &Answers, accepted: &Accepted) -> Option<Then> {
    let greeting = accepted.client_hello();
    let name = greeting.server_name();
    let mut offered = greeting.alpn().into_iter().flatten();
    if offered.next() == Some(PROTOCOL) && offered.next().is_none() {
        let answer = answers.for_name(name?).await?;
        return self_signed::proof(name?, &answer).map(Then::Close);
    }
    let looks = || greeting.alpn().is_some_and(|mut offered| offered.any(|protocol| protocol == LOOKING));
    door.choose(name).or_else(|| self_signed::blank().filter(|_| looks())).map(Then::Serve)
}

/// Clients come and go, and scanners never stop: nothing of this is worth a line by default.
fn failed(why: &dyn std::fmt::Display) -> Greeted {
    tracing::debug!(%why, "a TLS handshake failed");
    Greeted::Gone
}

/// A client's first message, and what came behind it.
struct Hello {
    accepted: Accepted,
    unfed: Vec<u8>,
}

/// Reads the first message. None if it is not TLS.
async fn hello(tcp: &TcpStream) -> io::Result<Option<Hello>> {
    let (mut acceptor, mut buffer, mut began) = (Acceptor::default(), vec![0; 4 << 10], false);
    loop {
        tcp.readable().await?;
        let count = match tcp.try_read(&mut buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        if !std::mem::replace(&mut began, true) && buffer[0] != HANDSHAKE {
            return Ok(None);
        }
        let mut bytes = &buffer[..count];
        while !bytes.is_empty() {
            acceptor.read_tls(&mut bytes)?;
            match acceptor.accept() {
                Ok(Some(accepted)) => return Ok(Some(Hello { accepted, unfed: bytes.to_vec() })),
                Ok(None) => {}
                Err((error, mut alert)) => {
                    let _ = alert.write_all(&mut Now(tcp));
                    return Err(io::Error::new(io::ErrorKind::InvalidData, error));
                }
            }
        }
    }
}
