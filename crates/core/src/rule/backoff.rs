//! How long to pause before the next try.

use std::time::Duration;

use crate::spec::RestartSpec;

/// The pause between two readiness polls that failed: 20 ms at first, growing by a fiftieth, at most 1 s. A start is noticed
/// within 20 ms and a fiftieth of the time that it took: somebody may be waiting for it.
pub fn poll_pause(failed_polls: u32) -> Duration {
    let factor = 1.02f64.powi(i32::try_from(failed_polls.min(200)).unwrap_or(200));
    Duration::from_millis(20).mul_f64(factor).min(Duration::from_secs(1))
}

/// The pause before an instance that died while serving is started again. Doubles with each death.
pub fn revive_pause(restart: &RestartSpec, deaths: u32) -> Duration {
    let doublings = deaths.saturating_sub(1).min(16);
    restart.first.saturating_mul(1 << doublings).min(restart.longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_limit() {
        assert_eq!(poll_pause(0), Duration::from_millis(20));
        assert_eq!(poll_pause(1000), Duration::from_secs(1));
        let after = |polls: u32| (0..polls).map(poll_pause).sum::<Duration>();
        assert!((1..150).all(|n| poll_pause(n) <= Duration::from_millis(21) + after(n) / 50));
        assert!((1..30).all(|n| poll_pause(n) >= poll_pause(n - 1)));
        let restart = RestartSpec { first: Duration::from_millis(500), longest: Duration::from_secs(30) };
        assert_eq!(revive_pause(&restart, 1), Duration::from_millis(500));
        assert_eq!(revive_pause(&restart, 2), Duration::from_secs(1));
        assert_eq!(revive_pause(&restart, 99), Duration::from_secs(30));
    }
}
