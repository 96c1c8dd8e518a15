//! One request with its answer: claim, connect, send and relay; once more if that is safe.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use super::answer::{self, Answered, Broken, Relay};
use super::claim::{NoClaim, Preview, Waiter};
use super::connection::{Client, Next};
use super::patience::Patience;
use super::progress::{Phase, Progress, Waiting};
use super::reach::{NoWay, NotReached, Upstream};
use super::refuse::Refusal;
use super::request::Ask;
use super::retry;
use super::upload::{Upload, UploadEnd};
use crate::http::body::Body;
use crate::live::service::LiveService;
use crate::live::target::{Claim, LiveTarget};
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
    /// Who was asked last, and since when, in microseconds. Noted only if an access log or a span will tell of it.
    pub chosen: Option<(Arc<LiveTarget>, u64)>,
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
        let (mut tried, mut again, mut last, mut paused) = (Vec::new(), false, NotReached::default(), false);
        let mut refusals = 0;
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
            let unreached = match self.upstream(&claim, again).await {
                Ok(mut upstream) => {
                    let progress = Progress::default();
                    let outcome = self.attempt(&claim, &mut upstream, &progress, &waiting).await;
                    self.client.slot.stream_of(0);
                    match upstream.undone(&claim, &outcome, &progress) {
                        Some(error) => error,
                        None if self.may_repeat(&outcome, &upstream, &progress, again, refusals) => {
                            (again, refusals) = (true, refusals + 1);
                            counts.shard(worker.index).retried();
                            self.client.record.again();
                            continue;
                        }
                        None => return self.settle(outcome, claim, upstream, &progress).await,
                    }
                }
                Err(NoWay::Unfit(refusal)) => {
                    drop(claim);
                    return self.client.refuse(&self.service.dress(refusal), false).await;
                }
                Err(NoWay::Unreachable(error)) => error,
            };
            last = self.not_reached(&claim, &unreached, !paused);
            tried.push(claim.target().serial);
            self.client.record.again();
            if named {
                drop(claim);
                let refusal = Refusal::unreachable(&self.service.spec.name, &last);
                return self.failed(refusal).await;
            }
        }
    }

    /// Whether a request that got no answer may be sent once more.
    fn may_repeat(
        &self,
        outcome: &Outcome,
        upstream: &Upstream,
        progress: &Progress,
        again: bool,
        refusals: u32,
    ) -> bool {
        if upstream.link.is_writing() {
            progress.written.set(true);
        }
        matches!(outcome, Outcome::Broken(Broken::Silent))
            && (retry::allowed(upstream.reused, again, self.ask.idempotent, progress)
                || retry::refused(upstream.link.broken(), refusals, progress))
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
        let (shared, stock, limits) = (&*worker.shared, &worker.stock, self.service.limits());
        let patience = Patience::of(&self.ask, limits);
        let upload = Upload {
            sent,
            body: &mut self.body,
            inbox,
            max_body: if self.ask.call.is_some() { u64::MAX } else { limits.max_body.0 },
            patience,
            last: !self.ask.keep,
            slot,
            shared,
            stock,
            progress,
            waiting,
        };
        let shard = self.service.counts.shard(worker.index);
        let (ask, began_us, rules) = (&self.ask, self.began_us, self.service.rules.as_deref());
        let relay = Relay { ask, rules, claim, shard, began_us, slot, shared, stock, progress, waiting, record };
        let stream_of_client = stream.stream().cloned();
        let (mut client_read, mut client_write) = stream.split();
        let (mut target_read, mut target_write) = upstream.link.split();
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
            // Also while the instance takes nothing, so that nobody looks whether more comes.
            if let Some(stream) = &stream_of_client
                && stream.poll_given_up(cx).is_ready()
            {
                return Poll::Ready(Outcome::Upload(UploadEnd::ClientLeft));
            }
            while let Some(signal) = slot.poll(cx) {
                if let Some(outcome) = signalled(signal, claim, slot, shared.now_ms(), progress, patience) {
                    return Poll::Ready(outcome);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// What a signal means for an exchange; none if it goes on.
fn signalled(
    signal: Signal,
    claim: &Claim,
    slot: &Slot,
    now: u64,
    progress: &Progress,
    patience: Patience,
) -> Option<Outcome> {
    match (signal, progress.phase.get()) {
        (Signal::Close, _) => Some(Outcome::Ordered),
        (Signal::Late, Phase::Sending | Phase::Waiting) if patience.lasts(now, progress) => {
            claim.become_stream();
            slot.stream_of(claim.target().serial);
            patience.arm(slot, now, progress);
            None
        }
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
