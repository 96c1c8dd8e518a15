//! Targets that stand for each other, and the choice among them.
//!
//! Equal weights: the target with the fewest requests in flight, ties in turn. Unequal weights: shares matter (a canary with
//! 5 % must get 5 % also when there is one request at a time, or its verdict has no data), so the turn decides, and a target
//! is passed over only while it has more in flight than its share of all. Turns are one precomputed cycle in
//! which each target appears as often as its weight says, evenly spread ("smooth" weighted round robin).
//!
//! Before that come the wishes of those who are to stay somewhere, and the care for targets that fail or have just begun. All of it is a
//! preference: whom it leaves nobody is served by anybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use cutover_core::rule::{Trust, distance, may_leave_out};
use cutover_core::spread::{Eject, Spread, instance_number, mix};
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
    care: Option<Care>,
}

/// A target and its weight.
#[derive(Debug, Clone)]
pub struct Serving {
    /// The target.
    pub target: Arc<LiveTarget>,
    /// Its share, relative to the others.
    pub weight: u64,
    number: u64,
}

/// Where a client wants to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wish {
    /// To the release that takes clients with this point.
    pub point: Option<u16>,
    /// To the instance that has clients with this number.
    pub key: Option<u64>,
    /// To the instance with this number.
    pub sticky: Option<u64>,
}

/// Whom to go easy on.
#[derive(Debug)]
struct Care {
    eject: Option<Eject>,
    /// In milliseconds.
    slow_start: u64,
}

impl Serving {
    /// With its weight.
    pub fn new(target: Arc<LiveTarget>, weight: u64) -> Self {
        Self { number: instance_number(&target.instance), target, weight }
    }

    fn load(&self) -> u64 {
        self.target.gate.load().in_flight
    }
}

impl Group {
    /// Of these.
    pub fn new(serving: Vec<Serving>, balance: Balance, spread: &Spread) -> Self {
        let weights: Vec<u64> = serving.iter().map(|s| s.weight).collect();
        let even = weights.windows(2).all(|pair| pair[0] == pair[1]);
        let total = weights.iter().sum();
        let careful = spread.eject.is_some() || spread.slow_start > Duration::ZERO;
        let slow_start = u64::try_from(spread.slow_start.as_millis()).unwrap_or(u64::MAX);
        let care = careful.then(|| Care { eject: spread.eject.clone(), slow_start });
        Self { cycle: cycle(&weights), turn: AtomicUsize::new(0), balance, serving, total, even, care }
    }

    /// Chooses one, leaving out those that this request has `tried`. Targets that just refused a connection are passed over,
    /// unless all did: then one may as well be asked again.
    pub fn choose(&self, tried: &[u64], now: u64, wish: Wish) -> Option<&Arc<LiveTarget>> {
        if let [only] = self.serving.as_slice() {
            return (!tried.contains(&only.target.serial)).then_some(&only.target);
        }
        // One turn for both looks: with two, every second turn would be skipped while all are shy.
        let turn = self.turn.fetch_add(1, Relaxed);
        let open = |s: &Serving| !tried.contains(&s.target.serial);
        self.preferred(turn, tried, now, wish).or_else(|| self.pick(turn, wish.key, open))
    }

    /// The same without those that just refused a connection: for whom others can stand in.
    pub fn choose_reachable(&self, tried: &[u64], now: u64, wish: Wish) -> Option<&Arc<LiveTarget>> {
        let turn = self.turn.fetch_add(1, Relaxed);
        self.preferred(turn, tried, now, wish)
    }

    fn preferred(&self, turn: usize, tried: &[u64], now: u64, wish: Wish) -> Option<&Arc<LiveTarget>> {
        let open = |s: &Serving| !tried.contains(&s.target.serial) && !s.target.shy(now);
        match &self.care {
            None => self.sticky(wish, open).or_else(|| self.pick(turn, wish.key, open)),
            Some(care) => self.with_care(care, turn, now, wish, open),
        }
    }

    /// The one that the client named.
    #[inline]
    fn sticky(&self, wish: Wish, open: impl Fn(&Serving) -> bool) -> Option<&Arc<LiveTarget>> {
        let number = wish.sticky?;
        self.serving.iter().find(|s| s.number == number && open(s)).map(|s| &s.target)
    }

    /// Leaves out who fails, as far as the panic rule allows, but for one trial; and spares who has just begun.
    fn with_care(
        &self,
        care: &Care,
        turn: usize,
        now: u64,
        wish: Wish,
        open: impl Fn(&Serving) -> bool,
    ) -> Option<&Arc<LiveTarget>> {
        let trusted = |s: &Serving| s.target.trust(now) == Trust::Full;
        let left_out = self.serving.iter().filter(|s| !trusted(s)).count();
        let leaves_out = left_out > 0 && care.eject.is_some() && may_leave_out(left_out, self.serving.len());
        if let Some(rule) = care.eject.as_ref().filter(|_| leaves_out)
            && let Some(tried) = self.serving.iter().find(|s| open(s) && s.target.takes_trial(rule, now))
        {
            return Some(&tried.target);
        }
        let good = |s: &Serving| open(s) && (!leaves_out || trusted(s));
        if let Some(named) = self.sticky(wish, good) {
            return Some(named);
        }
        if care.slow_start > 0 {
            let luck = mix(turn as u64) % 1000;
            let takes = |s: &Serving| good(s) && luck < s.target.ramp(care.slow_start, now);
            if let Some(chosen) = self.pick(turn, wish.key, takes) {
                return Some(chosen);
            }
        }
        self.pick(turn, wish.key, good)
    }

    fn pick(&self, turn: usize, key: Option<u64>, open: impl Fn(&Serving) -> bool) -> Option<&Arc<LiveTarget>> {
        match (self.balance, key) {
            (Balance::Hash, Some(key)) => self.nearest(key, open),
            (Balance::RoundRobin, _) => self.from(self.at(turn)?).find(|s| open(s)).map(|s| &s.target),
            (Balance::PowerOfTwo, _) => self.of_two(turn, open),
            (Balance::LeastConnections | Balance::Hash, _) => self.least(turn, open),
        }
    }

    /// Whose turn it is.
    fn at(&self, turn: usize) -> Option<usize> {
        Some(usize::from(*self.cycle.get(turn % self.cycle.len().max(1))?))
    }

    /// All of them, beginning with this one.
    fn from(&self, first: usize) -> impl Iterator<Item = &Serving> {
        (0..self.serving.len()).map(move |i| &self.serving[(first + i) % self.serving.len()])
    }

    fn nearest(&self, key: u64, open: impl Fn(&Serving) -> bool) -> Option<&Arc<LiveTarget>> {
        let candidates = self.serving.iter().filter(|s| open(s));
        let near = candidates.map(|s| (distance(key, s.number, s.weight), s));
        near.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, s)| &s.target)
    }

    fn of_two(&self, turn: usize, open: impl Fn(&Serving) -> bool) -> Option<&Arc<LiveTarget>> {
        let random = usize::try_from(mix(turn as u64) >> 1).unwrap_or(turn);
        let one = self.from(self.at(random)?).find(|s| open(s))?;
        let is_other = |s: &&Serving| open(s) && s.target.serial != one.target.serial;
        let other = self.from(self.at(random / self.cycle.len())?).find(is_other);
        let better = other.filter(|other| other.load() * one.weight < one.load() * other.weight);
        Some(&better.unwrap_or(one).target)
    }

    fn least(&self, turn: usize, open: impl Fn(&Serving) -> bool) -> Option<&Arc<LiveTarget>> {
        let first = self.at(turn)?;
        if !self.even {
            let all: u64 = self.serving.iter().map(Serving::load).sum();
            // At most its share of all, counting this request, rounded up.
            let fair = |s: &&Serving| s.load() * self.total < (all + 1) * s.weight + self.total;
            if let Some(within) = self.from(first).filter(|s| open(s)).find(fair) {
                return Some(&within.target);
            }
        }
        // The first of equal minima wins, and the turn decides who is first.
        let mut candidates = self.from(first).filter(|s| open(s));
        let first = candidates.next()?;
        let least = candidates.fold((first, first.load()), |(best, its), other| {
            let load = other.load();
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
