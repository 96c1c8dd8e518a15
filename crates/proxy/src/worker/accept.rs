//! Accepting connections.
//!
//! **A connection that came by a unix socket is a `TcpStream` as well,** though there is no TCP: it is read, written, peeked at and shut down by
//! the same calls, and those are all that a `TcpStream` makes. So it takes the way of all others, with TLS and the PROXY protocol, and
//! costs them nothing. What is asked of TCP alone (no delay, keepalive, a reset at the end, addresses) is refused by the kernel or does
//! nothing, and every caller can do without. Its client has no address, which is all that the rest has to know.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream as StdStream};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cutover_core::listen::ListenAddress;
use tokio::net::{TcpListener, TcpStream, UnixListener};

use super::clock::Slot;
use super::{Shared, Worker};
use crate::bind::Bound;
use crate::live::table::{LiveListener, LiveTraffic};
use crate::serve::connection::{Client, guarded};
use crate::serve::refuse::Refusal;
use crate::socket::Socket;
use crate::stream::preamble;
use crate::tls::door::Door;
use crate::tls::handshake::{self, Greeted};
use crate::tls::stream::Secured;
use crate::{http2, serve, tcp};

/// How long accepting rests when the process is out of descriptors or memory.
const REST: Duration = Duration::from_millis(50);

/// Where connections come in, in one worker.
#[derive(Debug)]
pub enum Entrance {
    /// By TCP.
    Tcp(TcpListener),
    /// By a unix socket.
    Unix(UnixListener),
}

impl Entrance {
    /// For the runtime of this thread.
    pub fn new(bound: Bound) -> io::Result<Self> {
        match bound {
            Bound::Tcp(listener) => TcpListener::from_std(listener).map(Self::Tcp),
            Bound::Unix(listener) => UnixListener::from_std(listener).map(Self::Unix),
        }
    }

    /// The next connection, and the address of its other end, if it has one.
    async fn accept(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let _ = stream.set_nodelay(true);
                Ok((stream, Some(peer)))
            }
            Self::Unix(listener) => {
                let socket = OwnedFd::from(listener.accept().await?.0.into_std()?);
                Ok((TcpStream::from_std(StdStream::from(socket))?, None))
            }
        }
    }
}

/// Accepts until it is aborted.
pub async fn accept(worker: Rc<Worker>, entrance: Entrance, address: ListenAddress) {
    loop {
        match entrance.accept().await {
            Ok((stream, peer)) => {
                tokio::task::spawn_local(connection(worker.clone(), stream, peer, address.clone()));
                // The other workers were woken too: let them have the next one.
                tokio::task::yield_now().await;
            }
            Err(error) if gone_already(&error) => {}
            Err(error) => {
                tracing::warn!(%address, %error, "cannot accept; trying again");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Errors of the connection that was to be accepted, not of the listener (accept(2)).
fn gone_already(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

async fn connection(worker: Rc<Worker>, mut stream: TcpStream, peer: Option<SocketAddr>, address: ListenAddress) {
    let _counted = Counted::new(&worker.shared);
    let Some(peer) = client(&worker, &mut stream, peer, &address).await else { return };
    worker.counts().accepted();
    let (door, tcp) = worker.table(|table| match table.listener(&address) {
        Some(LiveListener { door, traffic: LiveTraffic::Tcp(service), .. }) => (door.clone(), Some(service.clone())),
        Some(LiveListener { door, .. }) => (door.clone(), None),
        None => (None, None),
    });
    let slot = worker.clock.slot(&address);
    let socket = match door {
        None => Socket::Plain(stream),
        Some(door) => match Box::pin(secure(&worker, &door, stream, &slot, peer)).await {
            Some(secured) => Socket::Tls(secured),
            None => return,
        },
    };
    if let Socket::Tls(tls) = &socket
        && tls.speaks(b"h2")
    {
        // Boxed, here and below, so that a plain connection does not carry the room for it.
        return Box::pin(http2::connection::serve(&worker, socket, true, slot, peer)).await;
    }
    match tcp {
        Some(service) => Box::pin(tcp::serve(&worker, socket, slot, peer, service)).await,
        None => serve::connection::serve(&worker, socket, slot, peer).await,
    }
}

/// Makes the handshake in time. Somebody who speaks HTTP without TLS is told so.
async fn secure(
    worker: &Rc<Worker>,
    door: &Door,
    stream: TcpStream,
    slot: &Rc<Slot>,
    peer: Option<SocketAddr>,
) -> Option<Box<Secured>> {
    slot.within(worker.shared.now_ms(), handshake::LIMIT);
    match guarded(slot, handshake::greet(door, &worker.shared.answers, stream)).await {
        Ok(Greeted::Secured(secured)) => Some(secured),
        Ok(Greeted::InTheClear(stream)) => {
            let client = Client::new(worker, Socket::Plain(stream), slot.clone(), peer);
            client.turn_away(&Refusal::not_encrypted()).await;
            None
        }
        Ok(Greeted::Gone) | Err(_) => None,
    }
}

/// Who the client is: the peer, unless that is one who introduces others. None if it does not do that well.
async fn client(
    worker: &Worker,
    stream: &mut TcpStream,
    peer: Option<SocketAddr>,
    at: &ListenAddress,
) -> Option<Option<SocketAddr>> {
    let introduces = worker.table(|table| {
        let introduced = table.spec.introduced.iter().find(|introduced| introduced.listener == *at);
        let ip: Option<IpAddr> = peer.map(|peer| peer.ip());
        introduced.is_some_and(|introduced| introduced.from.iter().any(|known| known.is(ip)))
    });
    if !introduces {
        return Some(peer);
    }
    match Box::pin(preamble::read(stream)).await {
        Ok(client) => Some(client.or(peer)),
        Err(error) => {
            worker.counts().refused("bad-preamble");
            tracing::debug!(?peer, %error, "a connection does not begin with a header of the PROXY protocol");
            None
        }
    }
}

/// Counts a connection while it lives.
struct Counted<'a>(&'a Shared);

impl<'a> Counted<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.connections.fetch_add(1, Relaxed);
        Self(shared)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand of them are waiting for their next request. Seen to fail with each of the boxes in [`connection`], [`client`] and
    /// [`serve::connection::serve`] taken away.
    #[test]
    fn a_connection_that_says_nothing_is_small() {
        assert!(size(connection) <= 896, "{}", size(connection));
    }
}
