//! Random traffic: requests come by chance (Poisson), each fails or takes its time by chance.

use std::time::Duration;

use cutover_core::histogram::{BUCKETS, Histogram, bucket};
use cutover_core::rule::verdict::Counts;

/// The old release's answers: log-normal around 50 ms, so that 99 of 100 take at most 202 ms; one in a hundred fails.
const MEDIAN_US: f64 = 50_000.0;
const SPREAD: f64 = 0.6;
const Z99: f64 = 2.326_347_9;
const ERRORS: f64 = 0.01;

/// A release, compared with the old one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Just like it.
    Same,
    /// Three times as many errors.
    Errors,
    /// The median is the same, the slow ones are slower: a doubled p99.
    Tail,
    /// Two requests in a hundred take 450 ms: a p99 of more than twice as much, and nothing else.
    Stalls,
}

impl Release {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Same, Self::Errors, Self::Tail, Self::Stalls];

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Same => "like the old one",
            Self::Errors => "3 % errors, was 1 %",
            Self::Tail => "p99 doubled",
            Self::Stalls => "2 % stall",
        }
    }

    fn errors(self) -> f64 {
        if self == Self::Errors { 3.0 * ERRORS } else { ERRORS }
    }

    /// The share of each bucket among the answers that are no errors.
    fn buckets(self) -> Vec<f64> {
        match self {
            Self::Tail => log_normal(SPREAD + std::f64::consts::LN_2 / Z99),
            Self::Stalls => {
                let mut shares: Vec<f64> = log_normal(SPREAD).iter().map(|share| share * 0.98).collect();
                shares[bucket(450_000)] += 0.02;
                shares
            }
            _ => log_normal(SPREAD),
        }
    }
}

/// The old p99.
pub fn usual_p99() -> Duration {
    Duration::from_secs_f64(MEDIAN_US * (SPREAD * Z99).exp() / 1e6)
}

fn log_normal(spread: f64) -> Vec<f64> {
    let mut shares = vec![0.0; BUCKETS];
    const STEPS: i32 = 60_000;
    for step in -STEPS..=STEPS {
        let z = 6.0 * f64::from(step) / f64::from(STEPS);
        shares[bucket((MEDIAN_US * (spread * z).exp()) as u64)] += (-z * z / 2.0).exp();
    }
    let all: f64 = shares.iter().sum();
    shares.iter().map(|share| share / all).collect()
}

/// Traffic to a release at some rate.
pub struct Stream {
    errors: Poisson,
    buckets: Vec<Poisson>,
}

impl Stream {
    /// So many requests a second.
    pub fn new(release: Release, rate: f64) -> Self {
        let good = rate * (1.0 - release.errors());
        let buckets = release.buckets().into_iter().map(|share| Poisson::new(good * share)).collect();
        Self { errors: Poisson::new(rate * release.errors()), buckets }
    }

    /// Counts one second.
    pub fn second(&self, dice: &mut Dice, counts: &mut Counts) {
        let errors = self.errors.draw(dice);
        let answers = Histogram::from_counts(self.buckets.iter().map(|bucket| bucket.draw(dice)));
        counts.requests += errors + answers.total();
        counts.errors += errors;
        counts.latency.get_or_insert_default().add(&answers);
    }
}

/// How many come in a second, by chance.
struct Poisson {
    mean: f64,
    none: f64,
}

impl Poisson {
    fn new(mean: f64) -> Self {
        Self { mean, none: (-mean).exp() }
    }

    fn draw(&self, dice: &mut Dice) -> u64 {
        if self.mean <= 0.0 {
            return 0;
        }
        let (mut term, mut left, mut count) = (self.none, dice.unit(), 0);
        while left > term && count < 100_000 {
            left -= term;
            count += 1;
            term *= self.mean / count as f64;
        }
        count
    }
}

/// Marsaglia's xorshift.
pub struct Dice(u64);

impl Dice {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        let mut dice = Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        for _ in 0..8 {
            dice.unit();
        }
        dice
    }

    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}
