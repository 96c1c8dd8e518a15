//! When to look, how much of the false-alarm rate a look may use, and what is remembered from one look to the next.
//!
//! Each look at a healthy release is another chance of a false alarm (Armitage, McPherson and Rowe, "Repeated significance tests
//! on accumulating data", 1969). The looks are therefore planned before the first one, by time alone, and share out the rate:
//! a chance below the limit is seen by luck at look *k* with at most `limit(k)`, hence at any of them with at most their sum
//! (Boole's inequality), and the sum is never above the rate. Handing out the rate over time is Slud and Wei's (1982) and Lan
//! and DeMets' (1983) idea; they gain some power by working out how the looks depend on each other. We do not: the sum needs
//! no assumption about that, so it holds for counts of any size.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Outcome, Reason, Sample, Share};

/// Looks before the last one. They lie closer together in the beginning, when little traffic has to be risked for an answer: look
/// `k` is due when `(k / 64)²` of the time has passed, which in five minutes is first after 0.1 s and at the end each 9 s.
const PLANNED: u32 = 64;

/// Those looks use a half of the rate in equal parts; the last look uses what is left.
const PARTS: u64 = 2 * PLANNED as u64;

/// What must be written down after each look, before anybody acts on it. Whoever goes on with it after a crash makes no look twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Looks that used a part of the rate.
    pub looks: u32,
    /// The last planned look that has passed, made or not.
    slot: u32,
    /// The counts of the last look, to notice counters that began anew.
    seen: [u64; 6],
    /// How it ended, if it has.
    pub ended: Option<Outcome>,
}

/// The moment of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Time since the comparison began.
    pub elapsed: Duration,
    /// How long the comparison is planned to last.
    pub length: Duration,
    /// How many comparisons the deployment has in its plan (canary steps and the watch); the rate is split evenly among them.
    pub comparisons: u32,
}

/// What a look may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Nothing: no planned look is due, or nothing new has come in.
    NotDue,
    /// It may use so many parts of the rate.
    Look { parts: u64, last: bool },
}

impl Moment {
    pub(super) fn is_last(&self) -> bool {
        self.elapsed >= self.length
    }

    fn slot(&self) -> u32 {
        if self.is_last() {
            return PLANNED;
        }
        let planned = u128::from(PLANNED * PLANNED) * self.elapsed.as_nanos() / self.length.as_nanos().max(1);
        u32::try_from(planned.isqrt()).unwrap_or(PLANNED).min(PLANNED - 1)
    }
}

impl Memory {
    /// For a second comparison of the same counts, with looks of its own.
    pub fn again(&self) -> Self {
        Self { seen: self.seen, ..Self::default() }
    }

    /// Whether this is a look, and what it may use.
    pub(super) fn turn(&self, moment: &Moment, sample: &Sample) -> Turn {
        if moment.is_last() {
            return Turn::Look { parts: PARTS - u64::from(self.looks).min(u64::from(PLANNED)), last: true };
        }
        let news = sample.candidate.requests > self.seen[0];
        if moment.slot() > self.slot && news { Turn::Look { parts: 1, last: false } } else { Turn::NotDue }
    }

    /// Whether a counter is lower than it was.
    pub(super) fn began_anew(&self, sample: &Sample) -> bool {
        seen(sample).iter().zip(&self.seen).any(|(now, then)| now < then)
    }

    /// The memory after a look that used a part of the rate.
    pub(super) fn looked(&self, moment: &Moment, sample: &Sample) -> Self {
        Self { looks: self.looks + 1, slot: moment.slot(), ..self.passed(sample) }
    }

    /// The memory after a look that came to such a conclusion: a failure and the last moment end it.
    pub(super) fn after(self, moment: &Moment, reason: Reason) -> Self {
        let over = moment.is_last() || reason == Reason::Worse;
        Self { ended: over.then_some(reason.outcome()), ..self }
    }

    /// The memory after a look that tested nothing.
    pub(super) fn passed(&self, sample: &Sample) -> Self {
        Self { seen: seen(sample), ..*self }
    }
}

/// The limit for the chance of a test that has a weight of `quarters` in one comparison.
pub(super) fn limit(false_alarm: Share, moment: &Moment, parts: u64, quarters: u64) -> Share {
    false_alarm.part(parts * quarters, PARTS * 4 * u64::from(moment.comparisons.max(1)))
}

fn seen(sample: &Sample) -> [u64; 6] {
    let of = |counts: Option<&super::Counts>| {
        counts.map_or([0; 3], |c| [c.requests, c.errors, c.latency.as_ref().map_or(0, |latency| latency.total())])
    };
    let ([a, b, c], [d, e, f]) = (of(Some(&sample.candidate)), of(sample.baseline.counts()));
    [a, b, c, d, e, f]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::verdict::{Baseline, Counts};

    const RATE: Share = Share::millionths(10_000);

    fn moment(millis: u64, length: u64) -> Moment {
        Moment { elapsed: Duration::from_millis(millis), length: Duration::from_millis(length), comparisons: 3 }
    }

    fn sample(requests: u64) -> Sample {
        Sample { candidate: Counts { requests, errors: 0, latency: None }, baseline: Baseline::Absent }
    }

    /// Makes a look each `every` milliseconds, and says what all three tests of three such comparisons may use together.
    fn spent(every: u64, length: u64) -> (f64, u32) {
        let (mut memory, mut total) = (Memory::default(), 0.0);
        for at in (0..length).step_by(usize::try_from(every).unwrap()).chain([length]) {
            let (moment, sample) = (moment(at, length), sample(at + 1));
            if let Turn::Look { parts, .. } = memory.turn(&moment, &sample) {
                total += [2, 1, 1].map(|quarters| limit(RATE, &moment, parts, quarters).as_f64()).iter().sum::<f64>();
                memory = memory.looked(&moment, &sample);
            }
        }
        (3.0 * total, memory.looks)
    }

    // Seen to fail with the last look getting all parts, and with the slot not being remembered.
    #[test]
    fn all_looks_together_use_the_rate_and_no_more() {
        for (every, length) in [(1, 300_000), (1_000, 300_000), (1_000, 10_000), (7_000, 300_000), (1, 50), (5, 5)] {
            let (spent, looks) = spent(every, length);
            assert!(spent <= 0.01 + 1e-9, "{spent} after {looks} looks, one each {every} of {length} ms");
            assert!(spent > 0.0099, "{spent} of the rate is all that is used");
            assert!(looks <= PLANNED, "{looks} looks");
        }
    }

    #[test]
    fn nothing_new_is_no_look() {
        let memory = Memory::default().looked(&moment(1_000, 300_000), &sample(7));
        assert_eq!(memory.turn(&moment(9_000, 300_000), &sample(7)), Turn::NotDue);
        assert_ne!(memory.turn(&moment(9_000, 300_000), &sample(8)), Turn::NotDue);
        assert_eq!(memory.turn(&moment(1_001, 300_000), &sample(8)), Turn::NotDue, "the same planned look");
        assert!(memory.began_anew(&sample(6)));
    }
}
