//! The way there: the request's head and body to the instance; after that, watching whether the client leaves.

use std::io;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::patience::Patience;
use super::progress::{Phase, Progress, Waiting};
use crate::http::body::Body;
use crate::http::head::BadHead;
use crate::inbox::Inbox;
use crate::worker::Shared;
use crate::worker::clock::Slot;
use crate::worker::stock::Stock;

/// Why the way there ended.
#[derive(Debug)]
pub enum UploadEnd {
    /// The instance takes no more. It may still answer.
    Refused,
    /// The client left.
    ClientLeft,
    /// The body cannot be read in one way only.
    Malformed(BadHead),
    /// The body is larger than the service takes.
    TooLarge,
}

/// One request on its way.
#[derive(Debug)]
pub struct Upload<'a> {
    /// The head, and the body as far as it is buffered.
    pub sent: &'a [u8],
    /// The rest of the body.
    pub body: &'a mut Body,
    /// What the client sent.
    pub inbox: &'a mut Inbox,
    /// The largest body.
    pub max_body: u64,
    /// How long is waited for whom.
    pub patience: Patience,
    /// Whether the client may close its side and still wait: it said that this is its last request.
    pub last: bool,
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
}

impl Upload<'_> {
    /// Sends everything, then watches the client. Ends only if something is wrong.
    pub async fn run(mut self, from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin)) -> UploadEnd {
        if self.body.done() {
            self.now_waiting();
        } else {
            self.patience.client_has_the_turn(self.slot, self.shared.now_ms(), true);
        }
        if self.head(to).await.is_err() {
            return UploadEnd::Refused;
        }
        if !self.body.done() {
            self.waiting.pause();
            if let Some(end) = self.stream(from, to).await {
                return end;
            }
            self.waiting.begin(self.shared.now_us());
        }
        self.progress.sent.set(true);
        self.now_waiting();
        client_leaves(self.inbox, from).await;
        if self.last {
            std::future::pending::<()>().await;
        }
        UploadEnd::ClientLeft
    }

    /// It is the instance's turn, unless it took it already.
    fn now_waiting(&self) {
        if self.progress.phase.get() == Phase::Sending {
            self.progress.phase.set(Phase::Waiting);
            self.patience.instance_has_the_turn(self.slot, self.shared.now_ms(), self.progress);
        }
    }

    async fn head(&self, to: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let mut left = self.sent;
        while !left.is_empty() {
            let count = to.write(left).await?;
            self.progress.written.set(true);
            left = &left[count..];
        }
        Ok(())
    }

    /// Passes the rest of the body on as it comes.
    async fn stream(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Option<UploadEnd> {
        let mut out = Vec::new();
        loop {
            out.clear();
            let as_is = self.body.pass_as_is(self.inbox.data().len());
            let passed = as_is.map_or_else(|| self.body.pass(self.inbox.data(), &mut out), Ok);
            let count = match passed {
                Ok(count) => count,
                Err(bad) => return Some(UploadEnd::Malformed(bad)),
            };
            self.progress.consumed.set(self.progress.consumed.get() || count > 0);
            if self.body.received() > self.max_body {
                return Some(UploadEnd::TooLarge);
            }
            let bytes = if as_is.is_some() { &self.inbox.data()[..count] } else { &out };
            let written = to.write_all(bytes).await;
            self.inbox.consume(count);
            if written.is_err() {
                return Some(UploadEnd::Refused);
            }
            if self.body.done() {
                return None;
            }
            if self.progress.phase.get() == Phase::Sending {
                self.patience.client_has_the_turn(self.slot, self.shared.now_ms(), false);
            }
            match self.inbox.fill(from).await {
                Ok(0) | Err(_) => return Some(UploadEnd::ClientLeft),
                Ok(_) => self.inbox.widen(self.stock),
            }
        }
    }
}

/// Waits until the client closes its side. What it sends meanwhile (its next requests) is kept, as much as fits.
pub async fn client_leaves(inbox: &mut Inbox, from: &mut (impl AsyncRead + Unpin)) {
    loop {
        if inbox.full() {
            std::future::pending::<()>().await;
        }
        match inbox.fill(from).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
