//! Spans: what became of a request, for those who collect traces, sent over OTLP/HTTP as OpenTelemetry has it.
//!
//! There is one span for each request that is recorded, of the kind `SERVER`. Which requests those are is decided when their ids are made
//! ([`ident`](crate::serve::ident)): by the flag of the parent, if there is one, else by a share. The instance gets the span as its parent.
//! Who was asked for the answer stands in attributes, not in a second span: it is one connection further, and would double what is sent.
//!
//! ```text
//! worker ─ bytes ─▶ ring ─▶ gather ─▶ batches ─▶ one task for each receiver
//!                    full: dropped      full: dropped     down: tried again, then dropped
//! ```
//!
//! As with access logs, a worker writes whole spans as bytes into a ring that it alone writes, without a lock or an allocation, and never
//! waits. Everything behind that belongs to the runtime of the control side. In Protocol Buffers a list is the same field again and again, so
//! a batch is what the workers wrote, put together, with a head before it.
//!
//! **Invariant:** a receiver that is slow, down or wrong harms no request, and takes a bounded amount of memory. What is dropped is counted.
//!
//! Deliberately absent: spans for the tries of a request, events and links; gRPC as the way there; compression; what a receiver says of spans
//! that it took only in part.

mod batch;
mod describe;
mod gather;
mod pen;
mod post;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use cutover_core::trail;
use tokio::sync::{Notify, watch};

pub use describe::Around;
pub use gather::run;
pub use pen::Pen;

use crate::ring::Rings;

/// How long the last spans of a process may take.
const LAST: Duration = Duration::from_secs(2);

/// Why spans are dropped: nobody took them from the queue in time; the receiver does not want them; it cannot be reached or is not able to.
pub const DROPS: [&str; 3] = ["queue-full", "refused", "unreachable"];

/// An index into [`DROPS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    QueueFull,
    Refused,
    Unreachable,
}

/// The place of a request in its trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Context {
    /// The trace.
    pub trace: u128,
    /// The span of this request.
    pub span: u64,
    /// The span that it belongs to; zero if it begins the trace.
    pub parent: u64,
    /// The flags of the trace.
    pub flags: u8,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct Counts {
    sent: AtomicU64,
    dropped: [AtomicU64; DROPS.len()],
}

/// All spans of the process on their way out. Receivers are known by their number for as long as it lives.
#[derive(Debug)]
pub struct Spans {
    /// What became of them.
    pub counts: Counts,
    receivers: Mutex<Vec<trail::Spans>>,
    rings: Rings,
    /// Rings when there is another receiver.
    changed: Notify,
    quit: watch::Sender<bool>,
    finished: watch::Sender<bool>,
}

impl Counts {
    /// How many a receiver has taken.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// How many were dropped, by an index into [`DROPS`].
    pub fn dropped(&self, reason: usize) -> u64 {
        self.dropped[reason].load(Relaxed)
    }

    fn lost(&self, reason: Lost, spans: u64) {
        self.dropped[reason as usize].fetch_add(spans, Relaxed);
    }
}

impl Spans {
    /// For so many workers.
    pub fn new(workers: usize) -> Self {
        Self {
            counts: Counts::default(),
            receivers: Mutex::default(),
            rings: Rings::new(workers),
            changed: Notify::new(),
            quit: watch::Sender::new(false),
            finished: watch::Sender::new(false),
        }
    }

    /// The number of a receiver.
    pub fn number(&self, receiver: &trail::Spans) -> u32 {
        let mut receivers = self.receivers.lock().unwrap_or_else(PoisonError::into_inner);
        // How many are recorded makes no other receiver.
        let same = |known: &trail::Spans| {
            let (trail::Spans { endpoint, headers_file, ca_file, .. }, other) = (known, receiver);
            (endpoint, headers_file, ca_file) == (&other.endpoint, &other.headers_file, &other.ca_file)
        };
        let known = receivers.iter().position(same);
        let number = known.unwrap_or(receivers.len());
        if known.is_none() {
            receivers.push(receiver.clone());
            self.changed.notify_one();
        }
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// Sends what is there, once, and ends the sending. Returns when that is done, or soon.
    pub async fn finish(&self) {
        self.quit.send_replace(true);
        let mut finished = self.finished.subscribe();
        if tokio::time::timeout(LAST, finished.wait_for(|finished| *finished)).await.is_err() {
            tracing::warn!("the last spans could not be sent in {LAST:?}");
        }
    }

    fn receiver(&self, number: u32) -> Option<trail::Spans> {
        let receivers = self.receivers.lock().unwrap_or_else(PoisonError::into_inner);
        receivers.get(usize::try_from(number).ok()?).cloned()
    }

    fn has_receivers(&self) -> bool {
        !self.receivers.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}
