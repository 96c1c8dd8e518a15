//! The longest time without an answer while somebody waited for one.
//!
//! One word holds both the number of waiting requests and the moment from which the gap runs: the last answer, or the
//! arrival of the first who waits. One compare-and-swap per change keeps the two together; with two words, a request that
//! arrives after an idle hour could be charged with that hour.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Low bits for the number of waiting requests; above them, time in units of [`UNIT`].
const WAITING_BITS: u32 = 20;
const WAITING: u64 = (1 << WAITING_BITS) - 1;

/// Microseconds in a unit of time: 44 bits of it are four years.
const UNIT: u64 = 8;

/// The gap of one service.
#[derive(Debug, Default)]
pub struct Gap {
    state: AtomicU64,
    longest: AtomicU64,
}

impl Gap {
    /// A request begins to wait.
    pub fn wait(&self, now_us: u64) {
        self.change(now_us, |waiting, _| (waiting + 1, waiting == 0));
    }

    /// A request is answered.
    pub fn answer(&self, now_us: u64) {
        self.change(now_us, |waiting, _| (waiting.saturating_sub(1), true));
    }

    /// A request stops waiting without an answer: the gap goes on for those who still wait.
    pub fn give_up(&self, now_us: u64) {
        self.change(now_us, |waiting, _| (waiting.saturating_sub(1), waiting == 1));
    }

    /// The longest gap in microseconds, counting the running one.
    pub fn longest(&self, now_us: u64) -> u64 {
        let state = self.state.load(Relaxed);
        let running = if state & WAITING > 0 { (now_us / UNIT).saturating_sub(state >> WAITING_BITS) } else { 0 };
        self.longest.load(Relaxed).max(running) * UNIT
    }

    /// Forgets the longest gap. The running one is not forgotten: it will count in full.
    pub fn mark(&self) {
        self.longest.store(0, Relaxed);
    }

    /// `next` gives the new number of waiting requests, and whether the gap begins anew.
    fn change(&self, now_us: u64, next: impl Fn(u64, u64) -> (u64, bool)) {
        let now = now_us / UNIT;
        let mut ended = 0;
        let _ = self.state.fetch_update(Relaxed, Relaxed, |state| {
            let (waiting, since) = (state & WAITING, state >> WAITING_BITS);
            let (waiting_next, anew) = next(waiting, since);
            ended = if anew && waiting > 0 { now.saturating_sub(since) } else { 0 };
            Some((if anew { now } else { since }) << WAITING_BITS | waiting_next.min(WAITING))
        });
        if ended > self.longest.load(Relaxed) {
            self.longest.fetch_max(ended, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_waiting_time_counts() {
        let gap = Gap::default();
        gap.wait(8_000);
        gap.answer(16_000);
        assert_eq!(gap.longest(999_000_000), 8_000, "an idle hour is no gap");
        gap.wait(1_000_000_000);
        assert_eq!(gap.longest(1_000_800_000), 800_000, "the running gap counts");
        gap.wait(1_000_400_000);
        gap.answer(1_000_800_000);
        gap.answer(1_001_000_000);
        assert_eq!(gap.longest(2_000_000_000), 800_000, "an answer begins a new gap for those who still wait");
        gap.mark();
        assert_eq!(gap.longest(2_000_000_000), 0);
    }

    #[test]
    fn who_gives_up_is_no_answer() {
        let gap = Gap::default();
        gap.wait(0);
        gap.wait(8_000);
        gap.give_up(16_000);
        gap.answer(80_000);
        assert_eq!(gap.longest(80_000), 80_000);
    }
}
