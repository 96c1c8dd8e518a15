//! How far an exchange has come. The way there, the way back and the deadline are three parties of one task; this is what
//! they tell each other.

use std::cell::Cell;

use crate::live::gap::Gap;
use crate::worker::Shared;

/// What is being waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// For the client to send its body.
    Sending,
    /// For the instance to begin its answer.
    Waiting,
    /// For the rest of the answer, and for the client to take it.
    Answering,
}

/// How far an attempt has come.
#[derive(Debug)]
pub struct Progress {
    /// What is being waited for.
    pub phase: Cell<Phase>,
    /// Whether the request was sent to its end.
    pub sent: Cell<bool>,
    /// Whether any byte of the request was taken by the connection to the instance.
    pub written: Cell<bool>,
    /// Whether any byte of the body was used that cannot be sent a second time.
    pub consumed: Cell<bool>,
    /// When an answer to a call of gRPC must have begun, in milliseconds; zero if nobody says.
    pub due: Cell<u64>,
    /// Whether the answer is an event stream, or that of a call of gRPC, that goes to the client in chunks, and the last one was written
    /// whole: then it may be ended in an orderly way. Any other answer that is ended early is a cut one and must look like it.
    pub at_event: Cell<bool>,
    /// Since when the client takes nothing, in milliseconds; zero if it does.
    pub stalled_since: Cell<u64>,
    /// Whether the client can tell a whole answer from a cut one by nothing but how the connection ends.
    pub until_close: Cell<bool>,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            phase: Cell::new(Phase::Sending),
            sent: Cell::new(false),
            written: Cell::new(false),
            consumed: Cell::new(false),
            due: Cell::new(0),
            at_event: Cell::new(false),
            stalled_since: Cell::new(0),
            until_close: Cell::new(false),
        }
    }
}

/// A request that waits for its answer, as the gap of its service sees it.
#[derive(Debug)]
pub struct Waiting<'a> {
    gap: &'a Gap,
    shared: &'a Shared,
    open: Cell<bool>,
}

impl<'a> Waiting<'a> {
    /// A request that does not wait yet.
    pub fn new(gap: &'a Gap, shared: &'a Shared) -> Self {
        Self { gap, shared, open: Cell::new(false) }
    }

    /// From now on it waits for the service, not for its own client.
    pub fn begin(&self, now_us: u64) {
        if !self.open.replace(true) {
            self.gap.wait(now_us);
        }
    }

    /// Its own client has the turn.
    pub fn pause(&self) {
        if self.open.replace(false) {
            self.gap.give_up(self.shared.now_us());
        }
    }

    /// It is answered.
    pub fn answered(&self, now_us: u64) {
        if self.open.replace(false) {
            self.gap.answer(now_us);
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pause();
    }
}
