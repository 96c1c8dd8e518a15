//! Who may go to a target, and how many are there: the claim protocol.
//!
//! A claim counts itself first and looks at the mode second; if the mode does not allow it, it counts itself out again and
//! chooses anew. Whoever retires a target sets the mode first and reads the counts second. Both sides use sequentially
//! consistent operations, so all four lie in one total order, and in that order either the claim's look comes after the new
//! mode (the claim gives way) or its count comes before the retirer's reading (the retirer sees it). There is no order
//! in which a request slips past a drain unseen. With acquire and release alone there would be: each side may then read the
//! other's old value (the store-buffer effect, which x86 and ARM both have).
//!
//! A claim that gives way is counted for an instant. A retirer may see it and wait a little longer; never too short.

use super::sync::{AtomicU32, AtomicU64, Ordering::SeqCst};

/// What a target takes. The order matters: each takes all that the ones before it take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Admits {
    /// Nothing new.
    Nothing = 0,
    /// Requests that name it.
    Named = 1,
    /// Any request.
    All = 2,
}

/// The mode and the counts of one target.
#[derive(Debug)]
pub struct Gate {
    admits: AtomicU32,
    in_flight: AtomicU64,
    streams: AtomicU64,
}

/// How many are at a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Requests that are not streams.
    pub in_flight: u64,
    /// Streams.
    pub streams: u64,
}

impl Gate {
    /// A gate that admits nothing yet.
    pub fn new() -> Self {
        Self {
            admits: AtomicU32::new(Admits::Nothing as u32),
            in_flight: AtomicU64::new(0),
            streams: AtomicU64::new(0),
        }
    }

    /// Sets what is admitted from now on.
    pub fn set(&self, admits: Admits) {
        self.admits.store(admits as u32, SeqCst);
    }

    /// Whether `wanted` is admitted now. Only an answer given while holding a claim lasts.
    pub fn admits(&self, wanted: Admits) -> bool {
        self.admits.load(SeqCst) >= wanted as u32
    }

    /// Claims a place for a request: counts, then looks. Whether it holds.
    pub fn enter(&self, wanted: Admits) -> bool {
        self.in_flight.fetch_add(1, SeqCst);
        let admitted = self.admits(wanted);
        if !admitted {
            self.leave();
        }
        admitted
    }

    /// Gives the place of a request back.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, SeqCst);
    }

    /// Turns the place of a request into that of a stream. Counted twice for an instant, never not at all.
    pub fn stream(&self) {
        self.streams.fetch_add(1, SeqCst);
        self.in_flight.fetch_sub(1, SeqCst);
    }

    /// Gives the place of a stream back.
    pub fn leave_stream(&self) {
        self.streams.fetch_sub(1, SeqCst);
    }

    /// How many are here. Reads requests before streams, so that one on its way from the first to the second is not missed.
    pub fn load(&self) -> Load {
        let in_flight = self.in_flight.load(SeqCst);
        Load { in_flight, streams: self.streams.load(SeqCst) }
    }
}
