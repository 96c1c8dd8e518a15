//! What a look found, with all numbers, and how that reads.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::compare::{Comparison, What};
use super::{BaselineKind, Outcome};

/// What a look found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Why the outcome is what it is.
    pub reason: Reason,
    /// What it was compared with.
    pub baseline: BaselineKind,
    /// How many looks there have been, this one included if it was one.
    pub looks: u32,
    /// Time since the comparison began.
    pub elapsed: Duration,
    /// How long it is planned to last.
    pub length: Duration,
    /// The comparisons that were made.
    pub comparisons: Vec<Comparison>,
}

/// Why an outcome is what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum Reason {
    /// Fail: a comparison found the candidate worse.
    Worse,
    /// Pass: the time is over, nothing was found, and a material difference would have been.
    NotWorse,
    /// The time is over and nothing was found, but not enough was seen to say so.
    TooFew {
        /// How many more requests the candidate would need; `None` if no number would do, because the baseline is too small.
        more: Option<u64>,
    },
    /// Nothing has been found so far; the comparison goes on.
    GoesOn,
    /// There is nothing to compare with.
    NoBaseline,
    /// What it is compared with has no requests.
    EmptyBaseline,
    /// The candidate has had no requests.
    EmptyCandidate,
    /// Latencies are measured, but there are none of one side.
    NoLatencies,
    /// A counter is lower than it was: it began anew, and what it counted before is lost.
    BeganAnew,
    /// Counts that cannot be: more errors than requests, or more than could ever be counted.
    Impossible,
    /// It had ended before.
    Ended {
        /// How.
        outcome: Outcome,
    },
}

impl Reason {
    /// The outcome it stands for.
    pub fn outcome(self) -> Outcome {
        match self {
            Reason::Worse => Outcome::Fail,
            Reason::NotWorse => Outcome::Pass,
            Reason::Ended { outcome } => outcome,
            _ => Outcome::NotEnoughData,
        }
    }
}

impl Findings {
    /// The outcome.
    pub fn outcome(&self) -> Outcome {
        self.reason.outcome()
    }

    /// What was found worse, in a line.
    pub fn worse(&self) -> Option<String> {
        let comparison = self.comparisons.iter().find(|comparison| comparison.worse())?;
        Some(self.line(comparison).to_string())
    }

    fn line<'a>(&self, comparison: &'a Comparison) -> Line<'a> {
        let when = if self.baseline == BaselineKind::Earlier { "before" } else { "at the same time" };
        Line { comparison, when }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Outcome::Pass => "pass",
            Outcome::Fail => "fail",
            Outcome::NotEnoughData => "not enough data",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Worse => f.write_str("the new release is worse"),
            Reason::NotWorse => {
                f.write_str("nothing was found, and three times as many errors or slow answers would have been")
            }
            Reason::TooFew { more: Some(more) } => {
                write!(f, "nothing was found, but about {} more requests are needed to be sure", thousands(*more))
            }
            Reason::TooFew { more: None } => {
                f.write_str("nothing was found, but the old release had too few requests for any answer")
            }
            Reason::GoesOn => f.write_str("nothing has been found so far"),
            Reason::NoBaseline => f.write_str("there is nothing to compare with"),
            Reason::EmptyBaseline => f.write_str("the old release had no requests to compare with"),
            Reason::EmptyCandidate => f.write_str("the new release has had no requests"),
            Reason::NoLatencies => f.write_str("no latencies are known of one of the two"),
            Reason::BeganAnew => f.write_str("a counter began anew, what it had counted is lost"),
            Reason::Impossible => f.write_str("the counts cannot be right"),
            Reason::Ended { .. } => f.write_str("it had ended before"),
        }
    }
}

/// `fail: the new release is worse (look 12, after 10s of 5m)`, a line for each comparison, and what all of it assumes.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = crate::unit::duration::text;
        write!(f, "{}: {} (look {}, ", self.outcome(), self.reason, self.looks)?;
        write!(f, "after {} of {})", time(self.elapsed), time(self.length))?;
        for comparison in &self.comparisons {
            write!(f, "\n  {}", self.line(comparison))?;
        }
        if !self.comparisons.is_empty() && self.comparisons.iter().all(|comparison| comparison.what == What::Errors) {
            f.write_str("\n  latency: not compared: not measured here, or not yet behind `settle`")?;
        }
        write!(f, "\n  assumed: {}", self.baseline.assumption())
    }
}

struct Line<'a> {
    comparison: &'a Comparison,
    when: &'static str,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { what, candidate, baseline, times, chance, limit, .. } = self.comparison;
        let name = match what {
            What::Errors => "errors",
            What::Median => "p50",
            What::Tail => "p99",
        };
        write!(f, "{name}: ")?;
        if let Some(times) = times {
            let (new, old, cut) = (millis(times.candidate), millis(times.baseline), millis(times.cut));
            write!(f, "{new} against {old} {}; slower than {cut}: ", self.when)?;
        }
        let part = |hits: &super::Hits| {
            format!("{} of {} ({:.2} %)", thousands(hits.hits), thousands(hits.of), 100.0 * hits.share())
        };
        write!(f, "{} against {}", part(candidate), part(baseline))?;
        if times.is_none() {
            write!(f, " {}", self.when)?;
        }
        write!(f, "; chance of so large a difference by luck {chance}, limit at this look {limit} → {}", self.word())
    }
}

impl Line<'_> {
    fn word(&self) -> &'static str {
        match (self.comparison.chance <= self.comparison.limit, self.comparison.material) {
            (true, true) => "worse",
            (true, false) => "a real difference, but too small to count",
            (false, _) => "could be luck",
        }
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis < 10.0 { format!("{millis:.2} ms") } else { format!("{millis:.0} ms") }
}
