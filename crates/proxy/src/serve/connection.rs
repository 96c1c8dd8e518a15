//! A client's connection: waiting for requests, reading their heads, closing in good manners.

use std::future::{Future, poll_fn};
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use cutover_core::listen::ListenAddress;
use tokio::io::AsyncWriteExt;

use super::ident;
use super::record::Record;
use super::refuse::Refusal;
use super::request;
use crate::http::head::{MAX_HEAD, Scan};
use crate::http2;
use crate::http2::rewound::Rewound;
use crate::inbox::Inbox;
use crate::route::Waits;
use crate::socket::Socket;
use crate::worker::Worker;
use crate::worker::clock::{Signal, Slot};
use crate::worker::stock::Scratch;

/// How long an idle connection that is to be closed still waits for a request that may be on its way.
const RETIRE: Duration = Duration::from_millis(500);

/// How long, and for how many bytes, what a refused client still sends is read and dropped. Closing with unread bytes would
/// reset the connection, and the reset could overtake the answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1 << 20;

/// How HTTP/2 begins (RFC 9113, 3.4), as far as it can be mistaken for a request.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    /// The worker that serves it.
    pub worker: Rc<Worker>,
    /// Its socket.
    pub stream: Socket,
    /// What it sent and nobody used yet.
    pub inbox: Inbox,
    /// Its deadline.
    pub slot: Rc<Slot>,
    /// Who it is; none if it came by a unix socket and nobody has introduced it.
    pub peer: Option<IpAddr>,
    /// Where it came in.
    pub listener: ListenAddress,
    /// How its present request fares.
    pub record: Record,
    /// How long it may take before it is known which service it means, by the table of its beginning.
    pub waits: Waits,
}

/// What becomes of a connection after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Another request may come.
    Keep,
    /// It is closed once the client has taken the answer.
    Close,
    /// It is closed at once.
    Drop,
}

/// Serves a connection to its end.
pub async fn serve(worker: &Rc<Worker>, stream: Socket, slot: Rc<Slot>, peer: Option<SocketAddr>) {
    let mut client = Client::new(worker, stream, slot, peer);
    let mut first = true;
    while client.awaits_request().await {
        if std::mem::take(&mut first) && client.inbox.data().starts_with(PREFACE) {
            let Client { stream, inbox, slot, .. } = client;
            let secure = stream.is_secure();
            let begun = Rewound { inbox, stream };
            return Box::pin(http2::connection::serve(worker, begun, secure, slot, peer)).await;
        }
        let mut scratch = worker.stock.scratch();
        // Boxed, so that a connection has the room for a request only while there is one.
        let next = Box::pin(client.one(&mut scratch)).await;
        worker.stock.give_scratch(scratch);
        client.tell_of_no_service();
        match next {
            Next::Keep => {}
            Next::Close => return Box::pin(client.linger()).await,
            Next::Drop => return,
        }
    }
}

/// Waits for a future until the connection's slot says something.
pub async fn guarded<T>(slot: &Slot, future: impl Future<Output = T>) -> Result<T, Signal> {
    let mut future = pin!(future);
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(Ok(done)),
        Poll::Pending => slot.poll(cx).map_or(Poll::Pending, |signal| Poll::Ready(Err(signal))),
    })
    .await
}

impl Client {
    /// A connection on which nothing was read yet.
    pub fn new(worker: &Rc<Worker>, stream: Socket, slot: Rc<Slot>, peer: Option<SocketAddr>) -> Self {
        let (listener, peer) = (slot.listener().clone(), peer.map(|peer| peer.ip().to_canonical()));
        let (inbox, record) = (Inbox::default(), Record::default());
        let waits = worker.table(|table| table.waits(&listener));
        Self { worker: worker.clone(), stream, inbox, slot, peer, listener, record, waits }
    }

    /// Waits for the first bytes of a request. False if the connection is to be closed instead. The buffer is borrowed only
    /// for the moment of each look, so that an idle connection holds none.
    async fn awaits_request(&mut self) -> bool {
        if !self.inbox.is_empty() {
            return true;
        }
        let mut retiring = false;
        let Self { worker, stream, inbox, slot, waits, .. } = self;
        slot.within(worker.shared.now_ms(), waits.idle);
        poll_fn(|cx| {
            inbox.borrow(&worker.stock);
            if let Poll::Ready(read) = inbox.poll_fill(cx, stream) {
                return Poll::Ready(read.is_ok_and(|count| count > 0));
            }
            inbox.release(&worker.stock);
            if slot.hurried() && !std::mem::replace(&mut retiring, true) {
                slot.within(worker.shared.now_ms(), RETIRE);
            }
            if slot.poll(cx).is_some() { Poll::Ready(false) } else { Poll::Pending }
        })
        .await
    }

    /// Serves one request.
    async fn one(&mut self, scratch: &mut Scratch) -> Next {
        self.record.begin(0);
        let end = match self.head().await {
            Ok(Some(end)) => end,
            Ok(None) => return Next::Drop,
            Err(refusal) => return self.refuse(&refusal, false).await,
        };
        request::serve(self, scratch, end).await
    }

    /// Reads until a whole head is there, and says where it ends. `None` if the client left.
    async fn head(&mut self) -> Result<Option<usize>, Refusal> {
        let (mut scan, mut waited) = (Scan::default(), false);
        loop {
            if self.skip_empty_lines() {
                scan = Scan::default();
            }
            if let Some(end) = scan.end(self.inbox.data()).map_err(|bad| Refusal::bad_request(400, bad.0))? {
                return Ok(Some(end));
            }
            if self.inbox.data().len() >= MAX_HEAD {
                return Err(Refusal::head_too_large());
            }
            if !self.inbox.is_empty() && !std::mem::replace(&mut waited, true) {
                self.slot.within(self.worker.shared.now_ms(), self.waits.head);
            }
            match guarded(&self.slot, self.inbox.fill(&mut self.stream)).await {
                Ok(Ok(0) | Err(_)) | Err(Signal::Close) => return Ok(None),
                Ok(Ok(_)) => {}
                Err(Signal::Late) if self.inbox.is_empty() => return Ok(None),
                Err(Signal::Late) => return Err(Refusal::slow_client()),
            }
        }
    }

    /// Clients that end a body with one line too many are forgiven (RFC 9112, 2.2). Whether there was one.
    fn skip_empty_lines(&mut self) -> bool {
        let mut skipped = false;
        while self.inbox.data().starts_with(b"\r\n") {
            self.inbox.consume(2);
            skipped = true;
        }
        skipped
    }

    /// Writes an answer of the proxy itself. `keep` if the request was read to its end and the client wants to go on.
    pub async fn refuse(&mut self, refusal: &Refusal, keep: bool) -> Next {
        self.refuse_to(refusal, keep, false).await
    }

    /// Like [`Self::refuse`]; `bodiless` leaves the text away, as an answer to `HEAD` must.
    pub async fn refuse_to(&mut self, refusal: &Refusal, keep: bool, bodiless: bool) -> Next {
        let keep = keep && !self.slot.retired();
        let call = self.record.call.get();
        let mut answer = if call { refusal.write_to_call(keep) } else { refusal.write(keep, bodiless) };
        ident::name(&mut answer, &self.record.id.borrow());
        self.record.reason.set(Some(refusal.code));
        let next = self.answer(&answer, keep).await;
        if call {
            // Counted as what it is. That a client of gRPC reads 200 is a matter of form.
            self.record.status.set(refusal.status);
            self.record.outcome.set(Some(refusal.outcome()));
        }
        next
    }

    /// Writes a whole answer of the proxy itself, or its head, which says whether the connection stays.
    pub async fn answer(&mut self, answer: &[u8], keep: bool) -> Next {
        self.record.says(answer);
        self.slot.within(self.worker.shared.now_ms(), LINGER);
        if !matches!(guarded(&self.slot, self.stream.write_all(answer)).await, Ok(Ok(()))) {
            return Next::Drop;
        }
        self.record.wrote(answer.len());
        if keep { Next::Keep } else { Next::Close }
    }

    /// Refuses whatever the client came for, and closes.
    pub async fn turn_away(mut self, refusal: &Refusal) {
        let next = self.refuse(refusal, false).await;
        self.tell_of_no_service();
        if next == Next::Close {
            self.linger().await;
        }
    }

    /// Says that nothing more comes, and waits a little for the client to agree.
    async fn linger(mut self) {
        self.slot.within(self.worker.shared.now_ms(), LINGER);
        let drain = async {
            self.stream.shutdown().await?;
            self.inbox.borrow(&self.worker.stock);
            let mut dropped = 0;
            while dropped < LINGER_BYTES {
                self.inbox.consume(self.inbox.data().len());
                match self.inbox.fill(&mut self.stream).await? {
                    0 => break,
                    count => dropped += count,
                }
            }
            std::io::Result::Ok(())
        };
        let _ = guarded(&self.slot, drain).await;
    }
}
