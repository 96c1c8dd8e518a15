//! Whether there was enough data to notice a release that is materially worse. Without this, silence would be taken for health.

use super::Share;
use super::exact::{Hits, binomial_at_least, chance_of_so_many};

/// With how much certainty a worse release must be noticed before its silence counts as health.
const CERTAINTY: f64 = 0.95;

/// More requests than this are not worth waiting for; then there is no answer to be had.
const WORTH_WAITING_FOR: u64 = 100_000_000;

/// What must be noticed: a share of hits three times as large, and at least two points higher. One per cent of errors becomes
/// three; of the answers slower than the old p99, three in a hundred instead of one, which is less than a doubled p99 does.
pub(super) fn worse(share: f64) -> f64 {
    (3.0 * share).max(share + 0.02).min(1.0)
}

/// A test at the last look, before its outcome.
#[derive(Debug, Clone, Copy)]
pub(super) struct Test {
    /// Members of the candidate's group.
    pub(super) candidate: u64,
    /// The baseline.
    pub(super) baseline: Hits,
    /// The limit for the chance.
    pub(super) limit: Share,
    /// Whether the baseline gets more requests too.
    pub(super) grows: bool,
}

impl Test {
    /// How many more requests the candidate needs; zero if it has enough, `None` if no number would do.
    pub(super) fn more_needed(&self) -> Option<u64> {
        let enough = |candidate: u64| self.with(candidate).power() >= CERTAINTY;
        let mut too_few = self.candidate;
        if enough(too_few) {
            return Some(0);
        }
        let mut plenty = (too_few * 2).max(16);
        while !enough(plenty) {
            (too_few, plenty) = (plenty, plenty * 2);
            if plenty > WORTH_WAITING_FOR {
                return None;
            }
        }
        while plenty - too_few > too_few / 50 + 1 {
            let middle = too_few.midpoint(plenty);
            if enough(middle) { plenty = middle } else { too_few = middle }
        }
        Some(plenty - self.candidate)
    }

    /// The chance that a candidate that is worse, against this very baseline, would be called so.
    pub(super) fn power(&self) -> f64 {
        match self.fewest_that_fail() {
            Some(hits) => binomial_at_least(hits, self.candidate, worse(self.baseline.share())),
            None => 0.0,
        }
    }

    fn fewest_that_fail(&self) -> Option<u64> {
        let fails = |hits| {
            let chance = chance_of_so_many(Hits { hits, of: self.candidate }, self.baseline);
            Share::at_least(chance) <= self.limit
        };
        let (mut passing, mut failing) = (0, self.candidate);
        if !fails(failing) {
            return None;
        }
        while failing - passing > 1 {
            let middle = passing.midpoint(failing);
            if fails(middle) { failing = middle } else { passing = middle }
        }
        Some(failing)
    }

    /// The same with so many requests at the candidate, and at the baseline in proportion if it grows.
    fn with(&self, candidate: u64) -> Self {
        if !self.grows || self.candidate == 0 {
            return Self { candidate, ..*self };
        }
        let scaled = |n: u64| (u128::from(n) * u128::from(candidate) / u128::from(self.candidate)) as u64;
        let baseline = Hits { hits: scaled(self.baseline.hits), of: scaled(self.baseline.of) };
        Self { candidate, baseline, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(candidate: u64, hits: u64, of: u64, grows: bool) -> Test {
        Test { candidate, baseline: Hits { hits, of }, limit: Share::millionths(2_500), grows }
    }

    #[test]
    fn power_is_what_counting_gives() {
        // Two of two must fail with a limit of 0.25 % against 60 of which none did: 1 / C(62, 2) = 0.0005; one of two is 0.03.
        let small = test(2, 0, 60, false);
        assert_eq!(small.fewest_that_fail(), Some(2));
        assert!((small.power() - 0.02f64.powi(2)).abs() < 1e-12);
        assert_eq!(test(2, 0, 1, false).fewest_that_fail(), None);
    }

    // Seen to fail with a certainty of 0.5, and with `with` scaling a baseline that does not grow.
    #[test]
    fn it_says_how_many_more_are_needed() {
        let few = test(30, 3, 270, true);
        let more = few.more_needed().unwrap();
        assert!((500..1_200).contains(&more), "{more} more");
        assert!(few.with(30 + more).power() >= 0.95);
        assert_eq!(few.with(30 + more).more_needed(), Some(0));
        assert_eq!(test(30, 0, 5, false).more_needed(), None, "five requests are no baseline, however many come later");
    }
}
