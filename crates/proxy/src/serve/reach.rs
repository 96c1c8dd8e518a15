//! A way to the claimed instance: a connection of its own, or a stream of one that others share.

use std::sync::atomic::Ordering::Relaxed;

use cutover_core::table::Protocol;

use super::answer::Broken;
use super::exchange::{Exchange, Outcome};
use super::progress::Progress;
use super::refuse::Refusal;
use crate::inbox::Inbox;
use crate::live::target::Claim;
use crate::stream::tunnel;
use crate::tls::seal::is_no_handshake;
use crate::upstream::connect::connect;
use crate::upstream::http2::call::Call;
use crate::upstream::http2::message;
use crate::upstream::link::Link;
use crate::upstream::wire::Wire;

/// A way to an instance.
#[derive(Debug)]
pub struct Upstream {
    /// The way.
    pub link: Link,
    /// What the instance sent and nobody used yet.
    pub inbox: Inbox,
    /// Whether it was used before.
    pub reused: bool,
}

/// Why there is none.
#[derive(Debug)]
pub enum NoWay {
    /// No connection came about: another instance may be asked.
    Unreachable(std::io::Error),
    /// The request cannot be sent to an instance like this.
    Unfit(Refusal),
}

/// An instance that could not be reached, for people.
#[derive(Debug, Default)]
pub struct NotReached {
    /// Which one, where and why.
    pub what: String,
    /// Whether a connection came about, and no TLS on it.
    pub by_tls: bool,
}

impl From<std::io::Error> for NoWay {
    fn from(error: std::io::Error) -> Self {
        Self::Unreachable(error)
    }
}

impl Exchange<'_> {
    /// A way to the claimed target: one that is there, unless this is the second attempt.
    pub(super) async fn upstream(&mut self, claim: &Claim, fresh: bool) -> Result<Upstream, NoWay> {
        if claim.target().protocol != Protocol::Http1 {
            // Apart, so that the future of a request by HTTP/1.1 stays small.
            return Box::pin(self.call(claim)).await;
        }
        let worker = &self.client.worker;
        let target = claim.target();
        let now = worker.shared.now_ms();
        // What may be repeated need not be certain; for the rest the kernel is asked, which narrows the race further.
        let idle = if fresh { None } else { worker.pool.take(target, now, !self.ask.idempotent) };
        let reused = idle.is_some();
        let wire = match idle {
            Some(wire) => wire,
            None => {
                let wire = connect(target, self.service.limits().connect).await?;
                self.service.counts.shard(worker.index).connected();
                wire
            }
        };
        Ok(self.by(Link::Wire(wire), reused))
    }

    /// A stream to the claimed target. One that was refused went to a connection that takes none any more, so that the next finds another.
    async fn call(&mut self, claim: &Claim) -> Result<Upstream, NoWay> {
        let (worker, limits) = (&self.client.worker, self.service.limits());
        if self.ask.upgrade {
            return Err(NoWay::Unfit(Refusal::no_upgrade(&claim.target().instance)));
        }
        let message = message::request(&self.scratch.sent, claim.target().seal.is_some());
        let message = message.map_err(|why| NoWay::Unfit(Refusal::bad_request(400, why)))?;
        let certain = !self.ask.idempotent;
        let placed = worker.trunks.place(claim.target(), limits.connect, limits.keep_idle, certain).await?;
        if !placed.reused {
            self.service.counts.shard(worker.index).connected();
        }
        let call = Call::new(placed.place, message, self.ask.bodiless);
        Ok(self.by(Link::Call(Box::new(call)), placed.reused))
    }

    fn by(&self, link: Link, reused: bool) -> Upstream {
        let mut inbox = Inbox::default();
        inbox.borrow(&self.client.worker.stock);
        Upstream { link, inbox, reused }
    }

    /// Remembers that a target refused a connection, counted once per request; says so for people. Why there is no TLS is a matter of files
    /// that somebody has to put right, so the log tells it too.
    pub(super) fn not_reached(&self, claim: &Claim, error: &std::io::Error, first: bool) -> NotReached {
        let target = claim.target();
        let now = self.client.worker.shared.now_ms();
        target.refused(now);
        self.service.blame(target, now);
        target.counts.failed.fetch_add(u64::from(first && self.ask.is_traffic()), Relaxed);
        let what = format!("{} at {}: {error}", target.instance, target.place());
        let by_tls = is_no_handshake(error);
        if by_tls && target.seal.as_ref().is_some_and(|seal| seal.is_to_be_told(now)) {
            tracing::warn!("{what}");
        }
        NotReached { what, by_tls }
    }
}

impl Upstream {
    /// As the end of a tunnel, if it can be one.
    pub fn end(&mut self) -> Option<tunnel::End<'_, Wire>> {
        match &mut self.link {
            Link::Wire(wire) => Some(tunnel::End { stream: wire, inbox: &mut self.inbox }),
            Link::Call(_) => None,
        }
    }

    /// Why there is no TLS after all, if the instance says so in place of an answer: then nothing of the request was looked at, and another
    /// may be asked, unless a part of the body is gone.
    pub(super) fn undone(&self, claim: &Claim, outcome: &Outcome, progress: &Progress) -> Option<std::io::Error> {
        let Link::Wire(Wire::Tls(secured)) = &self.link else { return None };
        let silent = matches!(outcome, Outcome::Broken(Broken::Silent)) && !self.reused && !progress.consumed.get();
        let target = claim.target();
        target.seal.as_ref().filter(|_| silent)?.undone(secured, target.address)
    }
}
