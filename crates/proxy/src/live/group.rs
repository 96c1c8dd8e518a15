//! Targets that stand for each other, and the choice among them.
//!
//! Equal weights: the target with the fewest requests in flight, ties in turn. Unequal weights: shares matter (a canary with
//! 5 % must get 5 % also when there is one request at a time, or its verdict has no data), so the turn decides, and a target
//! is passed over only while it has more in flight than its share of all. Turns are one precomputed cycle in
//! which each target appears as often as its weight says, evenly spread ("smooth" weighted round robin).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use cutover_core::table::Balance;

use super::target::LiveTarget;

/// Some of the serving targets of a service.
#[derive(Debug)]
pub struct Group {
    serving: Vec<Serving>,
    balance: Balance,
    total: u64,
    even: bool,
    cycle: Vec<u16>,
    turn: AtomicUsize,
}

/// A target and its weight.
#[derive(Debug, Clone)]
pub struct Serving {
    /// The target.
    pub target: Arc<LiveTarget>,
    /// Its share, relative to the others.
    pub weight: u64,
}

impl Group {
    /// Of these.
    pub fn new(serving: Vec<Serving>, balance: Balance) -> Self {
        let weights: Vec<u64> = serving.iter().map(|s| s.weight).collect();
        let even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let total = weights.iter().sum();
        Self { cycle: cycle(&weights), turn: AtomicUsize::new(0), balance, serving, total, even }
    }

    /// Chooses one, leaving out those that this request has `tried`. Targets that just refused a connection are passed over,
    /// unless all did: then one may as well be asked again.
    pub fn choose(&self, tried: &[u64], now: u64) -> Option<&Arc<LiveTarget>> {
        if let [only] = self.serving.as_slice() {
            return (!tried.contains(&only.target.serial)).then_some(&only.target);
        }
        let open = |s: &Serving| !tried.contains(&s.target.serial);
        // One turn for both looks: with two, every second turn would be skipped while all are shy.
        let turn = self.turn.fetch_add(1, Relaxed);
        self.pick(turn, |s| open(s) && !s.target.shy(now)).or_else(|| self.pick(turn, open))
    }

    /// The same without those that just refused a connection: for whom others can stand in.
    pub fn choose_reachable(&self, tried: &[u64], now: u64) -> Option<&Arc<LiveTarget>> {
        let turn = self.turn.fetch_add(1, Relaxed);
        self.pick(turn, |s| !tried.contains(&s.target.serial) && !s.target.shy(now))
    }

    fn pick(&self, turn: usize, open: impl Fn(&Serving) -> bool) -> Option<&Arc<LiveTarget>> {
        let first = usize::from(*self.cycle.get(turn % self.cycle.len().max(1))?);
        let in_turn = || (0..self.serving.len()).map(|i| &self.serving[(first + i) % self.serving.len()]);
        let mut candidates = in_turn().filter(|s| open(s));
        if self.balance == Balance::RoundRobin {
            return candidates.next().map(|s| &s.target);
        }
        let load = |s: &Serving| s.target.gate.load().in_flight;
        if !self.even {
            let all: u64 = self.serving.iter().map(load).sum();
            // At most its share of all, counting this request, rounded up.
            let fair = |s: &&Serving| load(s) * self.total < (all + 1) * s.weight + self.total;
            if let Some(within) = in_turn().filter(|s| open(s)).find(fair) {
                return Some(&within.target);
            }
        }
        // The first of equal minima wins, and the turn decides who is first.
        let first = candidates.next()?;
        let least = candidates.fold((first, load(first)), |(best, its), other| {
            let load = load(other);
            if load * best.weight < its * other.weight { (other, load) } else { (best, its) }
        });
        Some(&least.0.target)
    }
}

/// A cycle in which each index appears `weight` times (after division by their greatest common divisor), evenly spread.
fn cycle(weights: &[u64]) -> Vec<u16> {
    let divisor = weights.iter().fold(0, |a, &b| gcd(a, b)).max(1);
    let weights: Vec<i64> = weights.iter().map(|w| i64::try_from(w / divisor).unwrap_or(i64::MAX)).collect();
    let total: i64 = weights.iter().sum();
    let mut credit = vec![0; weights.len()];
    let mut next = || {
        for (credit, weight) in credit.iter_mut().zip(&weights) {
            *credit += weight;
        }
        let richest = (0..credit.len()).rev().max_by_key(|&i| credit[i]).unwrap_or(0);
        if let Some(credit) = credit.get_mut(richest) {
            *credit -= total;
        }
        u16::try_from(richest).unwrap_or(0)
    };
    (0..total).map(|_| next()).collect()
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
