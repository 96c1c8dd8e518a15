//! One request with its answer: claim, connect, send and relay; once more if that is safe.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
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
use crate::live::target::Claim;
use crate::stream::tunnel;
use crate::upstream::connect::connect;
use crate::worker::clock::Signal;
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
}

/// A connection to an instance.
#[derive(Debug)]
struct Upstream {
    stream: TcpStream,
    inbox: Inbox,
    reused: bool,
}

/// How an attempt ended.
#[derive(Debug)]
enum Outcome {
    Answered(Answered),
    Broken(Broken),
    Upload(UploadEnd),
    /// A limit passed before the answer began.
    Late,
    /// The stream is to end.
    Ordered,
}

impl Exchange<'_> {
    /// Sends the request and relays the answer.
    pub async fn run(mut self) -> Next {
        let worker = self.client.worker.clone();
        let counts = self.service.counts.clone();
        let waiting = Waiting::new(&counts.gap, &worker.shared);
        waiting.begin(self.began_us);
        let (mut tried, mut again, mut last) = (Vec::new(), false, String::new());
        loop {
            let claim = match self.claim(&tried).await {
                Ok(claim) => claim,
                Err(NoClaim::Gone) => return Next::Drop,
                Err(NoClaim::Refused(refusal)) => return self.failed(&refusal).await,
                Err(NoClaim::Exhausted) => {
                    let refusal = Refusal::unreachable(&self.service.spec.name, &last);
                    return self.failed(&refusal).await;
                }
            };
            let mut upstream = match self.upstream(&claim, again).await {
                Ok(upstream) => upstream,
                Err(error) => {
                    let target = claim.target();
                    target.refused(worker.shared.now_ms());
                    target.counts.failed.fetch_add(1, Relaxed);
                    last = format!("{} at {}: {error}", target.instance, target.address);
                    if self.ask.preview.is_some() {
                        let refusal = Refusal::unreachable(&self.service.spec.name, &last);
                        return self.failed(&refusal).await;
                    }
                    tried.push(target.serial);
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
                continue;
            }
            return self.end(outcome, claim, upstream, &progress).await;
        }
    }

    async fn claim(&mut self, tried: &[u64]) -> Result<Claim, NoClaim> {
        let Client { worker, stream, inbox, slot, .. } = &mut *self.client;
        let mut waiter = Waiter { worker, stream, inbox, slot };
        waiter.claim(&mut self.service, self.ask.preview.as_ref(), tried).await
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
            None => connect(target, self.service.limits().connect).await?,
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
        let Client { worker, stream, inbox, slot, .. } = &mut *self.client;
        let Scratch { response, sent, out, .. } = &mut *self.scratch;
        let (shared, limits) = (&*worker.shared, self.service.limits());
        let upload = Upload {
            sent,
            body: &mut self.body,
            inbox,
            max_body: limits.max_body.0,
            answer: limits.answer,
            last: !self.ask.keep,
            slot,
            shared,
            progress,
            waiting,
        };
        let shard = self.service.counts.shard(worker.index);
        let relay = Relay { ask: &self.ask, claim, shard, began_us: self.began_us, slot, shared, progress, waiting };
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
                match (signal, progress.phase.get()) {
                    (Signal::Late, Phase::Answering) => {
                        claim.become_stream();
                        slot.stream_of(claim.target().serial);
                        let now = shared.now_ms();
                        let stalled = progress.stalled_since.get();
                        if stalled != 0 && stalled + STALL_MS <= now {
                            return Poll::Ready(Outcome::Broken(Broken::ClientLeft));
                        }
                        slot.within(now, answer::LONG);
                    }
                    (Signal::Late, _) => return Poll::Ready(Outcome::Late),
                    (Signal::Close, _) => return Poll::Ready(Outcome::Ordered),
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Counts, answers if there was no answer, and puts things back.
    async fn end(self, outcome: Outcome, claim: Claim, mut upstream: Upstream, progress: &Progress) -> Next {
        let target = claim.target().clone();
        let (instance, limits) = (&target.instance, self.service.limits().clone());
        let answering = progress.phase.get() == Phase::Answering;
        let worker = Rc::clone(&self.client.worker);
        match outcome {
            Outcome::Answered(Answered::Whole { reusable, keep }) => {
                self.served(&claim);
                upstream.inbox.release(&worker.stock);
                if reusable {
                    worker.pool.put(&target, upstream.stream, worker.shared.now_ms(), limits.keep_idle);
                }
                match keep {
                    true => Next::Keep,
                    // The client asked for it, so nothing more is on its way.
                    false if !self.ask.keep && progress.sent.get() && self.client.inbox.is_empty() => Next::Drop,
                    false => Next::Close,
                }
            }
            Outcome::Answered(Answered::Switched) => {
                self.served(&claim);
                let Client { stream, inbox, slot, .. } = self.client;
                tunnel::run(&worker, tunnel::End { stream, inbox }, upstream.end(), claim, slot, true).await;
                Next::Drop
            }
            Outcome::Ordered => {
                if !progress.at_event.get() {
                    return self.cut(progress);
                }
                self.served(&claim);
                if self.client.stream.try_write(b"0\r\n\r\n").is_ok() {
                    return Next::Close;
                }
                Next::Drop
            }
            Outcome::Broken(Broken::ClientLeft) | Outcome::Upload(UploadEnd::ClientLeft) => {
                if answering {
                    self.served(&claim);
                }
                Next::Drop
            }
            Outcome::Broken(broken) => {
                target.counts.failed.fetch_add(1, Relaxed);
                match broken {
                    Broken::Bad(why) => self.failed(&Refusal::bad_answer(instance, why)).await,
                    Broken::Silent => self.failed(&Refusal::no_answer(instance)).await,
                    Broken::Cut | Broken::ClientLeft => self.cut(progress),
                }
            }
            Outcome::Upload(_) if answering => Next::Drop,
            Outcome::Upload(UploadEnd::TooLarge) => {
                let refusal = Refusal::body_too_large(limits.max_body);
                self.client.refuse(&refusal, false).await
            }
            Outcome::Upload(UploadEnd::Malformed(bad)) => {
                self.client.refuse(&Refusal::bad_request(400, bad.0), false).await
            }
            Outcome::Late if progress.phase.get() == Phase::Sending => {
                self.client.refuse(&Refusal::slow_client(), false).await
            }
            Outcome::Late | Outcome::Upload(UploadEnd::Refused) => {
                target.counts.failed.fetch_add(1, Relaxed);
                self.failed(&Refusal::answer_timeout(instance, limits.answer)).await
            }
        }
    }

    fn served(&self, claim: &Claim) {
        self.service.counts.shard(self.client.worker.index).served();
        claim.target().counts.served.fetch_add(1, Relaxed);
    }

    /// Answers with a failure that is not the client's. One that named its instance says nothing about the service.
    async fn failed(self, refusal: &Refusal) -> Next {
        if !matches!(self.ask.preview, Some(Preview::Named(_) | Preview::Unreadable(_))) {
            self.service.counts.shard(self.client.worker.index).failed();
        }
        let keep = self.ask.keep && self.body.done();
        self.client.refuse_to(refusal, keep, self.ask.bodiless).await
    }

    /// The answer broke off: the client must not take it for whole.
    fn cut(self, progress: &Progress) -> Next {
        self.service.counts.shard(self.client.worker.index).failed();
        if progress.until_close.get() {
            // An orderly end would say "this was all" (RFC 9112, 8): only a reset does not.
            let _ = self.client.stream.set_zero_linger();
        }
        Next::Drop
    }
}

impl Upstream {
    fn end(&mut self) -> tunnel::End<'_> {
        tunnel::End { stream: &mut self.stream, inbox: &mut self.inbox }
    }
}
