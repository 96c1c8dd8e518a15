//! Whether an instance may be told to stop.

use crate::stats::TargetStats;
use crate::unit::Timestamp;

/// How far an instance is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// It has nothing in hand.
    Empty,
    /// Requests have ended; this many streams are open.
    OnlyStreams(u64),
    /// This many requests are in flight.
    Busy(u64),
    /// Requests were still in flight when the limit passed: this many are cut.
    LimitPassed(u64),
}

/// How far an instance is drained that gets nothing new. `None` for the counters means the router does not know it any more
/// and has nothing in hand for it.
pub fn drained(stats: Option<&TargetStats>, now: Timestamp, limit: Timestamp) -> Drained {
    match stats {
        None => Drained::Empty,
        Some(stats) if stats.in_flight > 0 && now >= limit => Drained::LimitPassed(stats.in_flight),
        Some(stats) if stats.in_flight > 0 => Drained::Busy(stats.in_flight),
        Some(stats) if stats.idle > 0 && now < limit => Drained::Busy(0),
        Some(stats) if stats.streams > 0 => Drained::OnlyStreams(stats.streams),
        Some(_) => Drained::Empty,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_first_then_idle_connections_then_streams() {
        let stats = |in_flight, idle, streams| TargetStats {
            instance: "web.r1.i1".parse().unwrap(),
            in_flight,
            streams,
            idle,
            served: 0,
            failed: 0,
            errors: 0,
            latency: None,
            ejected: false,
        };
        let (before, limit, after) = (Timestamp(9), Timestamp(10), Timestamp(10));
        let at = |s: TargetStats, now| drained(Some(&s), now, limit);
        assert_eq!(at(stats(2, 1, 1), before), Drained::Busy(2));
        assert_eq!(at(stats(2, 1, 1), after), Drained::LimitPassed(2));
        assert_eq!(at(stats(0, 1, 0), before), Drained::Busy(0), "an idle connection could still carry a request");
        assert_eq!(at(stats(0, 0, 3), before), Drained::OnlyStreams(3));
        assert_eq!(at(stats(0, 0, 0), before), Drained::Empty);
        assert_eq!(drained(None, before, limit), Drained::Empty);
    }
}
