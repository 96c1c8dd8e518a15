//! How long a request and its answer are waited for.
//!
//! A request by HTTP has its pauses limited, and then the wait for its answer. A call of gRPC is different in two ways: it may go on in both
//! directions for as long as it likes, so a client that is silent is not slow; and it may bring its own deadline, which says more than a
//! limit of the service. What takes long is a stream, with the clock of streams when its instance leaves, though no answer has begun.

use std::time::Duration;

use cutover_core::table::Limits;

use super::answer::LONG;
use super::progress::{Phase, Progress};
use super::request::Ask;
use crate::worker::clock::Slot;

/// How much longer than its own deadline a call is waited for: it is its client who gives it up.
const BEYOND: Duration = Duration::from_secs(1);

/// The waits of one request. Zero is for ever.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How long the client may pause in the middle of its body.
    pause: Duration,
    /// How long the instance may take to answer.
    pub answer: Duration,
    /// Whether it is a call of gRPC.
    call: bool,
}

impl Patience {
    /// For a request.
    pub fn of(ask: &Ask, limits: &Limits) -> Self {
        let Limits { answer, body_pause: pause, .. } = *limits;
        match &ask.call {
            None => Self { pause, answer, call: false },
            Some(call) => {
                let own = call.deadline.map_or(Duration::ZERO, |deadline| deadline + BEYOND);
                let answer = if answer.is_zero() { answer } else { answer.max(own) };
                Self { pause: Duration::ZERO, answer, call: true }
            }
        }
    }

    /// The client has the turn, at a time in milliseconds: for the first time, or once more.
    pub fn client_has_the_turn(&self, slot: &Slot, now: u64, first: bool) {
        match self.call {
            false => slot.within(now, self.pause),
            true if first => slot.within(now, LONG),
            true => {}
        }
    }

    /// The instance has the turn.
    pub fn instance_has_the_turn(&self, slot: &Slot, now: u64, progress: &Progress) {
        match self.call {
            false => slot.within(now, self.answer),
            true => {
                let answer = u64::try_from(self.answer.as_millis()).unwrap_or(u64::MAX);
                progress.due.set(if answer == 0 { 0 } else { now.saturating_add(answer) });
                self.arm(slot, now, progress);
            }
        }
    }

    /// Whether it goes on, though its limit has passed.
    pub fn lasts(&self, now: u64, progress: &Progress) -> bool {
        let due = progress.due.get();
        self.call && (progress.phase.get() == Phase::Sending || due == 0 || now < due)
    }

    /// Sets the next limit of a call.
    pub fn arm(&self, slot: &Slot, now: u64, progress: &Progress) {
        let long = now.saturating_add(u64::try_from(LONG.as_millis()).unwrap_or(u64::MAX));
        let due = progress.due.get();
        slot.limit(if due == 0 { long } else { long.min(due) });
    }
}
