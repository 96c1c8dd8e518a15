//! What is to be told of a request once it is over: to the counters, and to the access log.

use std::cell::{Cell, RefCell};

use memchr::memmem;

use crate::span::Context;

/// How a request fared, as far as it has come. One for each connection, begun anew with each request.
#[derive(Debug, Default)]
pub struct Record {
    /// The status that the client got; zero as long as it got none.
    pub status: Cell<u16>,
    /// Why the proxy itself answered, if it did.
    pub reason: Cell<Option<&'static str>>,
    /// Bytes written to the client.
    pub sent: Cell<u64>,
    /// As many of them are the head.
    pub head: Cell<u64>,
    /// Bytes of the request.
    pub received: Cell<u64>,
    /// When the head of the answer came, in microseconds.
    pub answered_us: Cell<u64>,
    /// How often it was tried once more or elsewhere.
    pub retries: Cell<u32>,
    /// Its id, if it has one.
    pub id: RefCell<Vec<u8>>,
    /// Whether it is a call of gRPC, which is refused in other words.
    pub call: Cell<bool>,
    /// How a call of gRPC ended, if anybody said so.
    pub outcome: Cell<Option<u32>>,
    /// Its place in its trace, if a span is to be sent for it.
    pub span: Cell<Option<Context>>,
    /// Whether it was counted for its service.
    pub told: Cell<bool>,
}

impl Record {
    /// A request begins, with a head of so many bytes.
    pub fn begin(&self, head: usize) {
        self.status.set(0);
        self.reason.set(None);
        self.sent.set(0);
        self.head.set(0);
        self.received.set(head as u64);
        self.answered_us.set(0);
        self.retries.set(0);
        self.told.set(false);
        self.span.set(None);
        self.call.set(false);
        self.outcome.set(None);
        self.id.borrow_mut().clear();
    }

    /// So many bytes were written to the client.
    #[inline]
    pub fn wrote(&self, count: usize) {
        self.sent.set(self.sent.get() + count as u64);
    }

    /// So many bytes of the body were read.
    pub fn read(&self, count: u64) {
        self.received.set(self.received.get() + count);
    }

    /// It is sent on once more.
    pub fn again(&self) {
        self.retries.set(self.retries.get() + 1);
    }

    /// The proxy answers by itself, and this is how its answer begins.
    pub fn says(&self, answer: &[u8]) {
        let status = answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok());
        self.status.set(status.and_then(|digits| digits.parse().ok()).unwrap_or(0));
        let head = memmem::find(answer, b"\r\n\r\n").map_or(answer.len(), |end| end + 4);
        self.head.set(head as u64);
    }
}
