//! A latency histogram with fixed buckets, so that two of them can be added and subtracted.
//!
//! Buckets grow by a quarter of a power of two, from 1 µs to over an hour: a quantile read from it is at most 25 % too high.
//! Counting is one addition, which is why the proxy can afford it on each request.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How many buckets there are.
pub const BUCKETS: usize = 128;

/// Counts by duration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Histogram {
    counts: Vec<u64>,
}

/// As it is written: zeros at the end are left out, for most histograms end long before an hour.
#[derive(Serialize, Deserialize)]
struct Written {
    counts: Vec<u64>,
}

impl From<Written> for Histogram {
    fn from(Written { counts }: Written) -> Self {
        Self::from_counts(counts)
    }
}

impl From<Histogram> for Written {
    fn from(Histogram { mut counts }: Histogram) -> Self {
        counts.truncate(counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1));
        Self { counts }
    }
}

/// The bucket of a duration given in microseconds.
pub fn bucket(micros: u64) -> usize {
    let value = micros.max(1);
    let power = 63 - value.leading_zeros() as usize;
    let quarter = if power >= 2 { (value >> (power - 2)) & 3 } else { (value << (2 - power)) & 3 };
    (power * 4 + quarter as usize).min(BUCKETS - 1)
}

/// The upper edge of a bucket: no duration in it is longer, but in the last.
pub fn upper_edge(bucket: usize) -> Duration {
    let (power, quarter) = (bucket / 4, (bucket % 4) as u64);
    Duration::from_nanos((1000u64 << power) / 4 * (5 + quarter))
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS] }
    }
}

impl Histogram {
    /// From counts by bucket; missing ones are zero, those beyond the last are dropped.
    pub fn from_counts(counts: impl IntoIterator<Item = u64>) -> Self {
        let mut counts: Vec<u64> = counts.into_iter().take(BUCKETS).collect();
        counts.resize(BUCKETS, 0);
        Self { counts }
    }

    /// Counts one duration.
    pub fn record(&mut self, time: Duration) {
        self.counts[bucket(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))] += 1;
    }

    /// The counts by bucket, the shortest durations first.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The duration that the given share (0 to 1) does not exceed; `None` if nothing was counted.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        let rank = ((share * total as f64).ceil() as u64).clamp(1, total);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map(upper_edge)
    }

    /// What was counted since `earlier`, an older reading of the same counter. A counter that began anew counts from zero.
    pub fn since(&self, earlier: &Self) -> Self {
        if self.counts.iter().zip(&earlier.counts).any(|(now, then)| now < then) {
            return self.clone();
        }
        Self::from_counts(self.counts.iter().zip(&earlier.counts).map(|(now, then)| now - then))
    }

    /// Adds the counts of another.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_what_its_edges_say() {
        for micros in (1..5_000).chain([65_535, 65_536, 1_000_000, 3_600_000_000]) {
            let bucket = bucket(micros);
            assert!(upper_edge(bucket) >= Duration::from_micros(micros), "{micros} µs above bucket {bucket}");
            if bucket > 0 && bucket < BUCKETS - 1 && micros > 4 {
                let edge = upper_edge(bucket).as_nanos() as f64;
                assert!(edge / (micros as f64 * 1000.0) <= 1.26, "{micros} µs reads as {edge} ns");
            }
        }
    }

    #[test]
    fn it_is_written_without_the_zeros_at_its_end() {
        let mut histogram = Histogram::default();
        assert_eq!(serde_json::to_string(&histogram).unwrap(), r#"{"counts":[]}"#);
        histogram.record(Duration::from_micros(2));
        let text = serde_json::to_string(&histogram).unwrap();
        assert_eq!(text, r#"{"counts":[0,0,0,0,1]}"#);
        let read: Histogram = serde_json::from_str(&text).unwrap();
        assert_eq!((&read, read.counts().len()), (&histogram, BUCKETS));
    }

    #[test]
    fn quantiles_come_from_the_counts() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for millis in 1..=100 {
            histogram.record(Duration::from_millis(millis));
        }
        let median = histogram.quantile(0.5).unwrap().as_millis();
        assert!((50..=63).contains(&median), "median {median}");
        let later = {
            let mut later = histogram.clone();
            later.record(Duration::from_secs(5));
            later
        };
        assert_eq!(later.since(&histogram).total(), 1);
        assert_eq!(histogram.since(&later).total(), 100, "a counter that began anew");
    }
}
