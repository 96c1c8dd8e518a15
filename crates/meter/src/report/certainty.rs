//! What a count of failures says about the rate of failures.
//!
//! Zero failures in a thousand requests do not mean that nothing ever fails. The bound here is the exact one of Clopper and
//! Pearson (1934), one-sided: were the true rate any higher, so few failures would be seen in less than 5 of 100 runs. With no
//! failure at all it is `1 - 0.05^(1/n)`, for which 3/n is the rule of thumb.

use serde::Serialize;

/// How likely an even better result than seen must at most be.
const DOUBT: f64 = 0.05;

/// An upper bound for the true rate of failures.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Certainty {
    /// Failures seen.
    pub failures: u64,
    /// Requests that were answered or failed.
    pub requests: u64,
    /// With 95 % confidence, fewer than this many of a million requests fail.
    pub per_million: f64,
}

impl Certainty {
    pub(crate) fn of(failures: u64, requests: u64) -> Self {
        Self { failures, requests, per_million: upper(failures, requests) * 1e6 }
    }
}

/// The rate at which `failures` or fewer in `requests` have the probability [`DOUBT`].
fn upper(failures: u64, requests: u64) -> f64 {
    if failures >= requests {
        return 1.0;
    }
    let (k, n) = (failures as f64, requests as f64);
    if failures == 0 {
        // The difference from 1 is too small for a plain power to keep its digits.
        return -(DOUBT.ln() / n).exp_m1();
    }
    // P(X <= k) = 1 - I_p(k + 1, n - k) falls as p grows, so the bound is found by halving.
    let (mut low, mut high) = (k / n, 1.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if beta(middle, k + 1.0, n - k) < 1.0 - DOUBT {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The regularised incomplete beta function `I_x(a, b)`.
fn beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return x.clamp(0.0, 1.0);
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (-x).ln_1p()).exp();
    // The fraction converges fast only on this side; the other is its mirror image.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * fraction(x, a, b) / a
    } else {
        1.0 - front * fraction(1.0 - x, b, a) / b
    }
}

/// The continued fraction of the incomplete beta function, by Lentz's method.
fn fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    const ENOUGH: usize = 10_000;
    let safe = |value: f64| if value.abs() < TINY { TINY } else { value };
    let (mut c, mut d) = (1.0, 1.0 / safe(1.0 - (a + b) * x / (a + 1.0)));
    let mut result = d;
    for step in 1..ENOUGH {
        let m = step as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / safe(1.0 + term * d);
            c = safe(1.0 + term / c);
            change = d * c;
            result *= change;
        }
        if (change - 1.0).abs() < 1e-15 {
            break;
        }
    }
    result
}

/// The logarithm of the gamma function: Stirling's series, reached from smaller arguments by the recurrence.
fn ln_gamma(mut x: f64) -> f64 {
    let mut shift = 0.0;
    while x < 15.0 {
        shift -= x.ln();
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5)) - 1.0 / (1680.0 * x.powi(7));
    shift + (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail with `k + 1` replaced by `k` in `upper`.
    #[test]
    fn the_bound_is_the_one_in_the_tables() {
        // One-sided 95 % Clopper-Pearson bounds, by R's qbeta(0.95, k + 1, n - k).
        for (failures, requests, expected) in [
            (0, 1, 0.95),
            (0, 10, 0.258_866),
            (0, 1000, 0.002_991_3),
            (1, 10, 0.394_163),
            (5, 10, 0.777_559),
            (10, 10, 1.0),
        ] {
            let found = upper(failures, requests);
            assert!((found - expected).abs() < 1e-6, "{failures} of {requests}: {found}");
        }
        assert!((upper(0, 1_000_000_000) * 1e9 - 2.995_73).abs() < 1e-4);
    }

    /// The definition, checked by adding up the binomial distribution itself.
    #[test]
    fn at_the_bound_so_few_failures_have_the_probability_of_the_doubt() {
        for (failures, requests) in [(1u64, 50u64), (3, 200), (20, 400), (150, 300), (299, 300)] {
            let p = upper(failures, requests);
            let mut sum = 0.0;
            let mut ln_choose = 0.0;
            for i in 0..=failures {
                if i > 0 {
                    ln_choose += ((requests - i + 1) as f64 / i as f64).ln();
                }
                sum += (ln_choose + i as f64 * p.ln() + (requests - i) as f64 * (-p).ln_1p()).exp();
            }
            assert!((sum - DOUBT).abs() < 1e-8, "{failures} of {requests}: {sum}");
        }
    }

    #[test]
    fn many_failures_of_many_requests_are_no_trouble() {
        let found = upper(50_000, 10_000_000);
        assert!(found > 0.005 && found < 0.005_05, "{found}");
    }
}
