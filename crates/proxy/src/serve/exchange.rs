//! One request with its answer: claim, connect, send and relay; once more if that is safe.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;

use tokio::net::TcpStream;

use super::answer::{self, Answered, Broken, Relay};
use super::claim::{NoClaim, Preview, Waiter};
use super::connection::{Client, Next};
use super::progress::{Phase, Progress, Waiting};
use super::refuse::Refusal;
use super::request::Ask;
use super::retry;
use super::upload::{Upload, UploadEnd};
use crate::http::body::Body;
use crate::inbox::Inbox;
use crate::live::service::LiveService;
use crate::live::target::{Claim, LiveTarget};
use crate::stream::tunnel;
use crate::upstream::connect::connect;
use crate::worker::clock::{Signal, Slot};
use crate::worker::stock::Scratch;

/// How long a client may take nothing of an answer before it is given up, in milliseconds.
const STALL_MS: u64 = 60_000;

/// A request that is ready to be sent.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// Whose it is.
    pub client: &'a mut Client,
    /// Its buffers; `sent` holds the head, and the body as far as it is buffered.
    pub scratch: &'a mut Scratch,
    /// Where it goes.
    pub service: Arc<LiveService>,
    /// What it wants.
    pub ask: Ask,
    /// The rest of its body.
    pub body: Body,
    /// When its head was whole.
    pub began_us: u64,
    /// Who was asked last, and since when, in microseconds. Noted only for the access log.
    pub chosen: Option<(Arc<LiveTarget>, u64)>,
}

/// A connection to an instance.
#[derive(Debug)]
pub struct Upstream {
    /// The socket.
    pub stream: TcpStream,
    /// What the instance sent and nobody used yet.
    pub inbox: Inbox,
    reused: bool,
}

/// How an attempt ended.
#[derive(Debug)]
pub enum Outcome {
    /// The answer was relayed.
    Answered(Answered),
    /// There was none, or it broke off.
    Broken(Broken),
    /// Something is wrong with the way there.
    Upload(UploadEnd),
    /// A limit passed before the answer began.
    Late,
    /// The stream is to end.
    Ordered,
}

impl Exchange<'_> {
    /// Sends the request, relays the answer, and tells of it.
    pub async fn run(mut self) -> Next {
        let next = self.send().await;
        self.over();
        next
    }

    async fn send(&mut self) -> Next {
        let worker = self.client.worker.clone();
        let counts = self.service.counts.clone();
        let gap = if self.ask.is_traffic() { &counts.gap } else { &counts.preview_gap };
        let waiting = Waiting::new(gap, &worker.shared);
        waiting.begin(self.began_us);
        let (mut tried, mut again, mut last, mut paused) = (Vec::new(), false, String::new(), false);
        let named = matches!(self.ask.preview, Some(Preview::Named(_)));
        loop {
            let claim = match self.claim(&mut tried, &mut paused).await {
                Ok(claim) => self.note(claim),
                Err(NoClaim::Gone) => return Next::Drop,
                Err(NoClaim::Refused(refusal)) => return self.failed(refusal).await,
                Err(NoClaim::Exhausted) => {
                    let refusal = Refusal::unreachable(&self.service.spec.name, &last);
                    return self.failed(refusal).await;
                }
            };
            let mut upstream = match self.upstream(&claim, again).await {
                Ok(upstream) => upstream,
                Err(error) => {
                    last = self.not_reached(&claim, &error, !paused);
                    tried.push(claim.target().serial);
                    self.client.record.again();
                    if named {
                        drop(claim);
                        let refusal = Refusal::unreachable(&self.service.spec.name, &last);
                        return self.failed(refusal).await;
                    }
                    continue;
                }
            };
            let progress = Progress::default();
            let outcome = self.attempt(&claim, &mut upstream, &progress, &waiting).await;
            self.client.slot.stream_of(0);
            if matches!(outcome, Outcome::Broken(Broken::Silent))
                && retry::allowed(upstream.reused, again, self.ask.idempotent, &progress)
            {
                again = true;
                counts.shard(worker.index).retried();
                self.client.record.again();
                continue;
            }
            return self.settle(outcome, claim, upstream, &progress).await;
        }
    }

    /// Claims a target that was not tried. When all were, waits a moment and begins anew, as long as that makes sense.
    async fn claim(&mut self, tried: &mut Vec<u64>, paused: &mut bool) -> Result<Claim, NoClaim> {
        loop {
            let patient = self.is_patient();
            let Client { worker, stream, inbox, slot, .. } = &mut *self.client;
            let mut waiter = Waiter { worker, stream, inbox, slot };
            match waiter.claim(&mut self.service, self.ask.preview.as_ref(), self.ask.pinned.wish, tried).await {
                Err(NoClaim::Exhausted) if patient => waiter.pause(&mut self.service).await?,
                other => return other,
            }
            tried.clear();
            *paused = true;
        }
    }

    /// Whether the time in which a connection must come about is not over yet. Until then a refusal is not an answer: the
    /// instance may be about to come back, or another about to take its place.
    fn is_patient(&self) -> bool {
        let waited = self.client.worker.shared.now_us().saturating_sub(self.began_us);
        u128::from(waited) < self.service.limits().connect.as_micros()
    }

    /// Remembers that a target refused a connection, counted once per request; says so for people.
    fn not_reached(&self, claim: &Claim, error: &std::io::Error, first: bool) -> String {
        let target = claim.target();
        let now = self.client.worker.shared.now_ms();
        target.refused(now);
        self.service.blame(target, now);
        target.counts.failed.fetch_add(u64::from(first && self.ask.is_traffic()), Relaxed);
        format!("{} at {}: {error}", target.instance, target.address)
    }

    /// A connection to the claimed target: an idle one, unless this is the second attempt.
    async fn upstream(&mut self, claim: &Claim, fresh: bool) -> std::io::Result<Upstream> {
        let worker = &self.client.worker;
        let target = claim.target();
        let now = worker.shared.now_ms();
        // What may be repeated need not be certain; for the rest the kernel is asked, which narrows the race further.
        let idle = if fresh { None } else { worker.pool.take(target, now, !self.ask.idempotent) };
        let reused = idle.is_some();
        let stream = match idle {
            Some(stream) => stream,
            None => {
                let stream = connect(target, self.service.limits().connect).await?;
                self.service.counts.shard(worker.index).connected();
                stream
            }
        };
        let mut inbox = Inbox::default();
        inbox.borrow(&worker.stock);
        Ok(Upstream { stream, inbox, reused })
    }

    /// Sends and relays at once, watches the deadline, and looks whether the client leaves.
    async fn attempt(
        &mut self,
        claim: &Claim,
        upstream: &mut Upstream,
        progress: &Progress,
        waiting: &Waiting<'_>,
    ) -> Outcome {
        let Client { worker, stream, inbox, slot, record, .. } = &mut *self.client;
        let Scratch { response, sent, out, .. } = &mut *self.scratch;
        let (shared, limits) = (&*worker.shared, self.service.limits());
        let upload = Upload {
            sent,
            body: &mut self.body,
            inbox,
            max_body: limits.max_body.0,
            answer: limits.answer,
            pause: limits.body_pause,
            last: !self.ask.keep,
            slot,
            shared,
            progress,
            waiting,
        };
        let shard = self.service.counts.shard(worker.index);
        let (ask, began_us, rules) = (&self.ask, self.began_us, self.service.rules.as_deref());
        let relay = Relay { ask, rules, claim, shard, began_us, slot, shared, progress, waiting, record };
        let (mut client_read, mut client_write) = stream.split();
        let (mut target_read, mut target_write) = upstream.stream.split();
        let mut there = pin!(upload.run(&mut client_read, &mut target_write));
        let mut back = pin!(relay.run(&mut target_read, &mut upstream.inbox, &mut client_write, response, out));
        let mut sending = true;
        poll_fn(|cx| {
            if sending && let Poll::Ready(end) = there.as_mut().poll(cx) {
                match end {
                    UploadEnd::Refused => sending = false,
                    end => return Poll::Ready(Outcome::Upload(end)),
                }
            }
            if let Poll::Ready(result) = back.as_mut().poll(cx) {
                return Poll::Ready(result.map_or_else(Outcome::Broken, Outcome::Answered));
            }
            while let Some(signal) = slot.poll(cx) {
                if let Some(outcome) = signalled(signal, claim, slot, shared.now_ms(), progress) {
                    return Poll::Ready(outcome);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// What a signal means for an exchange; none if it goes on.
fn signalled(signal: Signal, claim: &Claim, slot: &Slot, now: u64, progress: &Progress) -> Option<Outcome> {
    match (signal, progress.phase.get()) {
        (Signal::Close, _) => Some(Outcome::Ordered),
        (Signal::Late, Phase::Sending | Phase::Waiting) => Some(Outcome::Late),
        (Signal::Late, Phase::Answering) => {
            claim.become_stream();
            slot.stream_of(claim.target().serial);
            slot.within(now, answer::LONG);
            let since = progress.stalled_since.get();
            (since != 0 && since + STALL_MS <= now).then_some(Outcome::Broken(Broken::ClientLeft))
        }
    }
}

impl Upstream {
    /// As the end of a tunnel.
    pub fn end(&mut self) -> tunnel::End<'_, TcpStream> {
        tunnel::End { stream: &mut self.stream, inbox: &mut self.inbox }
    }
}
