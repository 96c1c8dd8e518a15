//! The verdict: is the new release (the candidate) worse than the old one (the baseline)?
//!
//! Looked at each second or so, from counts alone:
//!
//! - **Errors** by Fisher's exact test, one-sided (Fisher 1935; the most powerful unbiased one: Tocher 1950, Lehmann and Romano,
//!   *Testing Statistical Hypotheses*, 2005, 4.5). **Latency** by the median test and the same at the p99 (`compare`).
//! - A difference must be clear *and* material to fail: with millions of requests, any difference is clear.
//! - **Many looks** share one false-alarm rate by a plan of looks made in advance and a union bound (`looks`): a deployment whose
//!   new release is just like the old one fails with at most the chance `false_alarm`, however often one asks. Half of the
//!   rate is for errors, a quarter for each latency, and canary steps get even parts.
//! - **Pass** needs proof too: at the end, a release that is materially worse would have been noticed with 95 % (`power`).
//! - What is missing, empty or impossible says nothing, neither good nor bad.
//!
//! All of it assumes that one request's fate says nothing of another's. A burst of errors with one cause breaks that.
//!
//! Deliberately absent: the clock, reading counters, and what is done about a verdict.

mod compare;
mod exact;
mod findings;
mod looks;
mod outside;
mod power;
mod share;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::histogram::Histogram;
use crate::unit::duration;

pub use compare::{Comparison, Times, What};
pub use exact::Hits;
pub use findings::{Findings, Reason};
pub use looks::{Memory, Moment};
pub use outside::Bounds;
pub use share::{NoShare, Share};

use looks::Turn;

/// What is said of a new release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is not materially worse.
    Pass,
    /// It is worse.
    Fail,
    /// Neither can be said (yet).
    NotEnoughData,
}

/// The settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How often a release that is just like the old one may fail, as a share of deployments.
    pub false_alarm: Share,
    /// The share of errors must be higher by at least this to matter.
    pub tolerance: Share,
    /// The median or the p99 must be longer by at least so many per cent to matter ...
    pub slower_percent: u32,
    /// ... and by at least this time.
    #[serde(with = "duration")]
    pub slower_least: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            false_alarm: Share::millionths(10_000),
            tolerance: Share::millionths(1_000),
            slower_percent: 20,
            slower_least: Duration::from_millis(1),
        }
    }
}

/// What was counted on one side.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Requests that have ended, well or not.
    pub requests: u64,
    /// Of those: answers with status 500 to 599, and those that got no whole answer.
    pub errors: u64,
    /// How long answers took. `None` if the router does not measure that; then only errors are compared.
    pub latency: Option<Histogram>,
}

/// What the candidate is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Baseline {
    /// The old release's counts since the comparison began, while both serve.
    Concurrent(Counts),
    /// The old release's counts of a time before the switch. They do not change any more.
    Earlier(Counts),
    /// Nothing.
    Absent,
}

/// What a baseline is, without its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BaselineKind {
    /// Both served at the same time.
    Concurrent,
    /// The old release served before the new one.
    Earlier,
    /// There is none.
    Absent,
}

/// The counts at a look, all since the comparison began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The new release's.
    pub candidate: Counts,
    /// The old one's.
    pub baseline: Baseline,
}

impl Baseline {
    /// The counts, if there are any.
    pub fn counts(&self) -> Option<&Counts> {
        match self {
            Baseline::Concurrent(counts) | Baseline::Earlier(counts) => Some(counts),
            Baseline::Absent => None,
        }
    }

    /// What it is.
    pub fn kind(&self) -> BaselineKind {
        match self {
            Baseline::Concurrent(_) => BaselineKind::Concurrent,
            Baseline::Earlier(_) => BaselineKind::Earlier,
            Baseline::Absent => BaselineKind::Absent,
        }
    }
}

impl BaselineKind {
    /// What a comparison with it takes for granted.
    pub fn assumption(self) -> &'static str {
        match self {
            BaselineKind::Concurrent => "both releases get the same kind of requests, at the same time",
            BaselineKind::Earlier => {
                "requests now are like those before the switch; what has changed since around the release is taken for its doing"
            }
            BaselineKind::Absent => "nothing",
        }
    }
}

/// Looks once. The memory that comes back must be durable before anybody acts on the findings.
pub fn judge(limits: &Limits, memory: &Memory, moment: &Moment, sample: &Sample) -> (Findings, Memory) {
    let (reason, comparisons, next) = look(limits, memory, moment, sample);
    let findings = Findings {
        reason,
        baseline: sample.baseline.kind(),
        looks: next.looks,
        elapsed: moment.elapsed,
        length: moment.length,
        comparisons,
    };
    (findings, next)
}

fn look(limits: &Limits, memory: &Memory, moment: &Moment, sample: &Sample) -> (Reason, Vec<Comparison>, Memory) {
    if let Some(outcome) = memory.ended {
        return (Reason::Ended { outcome }, Vec::new(), *memory);
    }
    let baseline = match usable(memory, sample) {
        Ok(baseline) => baseline,
        Err(reason) => {
            let next = if reason == Reason::BeganAnew { memory.passed(sample) } else { *memory };
            return (reason, Vec::new(), next.after(moment, reason));
        }
    };
    let Turn::Look { parts, last } = memory.turn(moment, sample) else {
        return (Reason::GoesOn, Vec::new(), *memory);
    };
    let comparisons = compare_all(limits, moment, parts, &sample.candidate, baseline);
    let measured = sample.candidate.latency.is_some() || baseline.latency.is_some();
    let reason = match conclude(&comparisons, last, sample.baseline.kind()) {
        Reason::NotWorse if measured && comparisons.len() == 1 => Reason::NoLatencies,
        reason => reason,
    };
    (reason, comparisons, memory.looked(moment, sample).after(moment, reason))
}

/// The baseline's counts, if the sample can be judged at all.
fn usable<'a>(memory: &Memory, sample: &'a Sample) -> Result<&'a Counts, Reason> {
    let (candidate, baseline) = (&sample.candidate, sample.baseline.counts().ok_or(Reason::NoBaseline)?);
    let impossible = |counts: &Counts| counts.errors > counts.requests || counts.requests > 1 << 50;
    match () {
        () if impossible(candidate) || impossible(baseline) => Err(Reason::Impossible),
        () if memory.began_anew(sample) => Err(Reason::BeganAnew),
        () if baseline.requests == 0 => Err(Reason::EmptyBaseline),
        () if candidate.requests == 0 => Err(Reason::EmptyCandidate),
        () => Ok(baseline),
    }
}

fn compare_all(limits: &Limits, moment: &Moment, parts: u64, new: &Counts, old: &Counts) -> Vec<Comparison> {
    let limit = |what: What| looks::limit(limits.false_alarm, moment, parts, what.quarters());
    let mut comparisons = vec![compare::errors(limits, new, old, limit(What::Errors))];
    if let (Some(new), Some(old)) = (&new.latency, &old.latency)
        && new.total() > 0
        && old.total() > 0
    {
        let latency = |what| compare::latency(what, limits, new, old, limit(what));
        comparisons.extend([What::Median, What::Tail].map(latency));
    }
    comparisons
}

fn conclude(comparisons: &[Comparison], last: bool, baseline: BaselineKind) -> Reason {
    if comparisons.iter().any(Comparison::worse) {
        return Reason::Worse;
    }
    if !last {
        return Reason::GoesOn;
    }
    let tests = comparisons.iter().filter_map(|comparison| power_test(comparison, baseline));
    match tests.map(|test| test.more_needed()).reduce(|a, b| Some(a?.max(b?))) {
        Some(Some(0)) => Reason::NotWorse,
        more => Reason::TooFew { more: more.flatten() },
    }
}

/// What would have had to be noticed. The median is left out: it needs fewer requests than the others.
fn power_test(comparison: &Comparison, baseline: BaselineKind) -> Option<power::Test> {
    let old = comparison.baseline;
    let baseline_hits = match comparison.what {
        What::Errors => old,
        What::Tail => Hits { hits: old.of.div_ceil(100), of: old.of },
        What::Median => return None,
    };
    Some(power::Test {
        candidate: comparison.candidate.of,
        baseline: baseline_hits,
        limit: comparison.limit,
        grows: baseline == BaselineKind::Concurrent,
    })
}
