//! What follows from how an attempt ended: what is counted, what the client is told, which connections live on.

use std::sync::atomic::Ordering::Relaxed;

use cutover_core::InstanceId;

use super::answer::{Answered, Broken};
use super::connection::{Client, Next};
use super::exchange::{Exchange, Outcome};
use super::progress::{Phase, Progress};
use super::reach::Upstream;
use super::refuse::Refusal;
use super::upload::UploadEnd;
use crate::http::grpc;
use crate::live::target::Claim;
use crate::stream::tunnel;
use crate::upstream::http2::call::Break;
use crate::upstream::link::Link;

/// What is left to do once everything is counted.
enum Left {
    /// Nothing.
    Done(Next),
    /// The client is told of a failure that is not its own.
    Fail(Refusal),
    /// The client is told of a mistake of its own.
    Refuse(Refusal),
}

impl Exchange<'_> {
    /// Counts, puts things back, and answers if there was no answer.
    pub async fn settle(
        &mut self,
        outcome: Outcome,
        claim: Claim,
        mut upstream: Upstream,
        progress: &Progress,
    ) -> Next {
        if let Outcome::Answered(Answered::Switched { websocket }) = outcome {
            self.served(&claim);
            let Client { worker, stream, inbox, slot, record, .. } = &mut *self.client;
            let client = tunnel::End { stream, inbox };
            // Only a connection of HTTP/1.1 switches.
            let Some(target) = upstream.end() else { return Next::Drop };
            let moved = tunnel::run(worker, client, target, claim, slot, websocket).await;
            record.read(moved.there);
            record.sent.set(record.sent.get() + moved.back);
            return Next::Drop;
        }
        let left = self.judge(outcome, &claim, upstream, progress);
        // The instance is done with; a client that is slow to take a refusal must not hold up its drain.
        drop(claim);
        match left {
            Left::Done(next) => next,
            Left::Fail(refusal) => self.failed(refusal).await,
            Left::Refuse(refusal) => self.client.refuse(&self.service.dress(refusal), false).await,
        }
    }

    fn judge(&self, outcome: Outcome, claim: &Claim, upstream: Upstream, progress: &Progress) -> Left {
        let instance = &claim.target().instance;
        let limits = self.service.limits();
        let phase = progress.phase.get();
        let broken = upstream.link.broken();
        if let (Some(Break::Reset(reason)), Some(stream)) = (broken, self.client.stream.stream()) {
            stream.breaks_for(reason);
        }
        match outcome {
            Outcome::Answered(Answered::Switched { .. }) => Left::Done(Next::Drop),
            Outcome::Answered(Answered::Whole { reusable, keep }) => {
                self.served(claim);
                self.put_back(claim, upstream, reusable);
                Left::Done(self.after_answer(keep, progress))
            }
            Outcome::Ordered if progress.at_event.get() => {
                self.served(claim);
                let ended = match self.ask.call {
                    Some(_) => self.end_call(&format!("{instance} is leaving and its streams are ended")),
                    None => self.client.stream.try_write(b"0\r\n\r\n").is_ok(),
                };
                Left::Done(if ended { Next::Close } else { Next::Drop })
            }
            Outcome::Ordered if self.ask.call.is_some() && phase != Phase::Answering => {
                Left::Fail(Refusal::leaving(instance))
            }
            Outcome::Ordered => self.cut(progress),
            Outcome::Broken(Broken::ClientLeft) | Outcome::Upload(UploadEnd::ClientLeft) => {
                if phase == Phase::Answering {
                    self.served(claim);
                }
                Left::Done(Next::Drop)
            }
            Outcome::Broken(how) => {
                self.blame(claim);
                match how {
                    Broken::Bad(why) => Left::Fail(Refusal::bad_answer(instance, why)),
                    Broken::Silent => Left::Fail(match broken {
                        Some(Break::Reset(reason)) => Refusal::given_up(instance, reason),
                        _ => Refusal::no_answer(instance),
                    }),
                    // A stream that the instance has given up is given up by us, for the same reason.
                    Broken::Cut if progress.at_event.get() && self.ask.call.is_some() && !was_reset(broken) => {
                        self.cut_call(instance, progress)
                    }
                    Broken::Cut | Broken::ClientLeft => self.cut(progress),
                }
            }
            Outcome::Upload(_) if phase == Phase::Answering => {
                self.client.stream.sever(progress.until_close.get());
                Left::Done(Next::Drop)
            }
            Outcome::Upload(UploadEnd::TooLarge) => Left::Refuse(Refusal::body_too_large(limits.max_body)),
            Outcome::Upload(UploadEnd::Malformed(bad)) => Left::Refuse(Refusal::bad_request(400, bad.0)),
            Outcome::Late if phase == Phase::Sending => Left::Refuse(Refusal::slow_client()),
            Outcome::Late | Outcome::Upload(UploadEnd::Refused) => {
                upstream.link.shun();
                self.blame(claim);
                Left::Fail(Refusal::answer_timeout(instance, limits.answer))
            }
        }
    }

    fn put_back(&self, claim: &Claim, mut upstream: Upstream, reusable: bool) {
        let worker = &self.client.worker;
        upstream.inbox.release(&worker.stock);
        if let (Link::Wire(wire), true) = (upstream.link, reusable) {
            worker.pool.put(claim.target(), wire, worker.shared.now_ms(), self.service.limits().keep_idle);
        }
    }

    fn after_answer(&self, keep: bool, progress: &Progress) -> Next {
        // A client that asked to close sends nothing more. One that we close might: closing must not reset its answer away.
        let silent = !self.ask.keep && progress.sent.get() && self.client.inbox.is_empty();
        match (keep, silent) {
            (true, _) => Next::Keep,
            (false, true) => Next::Drop,
            (false, false) => Next::Close,
        }
    }

    fn served(&self, claim: &Claim) {
        if self.ask.preview.is_none() {
            self.service.counts.shard(self.client.worker.index).served();
        }
        claim.target().counts.served.fetch_add(u64::from(self.ask.is_traffic()), Relaxed);
        let counts_errors = self.service.spec.spread.eject.as_ref().is_some_and(|eject| eject.errors);
        let record = &self.client.record;
        let failed = record.status.get() >= 500 || record.outcome.get().is_some_and(grpc::is_failure);
        if counts_errors && failed {
            self.service.blame(claim.target(), self.client.worker.shared.now_ms());
        } else {
            claim.target().succeeded();
        }
    }

    /// The instance did not answer.
    fn blame(&self, claim: &Claim) {
        claim.target().counts.failed.fetch_add(u64::from(self.ask.is_traffic()), Relaxed);
        self.service.blame(claim.target(), self.client.worker.shared.now_ms());
    }

    /// Answers with a failure that is not the client's. The agent's own looks say nothing about the service.
    pub async fn failed(&mut self, refusal: Refusal) -> Next {
        if self.ask.preview.is_none() {
            self.service.counts.shard(self.client.worker.index).failed();
        }
        let keep = self.ask.keep && self.body.done();
        self.client.refuse_to(&self.service.dress(refusal), keep, self.ask.bodiless).await
    }

    /// Ends a call of gRPC in its own words, between two chunks of its answer; whether the client has room for them.
    fn end_call(&self, why: &str) -> bool {
        let trailers =
            format!("0\r\ngrpc-status: {}\r\ngrpc-message: {}\r\n\r\n", grpc::UNAVAILABLE, grpc::message(why));
        self.client.record.outcome.set(Some(grpc::UNAVAILABLE));
        self.client.stream.try_write(trailers.as_bytes()).is_ok()
    }

    /// The answer to a call broke off: its client is told how it ended, which it would not know from a stream that is cut.
    fn cut_call(&self, instance: &InstanceId, progress: &Progress) -> Left {
        let told = self.end_call(&format!("the connection to {instance} was lost in the middle of its answer"));
        let left = self.cut(progress);
        if told { Left::Done(Next::Close) } else { left }
    }

    /// The answer broke off: the client must not take it for whole.
    fn cut(&self, progress: &Progress) -> Left {
        if self.ask.is_traffic() {
            self.service.counts.shard(self.client.worker.index).failed();
        }
        self.client.record.reason.set(Some("cut"));
        self.client.stream.sever(progress.until_close.get());
        Left::Done(Next::Drop)
    }
}

fn was_reset(broken: Option<Break>) -> bool {
    matches!(broken, Some(Break::Reset(_)))
}
