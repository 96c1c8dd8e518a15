//! TCP routes: a connection goes to one target as a whole, and counts as a stream there.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use cutover_core::pin::PinBy;
use cutover_core::spread::address_number;
use cutover_core::table::Balance;
use tokio::io::AsyncWriteExt;

use crate::inbox::Inbox;
use crate::live::group::Wish;
use crate::live::service::LiveService;
use crate::live::target::Claim;
use crate::serve::claim::{NoClaim, Waiter};
use crate::socket::Socket;
use crate::stream::{preamble, tunnel};
use crate::upstream::connect::plain;
use crate::worker::Worker;
use crate::worker::clock::Slot;

/// Serves a connection to its end. There is nobody to explain a refusal to: the connection is closed.
pub async fn serve(
    worker: &Rc<Worker>,
    mut stream: Socket,
    slot: Rc<Slot>,
    peer: Option<SocketAddr>,
    mut service: Arc<LiveService>,
) {
    let mut inbox = Inbox::default();
    let mut tried = Vec::new();
    // Nobody stands between: whoever connects is the client. Cookies and headers there are none.
    let by_address = service.spec.pin.as_ref().filter(|pin| pin.by == PinBy::Address);
    // Who came by a unix socket has no address: it goes where the weights or the load send it.
    let point = by_address.zip(peer).map(|(pin, peer)| pin.point_of(peer.ip()));
    let key = peer.filter(|_| service.spec.balance == Balance::Hash).map(|peer| address_number(peer.ip()));
    let wish = Wish { point, key, sticky: None };
    let shard_of = |service: &LiveService, served: bool| {
        let shard = service.counts.shard(worker.index);
        if served { shard.served() } else { shard.failed() }
    };
    let (claim, mut target) = loop {
        inbox.borrow(&worker.stock);
        let mut waiter = Waiter { worker, stream: &mut stream, inbox: &mut inbox, slot: &slot };
        let claim: Claim = match waiter.claim(&mut service, None, wish, &tried).await {
            Ok(claim) => claim,
            Err(NoClaim::Gone) => return,
            Err(NoClaim::Refused(_) | NoClaim::Exhausted) => return shard_of(&service, false),
        };
        claim.become_stream();
        match plain(claim.target(), service.limits().connect).await {
            Ok(target) => {
                service.counts.shard(worker.index).connected();
                break (claim, target);
            }
            Err(_) => {
                let now = worker.shared.now_ms();
                claim.target().refused(now);
                service.blame(claim.target(), now);
                claim.target().counts.failed.fetch_add(1, Relaxed);
                tried.push(claim.target().serial);
            }
        }
    };
    if let Some(version) = service.spec.trail.preamble {
        let to = stream.tcp().and_then(|tcp| tcp.local_addr().ok()).or(slot.listener().tcp());
        // The socket is new: it has room for so little. If it fails, so does the tunnel.
        let _ = target.write_all(&preamble::header(version, peer, to)).await;
    }
    claim.target().succeeded();
    shard_of(&service, true);
    claim.target().counts.served.fetch_add(1, Relaxed);
    let client = tunnel::End { stream: &mut stream, inbox: &mut inbox };
    let mut unread = Inbox::default();
    let target = tunnel::End { stream: &mut target, inbox: &mut unread };
    let moved = tunnel::run(worker, client, target, claim, &slot, false).await;
    service.counts.shard(worker.index).moved(moved.there, moved.back);
}
