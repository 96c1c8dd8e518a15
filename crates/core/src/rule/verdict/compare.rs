//! The three comparisons: errors, the usual latency, and that of the slowest.
//!
//! Latencies are compared by the median test (Westenberg 1948; Mood 1950; Brown and Mood 1951) and the same at the p99: both
//! histograms are laid together, the slower half or the slowest few of all are marked, as nearly as whole buckets allow, and
//! Fisher's test says whether too many of the marked are the candidate's. If both are alike, who is marked has nothing to do with
//! where it ran, so the test is exact, with ties and without any assumption on the shape.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::exact::{Hits, chance_of_so_many};
use super::{Counts, Limits, Share};
use crate::histogram::{Histogram, upper_edge};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Answers 500 to 599 and requests without a whole answer.
    Errors,
    /// How many are slower than half of all.
    Median,
    /// How many are among the slowest.
    Tail,
}

/// One comparison, with everything it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparison {
    /// What is compared.
    pub what: What,
    /// The candidate's errors or slow answers.
    pub candidate: Hits,
    /// The baseline's.
    pub baseline: Hits,
    /// The latencies, if it is about those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<Times>,
    /// The chance of so large a difference, or a larger one, if both are alike.
    pub chance: Share,
    /// At most so small it must be.
    pub limit: Share,
    /// Whether the difference is large enough to matter.
    pub material: bool,
}

/// The latencies of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times {
    /// Answers that took longer were counted as slow.
    pub cut: Duration,
    /// The candidate's median or p99.
    pub candidate: Duration,
    /// The baseline's.
    pub baseline: Duration,
}

impl What {
    /// How many quarters of the false-alarm rate its test may use.
    pub(super) fn quarters(self) -> u64 {
        match self {
            What::Errors => 2,
            What::Median | What::Tail => 1,
        }
    }
}

impl Comparison {
    /// Whether the candidate is worse: clearly and materially.
    pub fn worse(&self) -> bool {
        self.chance <= self.limit && self.material
    }
}

/// Compares errors.
pub(super) fn errors(limits: &Limits, candidate: &Counts, baseline: &Counts, limit: Share) -> Comparison {
    let hits = |counts: &Counts| Hits { hits: counts.errors, of: counts.requests };
    let (candidate, baseline) = (hits(candidate), hits(baseline));
    let material = candidate.share() - baseline.share() >= limits.tolerance.as_f64();
    let chance = Share::at_least(chance_of_so_many(candidate, baseline));
    Comparison { what: What::Errors, candidate, baseline, times: None, chance, limit, material }
}

/// Compares latencies around the median or the p99. Neither histogram is empty.
pub(super) fn latency(
    what: What,
    limits: &Limits,
    candidate: &Histogram,
    baseline: &Histogram,
    limit: Share,
) -> Comparison {
    let quantile = if what == What::Tail { 0.99 } else { 0.5 };
    let marked = first_marked(candidate, baseline, wanted(what, candidate.total(), baseline.total()));
    let hits = |histogram: &Histogram| Hits { hits: above(histogram, marked), of: histogram.total() };
    let times = Times {
        cut: lower_edge(marked),
        candidate: quantile_within(candidate, quantile),
        baseline: quantile_within(baseline, quantile),
    };
    let material = slower(limits, times);
    let (candidate, baseline) = (hits(candidate), hits(baseline));
    let chance = Share::at_least(chance_of_so_many(candidate, baseline));
    Comparison { what, candidate, baseline, times: Some(times), chance, limit, material }
}

fn slower(limits: &Limits, times: Times) -> bool {
    let percent = 100 + u128::from(limits.slower_percent);
    times.candidate.as_nanos() * 100 >= times.baseline.as_nanos() * percent
        && times.candidate >= times.baseline.saturating_add(limits.slower_least)
}

/// How many are to be marked: half of all; or of the slowest, one for each hundred requests of the baseline and two for each hundred
/// of the candidate. A hundredth of all would be too few if most requests are the candidate's: nearly all marked are its own then
/// anyway, and that more of them are tells little. Two lies between one, if it is no worse, and the three that must be noticed.
fn wanted(what: What, candidate: u64, baseline: u64) -> f64 {
    let (candidate, baseline) = (candidate as f64, baseline as f64);
    if what == What::Tail { 0.02 * candidate + 0.01 * baseline } else { 0.5 * (candidate + baseline) }
}

/// The bucket from which on all are marked: of all ways to cut between two buckets, the one whose odds to be marked are closest to those of
/// `wanted` of both together. By odds, and not by number, because nearly all says as little as nearly none. The cut depends on the two
/// taken together alone, which is what makes the test exact.
fn first_marked(one: &Histogram, other: &Histogram, wanted: f64) -> usize {
    let total = one.total() + other.total();
    let odds = |marked: f64| marked / (total as f64 - marked);
    let (mut marked, mut closest) = (0, (f64::INFINITY, 0));
    for (bucket, (a, b)) in one.counts().iter().zip(other.counts()).enumerate().rev() {
        marked += a + b;
        if (1..total).contains(&marked) {
            let off = (odds(marked as f64) / odds(wanted)).ln().abs();
            if off < closest.0 {
                closest = (off, bucket);
            }
        }
    }
    closest.1
}

fn above(histogram: &Histogram, first: usize) -> u64 {
    histogram.counts().iter().skip(first).sum()
}

fn lower_edge(bucket: usize) -> Duration {
    bucket.checked_sub(1).map_or(Duration::ZERO, upper_edge)
}

/// The quantile, taken to lie within its bucket as if that were evenly filled: by whole buckets, a difference of two per cent could
/// look like one of twenty-five.
fn quantile_within(histogram: &Histogram, quantile: f64) -> Duration {
    let rank = (histogram.total() as f64 * quantile).max(1.0);
    let mut seen = 0.0;
    for (bucket, count) in histogram.counts().iter().enumerate() {
        let count = *count as f64;
        if count > 0.0 && seen + count >= rank {
            let low = lower_edge(bucket);
            return low + (upper_edge(bucket).saturating_sub(low)).mul_f64((rank - seen) / count);
        }
        seen += count;
    }
    Duration::ZERO
}
