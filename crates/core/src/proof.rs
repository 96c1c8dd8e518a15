//! The proof that ends every deployment: what was counted at the router while it ran.

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::stats::ServiceStats;

/// What the router had counted when a deployment began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The counters of the service.
    pub counters: ServiceStats,
    /// The latency of the minute before.
    pub before: Histogram,
}

/// What the router counted from the plan to the end of the watch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proof {
    /// Requests that an instance answered.
    pub served: u64,
    /// Requests that got no whole answer from an instance.
    pub failed: u64,
    /// Answers with status 500 to 599 that an instance gave.
    pub errors: u64,
    /// Requests sent a second time, because the first time provably nothing was processed.
    pub retried: u64,
    /// The longest time in which requests waited and none was answered, in microseconds.
    pub longest_gap_us: u64,
    /// Streams that were open on the old release when the traffic moved, and were left open.
    pub streams_kept: u64,
    /// The minute before: half of the answers took at most this long, in microseconds.
    pub p50_before_us: Option<u64>,
    /// The minute before: 99 of 100.
    pub p99_before_us: Option<u64>,
    /// Meanwhile: half of the answers.
    pub p50_us: Option<u64>,
    /// Meanwhile: 99 of 100.
    pub p99_us: Option<u64>,
    /// From the moment the last new instance was ready until the router had acknowledged that it gets all new requests.
    pub ready_to_traffic_ms: Option<u64>,
    /// How long the whole deployment took up to here.
    pub took_ms: u64,
    /// How often the proxy was gone and came back. Its counts before that are not included.
    pub proxy_restarts: u32,
}

impl Proof {
    /// The counters' part of the proof. Without a baseline the router did not know the service when the deployment began; a
    /// counter that is lower than it was began anew (the proxy restarted) and counts from zero.
    pub fn since(baseline: Option<&Baseline>, end: &ServiceStats) -> Self {
        let begin = baseline.map(|baseline| &baseline.counters);
        let since = |now: u64, then: fn(&ServiceStats) -> u64| {
            let then = begin.map_or(0, then);
            if now >= then { now - then } else { now }
        };
        let latency = begin.map_or_else(|| end.latency.clone(), |begin| end.latency.since(&begin.latency));
        let before = baseline.map(|baseline| &baseline.before);
        Self {
            served: since(end.served, |s| s.served),
            failed: since(end.failed, |s| s.failed),
            errors: since(end.errors, |s| s.errors),
            retried: since(end.retried, |s| s.retried),
            longest_gap_us: end.longest_gap_us,
            p50_before_us: before.and_then(|before| micros(before, 0.5)),
            p99_before_us: before.and_then(|before| micros(before, 0.99)),
            p50_us: micros(&latency, 0.5),
            p99_us: micros(&latency, 0.99),
            ..Self::default()
        }
    }
}

fn micros(latency: &Histogram, share: f64) -> Option<u64> {
    latency.quantile(share).map(|time| u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}
