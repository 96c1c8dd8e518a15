//! What a fixed threshold makes of the same traffic: over the last minute more than 5 % errors, or a p99 of more than one and a half
//! times the usual one. It is told the usual one, and judges from its first whole minute on.

use std::collections::VecDeque;

use cutover_core::rule::verdict::Counts;

use super::stream::usual_p99;

const WINDOW: usize = 60;

/// The readings of the last minute.
#[derive(Default)]
pub struct Threshold {
    readings: VecDeque<Counts>,
}

impl Threshold {
    /// Takes in the counts of a second, and says whether the threshold is crossed.
    pub fn crossed(&mut self, now: &Counts) -> bool {
        self.readings.push_back(now.clone());
        if self.readings.len() < WINDOW {
            return false;
        }
        let old = if self.readings.len() == WINDOW { Some(Counts::default()) } else { self.readings.pop_front() };
        old.is_some_and(|old| too_bad(&old, now))
    }
}

fn too_bad(old: &Counts, now: &Counts) -> bool {
    let (requests, errors) = (now.requests - old.requests, now.errors - old.errors);
    let latency = now.latency.clone().unwrap_or_default();
    let recent = old.latency.as_ref().map_or(latency.clone(), |old| latency.since(old));
    let slow = recent.quantile(0.99).is_some_and(|p99| p99 > usual_p99().mul_f64(1.5));
    requests > 0 && (errors as f64 > 0.05 * requests as f64 || slow)
}
