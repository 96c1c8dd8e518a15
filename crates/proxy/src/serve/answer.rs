//! The way back: the instance's answer to the client, as it comes.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use cutover_core::rules::Coding;
use tokio::io::{AsyncRead, AsyncWrite};

use super::forward::{self, Manner};
use super::progress::{Phase, Progress, Waiting};
use super::record::Record;
use super::request::Ask;
use crate::http::body::{Body, Framing};
use crate::http::grpc;
use crate::http::head::{MAX_HEAD, Scan};
use crate::http::response::Response;
use crate::inbox::Inbox;
use crate::live::count::Shard;
use crate::live::target::Claim;
use crate::rule::LiveRules;
use crate::rule::compress::{self, Encoder, Shape};
use crate::worker::Shared;
use crate::worker::clock::Slot;
use crate::worker::stock::Stock;

/// An answer whose body takes longer than this counts as a stream from then on, so that a long download does not hold up a
/// drain. The first part of a deployment waits for requests in flight; streams have their own, longer clock.
pub const LONG: Duration = Duration::from_secs(10);

/// How an answer ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// It was relayed to its end.
    Whole {
        /// Whether the connection to the instance may be used again.
        reusable: bool,
        /// Whether the client's may.
        keep: bool,
    },
    /// Both sides switched to another protocol.
    Switched {
        /// It is WebSocket.
        websocket: bool,
    },
}

/// How it ended badly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The connection ended without a byte.
    Silent,
    /// The head cannot be read; a fragment that completes "the answer ...".
    Bad(&'static str),
    /// The head was relayed, then the body broke off.
    Cut,
    /// The client takes no more.
    ClientLeft,
}

/// How a head says that an answer ends; see [`Manner`].
#[derive(Debug, Clone, Copy)]
struct Ends {
    chunks: bool,
    keep: bool,
    old: bool,
}

/// One answer on its way.
#[derive(Debug)]
pub struct Relay<'a> {
    /// The request.
    pub ask: &'a Ask,
    /// What is changed in the answer.
    pub rules: Option<&'a LiveRules>,
    /// Where it is.
    pub claim: &'a Claim,
    /// Counters of the service.
    pub shard: &'a Shard,
    /// When the request came.
    pub began_us: u64,
    /// The deadline.
    pub slot: &'a Slot,
    /// The clock.
    pub shared: &'a Shared,
    /// Where larger buffers are.
    pub stock: &'a Stock,
    /// How far the exchange has come.
    pub progress: &'a Progress,
    /// The wait of this request.
    pub waiting: &'a Waiting<'a>,
    /// What is told of it.
    pub record: &'a Record,
}

impl Relay<'_> {
    /// Relays one answer, with what may come before it.
    pub async fn run(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        inbox: &mut Inbox,
        to: &mut (impl AsyncWrite + Unpin),
        response: &mut Response,
        out: &mut Vec<u8>,
    ) -> Result<Answered, Broken> {
        let end = loop {
            let end = self.head(from, inbox).await?;
            let head = &inbox.data()[..end];
            response.parse(head, self.ask.bodiless).map_err(|bad| Broken::Bad(bad.0))?;
            out.clear();
            let switched = response.status == 101;
            if switched && !(self.ask.upgrade && response.upgrade.is_some()) {
                return Err(Broken::Bad("switches protocols, which was not asked for"));
            }
            if response.status >= 200 {
                break end;
            }
            if switched {
                self.observe(response);
            }
            // 100 was for us: the client got its own when we began to read its body.
            if response.status != 100 && !self.ask.old {
                let ends = Ends { chunks: false, keep: true, old: false };
                self.rewrite(out, head, response, ends, switched);
                self.write(to, out).await?;
            }
            let websocket =
                response.upgrade.is_some_and(|protocol| protocol.of(head).eq_ignore_ascii_case(b"websocket"));
            inbox.consume(end);
            if switched {
                return Ok(Answered::Switched { websocket });
            }
        };
        self.last(end, from, inbox, to, response, out).await
    }

    /// Writes a head for the client. What the proxy has to add stands in one that `counts`: in the last, and in one that switches protocols.
    fn rewrite(&self, out: &mut Vec<u8>, head: &[u8], response: &Response, ends: Ends, counts: bool) {
        let Ends { chunks, keep, old } = ends;
        let names = self.ask.preview.as_ref().filter(|_| counts).map(|_| &**self.claim.target());
        let cookie = self.ask.pinned.cookie.as_deref().filter(|_| counts);
        let (sticky, id) = (self.sticky().filter(|_| counts), self.record.id.borrow());
        let (sticky, id) = (sticky.as_deref(), if counts { id.as_slice() } else { &[] });
        let hsts = self.ask.hsts.as_deref().filter(|_| response.status >= 200);
        forward::response(out, head, response, Manner { chunks, keep, old, names, cookie, hsts, sticky, id });
    }

    /// The cookie for a client that is to stay with this instance and does not know it yet.
    fn sticky(&self) -> Option<String> {
        let sticks = self.ask.pinned.sticks?;
        sticks.cookie(&self.claim.target().instance, self.ask.pinned.wish.sticky)
    }

    /// Reads until a whole head is there.
    async fn head(&self, from: &mut (impl AsyncRead + Unpin), inbox: &mut Inbox) -> Result<usize, Broken> {
        let mut scan = Scan::default();
        loop {
            if let Some(end) = scan.end(inbox.data()).map_err(|bad| Broken::Bad(bad.0))? {
                return Ok(end);
            }
            if inbox.data().len() >= MAX_HEAD {
                return Err(Broken::Bad("has a head larger than 16 KiB"));
            }
            match inbox.fill(from).await {
                Ok(0) | Err(_) if inbox.is_empty() => return Err(Broken::Silent),
                Ok(0) | Err(_) => return Err(Broken::Bad("was cut in its head")),
                Ok(_) => {}
            }
        }
    }

    /// Relays the answer that ends the exchange. Its head is the first `end` bytes of `inbox`.
    async fn last(
        &self,
        end: usize,
        from: &mut (impl AsyncRead + Unpin),
        inbox: &mut Inbox,
        to: &mut (impl AsyncWrite + Unpin),
        response: &Response,
        out: &mut Vec<u8>,
    ) -> Result<Answered, Broken> {
        let delimited = !matches!(response.framing, Framing::Chunked | Framing::UntilClose);
        let shape =
            self.rules.map_or(Shape::Plain, |rules| rules.shape(self.ask.coding, response, &inbox.data()[..end]));
        let chunks = (!delimited && !self.ask.old) || matches!(shape, Shape::Coded(_));
        // While the body is still being sent, nobody knows whether the rest of it will be read.
        let keep = self.ask.keep && self.progress.sent.get() && (delimited || chunks) && !self.slot.retired();
        self.rewrite(out, &inbox.data()[..end], response, Ends { chunks, keep, old: self.ask.old }, true);
        if let Some(rules) = self.rules {
            compress::announce(out, shape);
            rules.edit_answer(out);
        }
        let outcome = self.ask.call.and_then(|_| response.outcome(&inbox.data()[..end]));
        inbox.consume(end);
        self.record.head.set(out.len() as u64);
        self.observe(response);
        outcome.into_iter().for_each(|outcome| self.ended(outcome));
        self.progress.until_close.set(!delimited && !chunks);
        self.progress.phase.set(Phase::Answering);
        match shape {
            Shape::Coded(coding) => Box::pin(self.coded(coding, response.framing, from, inbox, to, out)).await?,
            _ => {
                let mut body = Body::new(response.framing, chunks);
                let ends = response.events || self.ask.call.is_some();
                self.body(&mut body, ends, from, inbox, to, out).await?;
                body.outcome().into_iter().for_each(|outcome| self.ended(outcome));
            }
        }
        Ok(Answered::Whole { reusable: response.keep && inbox.is_empty() && self.progress.sent.get(), keep })
    }

    /// Relays the body. `out` holds what goes before it. `ends` if it may be ended between two chunks.
    async fn body(
        &self,
        body: &mut Body,
        ends: bool,
        from: &mut (impl AsyncRead + Unpin),
        inbox: &mut Inbox,
        to: &mut (impl AsyncWrite + Unpin),
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        loop {
            self.progress.at_event.set(false);
            // Behind the head, most bodies are written from where they were read.
            let as_is = if out.is_empty() { body.pass_as_is(inbox.data().len()) } else { None };
            if let Some(count) = as_is {
                self.write(to, &inbox.data()[..count]).await?;
                inbox.consume(count);
            } else {
                let used = body.pass(inbox.data(), out).map_err(|_| Broken::Cut);
                if let Ok(used) = used {
                    inbox.consume(used);
                }
                self.write(to, out).await?;
                self.progress.at_event.set(ends && body.at_chunk());
                out.clear();
                used?;
            }
            if body.done() {
                return Ok(());
            }
            match inbox.fill(from).await {
                Ok(0) => body.closed(out).map_err(|_| Broken::Cut)?,
                Ok(_) => inbox.widen(self.stock),
                Err(_) => return Err(Broken::Cut),
            }
        }
    }

    /// Relays the body compressed. `out` holds what goes before it.
    async fn coded(
        &self,
        coding: Coding,
        framing: Framing,
        from: &mut (impl AsyncRead + Unpin),
        inbox: &mut Inbox,
        to: &mut (impl AsyncWrite + Unpin),
        out: &mut Vec<u8>,
    ) -> Result<(), Broken> {
        let (mut body, mut plain) = (Body::parted(framing), Vec::new());
        let mut encoder = Encoder::new(coding).map_err(|_| Broken::Cut)?;
        loop {
            plain.clear();
            let used = body.pass(inbox.data(), &mut plain).map_err(|_| Broken::Cut);
            if let Ok(used) = used {
                inbox.consume(used);
            }
            let trailers = body.done().then(|| body.trailers());
            encoder.pass(&plain, trailers, out).map_err(|_| Broken::Cut)?;
            self.write(to, out).await?;
            out.clear();
            used?;
            if body.done() {
                return Ok(());
            }
            match inbox.fill(from).await {
                Ok(0) => body.closed(&mut plain).map_err(|_| Broken::Cut)?,
                Ok(_) => {}
                Err(_) => return Err(Broken::Cut),
            }
        }
    }

    /// Writes to the client, and notes since when it takes nothing.
    async fn write(&self, to: &mut (impl AsyncWrite + Unpin), mut bytes: &[u8]) -> Result<(), Broken> {
        while !bytes.is_empty() {
            let count = poll_fn(|cx| {
                let written = Pin::new(&mut *to).poll_write(cx, bytes);
                if written.is_pending() && self.progress.stalled_since.get() == 0 {
                    self.progress.stalled_since.set(self.shared.now_ms());
                }
                written
            });
            match count.await {
                Ok(0) | Err(_) => return Err(Broken::ClientLeft),
                Ok(count) => {
                    self.record.wrote(count);
                    bytes = &bytes[count..];
                }
            }
            self.progress.stalled_since.set(0);
        }
        Ok(())
    }

    /// A call of gRPC says how it ended: behind its answer, or in its head if there is no more. The status of HTTP is 200 in any case.
    fn ended(&self, outcome: u32) {
        self.record.outcome.set(Some(outcome));
        // A status of HTTP that says so was counted.
        if grpc::is_failure(outcome) && self.record.status.get() < 500 && self.ask.is_traffic() {
            self.shard.error();
            self.claim.target().counts.errors.fetch_add(1, Relaxed);
        }
    }

    /// Counts what the head of an answer tells.
    fn observe(&self, response: &Response) {
        let now = self.shared.now_us();
        self.waiting.answered(now);
        self.record.status.set(response.status);
        self.record.answered_us.set(now);
        if self.ask.is_traffic() {
            self.shard.latency(now.saturating_sub(self.began_us));
            self.claim.target().counts.latency(now.saturating_sub(self.claim.since_us()));
        }
        if response.status >= 500 && self.ask.is_traffic() {
            self.shard.error();
            self.claim.target().counts.errors.fetch_add(1, Relaxed);
        }
        if response.events {
            self.claim.become_stream();
            self.slot.stream_of(self.claim.target().serial);
        }
        self.slot.within(now / 1000 + 1, LONG);
    }
}
