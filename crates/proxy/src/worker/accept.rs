//! Accepting connections.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::clock::Slot;
use super::{Shared, Worker};
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

/// Accepts until it is aborted.
pub async fn accept(worker: Rc<Worker>, listener: TcpListener, address: SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                tokio::task::spawn_local(connection(worker.clone(), stream, peer, address));
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
fn gone_already(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

async fn connection(worker: Rc<Worker>, mut stream: TcpStream, peer: SocketAddr, address: SocketAddr) {
    let _counted = Counted::new(&worker.shared);
    let _ = stream.set_nodelay(true);
    let Some(peer) = client(&worker, &mut stream, peer, address).await else { return };
    worker.counts().accepted();
    let (door, tcp) = worker.table(|table| match table.listener(address) {
        Some(LiveListener { door, traffic: LiveTraffic::Tcp(service), .. }) => (door.clone(), Some(service.clone())),
        Some(LiveListener { door, .. }) => (door.clone(), None),
        None => (None, None),
    });
    let slot = worker.clock.slot(address);
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
    peer: SocketAddr,
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
async fn client(worker: &Worker, stream: &mut TcpStream, peer: SocketAddr, at: SocketAddr) -> Option<SocketAddr> {
    let introduces = worker.table(|table| {
        let introduced = table.spec.introduced.iter().find(|introduced| introduced.listener == at);
        introduced.is_some_and(|introduced| introduced.from.iter().any(|network| network.contains(peer.ip())))
    });
    if !introduces {
        return Some(peer);
    }
    match Box::pin(preamble::read(stream)).await {
        Ok(client) => Some(client.unwrap_or(peer)),
        Err(error) => {
            worker.counts().refused("bad-preamble");
            tracing::debug!(%peer, %error, "a connection does not begin with a header of the PROXY protocol");
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
