//! The readiness gate of one instance.

use std::time::Duration;

use crate::spec::ReadySpec;
use crate::unit::Timestamp;

use super::poll_pause;

/// Counts passes in a row and the time they span.
#[derive(Debug, Clone, Default)]
pub struct Gate {
    passes: u32,
    since: Option<Timestamp>,
    failed_polls: u32,
    last_failure: Option<String>,
}

/// What the gate says after a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GateAnswer {
    /// It is ready.
    Ready,
    /// Ask again after this pause.
    Again(Duration),
}

impl Gate {
    /// Takes in the outcome of a probe that was answered at `now`.
    pub fn probed(&mut self, spec: &ReadySpec, now: Timestamp, outcome: Result<(), String>) -> GateAnswer {
        match outcome {
            Err(failure) => {
                *self = Self { failed_polls: self.failed_polls + 1, last_failure: Some(failure), ..Self::default() };
                GateAnswer::Again(poll_pause(self.failed_polls))
            }
            Ok(()) => self.passed(spec, now),
        }
    }

    /// Why the last probe that did not pass did not.
    pub fn last_failure(&self) -> Option<&str> {
        self.last_failure.as_deref()
    }

    fn passed(&mut self, spec: &ReadySpec, now: Timestamp) -> GateAnswer {
        self.passes += 1;
        let since = *self.since.get_or_insert(now);
        let stable = now.since(since);
        if self.passes >= spec.passes.max(1) && stable >= spec.stable_for {
            return GateAnswer::Ready;
        }
        // While it is stable it is asked often enough to see it fail, and once just when the time is over.
        let left = spec.stable_for.saturating_sub(stable);
        let pause = if left.is_zero() { Duration::from_millis(1) } else { left.min(Duration::from_millis(100)) };
        GateAnswer::Again(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(passes: u32, stable_ms: u64) -> ReadySpec {
        ReadySpec { passes, stable_for: Duration::from_millis(stable_ms), ..ReadySpec::default() }
    }

    #[test]
    fn one_failure_begins_the_count_anew() {
        let (spec, mut gate) = (spec(3, 0), Gate::default());
        for (at, outcome, ready) in [(0, Ok(()), false), (1, Ok(()), false), (2, Err("500".into()), false)] {
            assert_eq!(gate.probed(&spec, Timestamp(at), outcome) == GateAnswer::Ready, ready);
        }
        let answers: Vec<bool> =
            (3..6).map(|at| gate.probed(&spec, Timestamp(at), Ok(())) == GateAnswer::Ready).collect();
        assert_eq!(answers, [false, false, true], "seen to fail with the reset in `probed` taken out");
    }

    #[test]
    fn it_must_stay_ready_for_the_whole_time() {
        let (spec, mut gate) = (spec(1, 1000), Gate::default());
        assert_eq!(gate.probed(&spec, Timestamp(0), Ok(())), GateAnswer::Again(Duration::from_millis(100)));
        assert_eq!(gate.probed(&spec, Timestamp(950), Ok(())), GateAnswer::Again(Duration::from_millis(50)));
        assert_eq!(gate.probed(&spec, Timestamp(1000), Ok(())), GateAnswer::Ready);
    }
}
