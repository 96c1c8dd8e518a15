//! A target while it is served, and a claim on it.

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use cutover_core::InstanceId;
use cutover_core::histogram::{BUCKETS, Histogram, bucket};
use cutover_core::rule::{Standing, Trust, ramp};
use cutover_core::spread::Eject;
use cutover_core::stats::TargetStats;
use cutover_core::table::{Mode, Protocol};

use super::gate::{Admits, Gate};
use crate::tls::seal::Seal;

/// How long a target is passed over after a connection to it failed, in milliseconds.
const SHY: u64 = 1000;

/// One instance with its gate and its counters. Shared by all tables that list it, and by its claims.
#[derive(Debug)]
pub struct LiveTarget {
    /// Which instance.
    pub instance: InstanceId,
    /// Its own address.
    pub address: SocketAddr,
    /// Its unix socket, if it listens on one in place of the address.
    pub socket: Option<Box<Path>>,
    /// What it is spoken to in.
    pub protocol: Protocol,
    /// Its TLS, if it speaks it.
    pub seal: Option<Arc<Seal>>,
    /// Tells it from every other target of this process, also from one of the same name at another address.
    pub serial: u64,
    /// Who may go there.
    pub gate: Gate,
    /// What happened there.
    pub counts: TargetCounts,
    shy_until: AtomicU64,
    /// How it stands with those who leave out who fails, as a word.
    standing: AtomicU64,
    /// Since when it takes its share, in milliseconds; zero while it does not.
    serving_since: AtomicU64,
}

/// Counters of one target. They grow; readers tolerate that they are read one after the other.
#[derive(Debug, Default)]
pub struct TargetCounts {
    /// Idle connections kept to it, over all workers.
    pub idle: AtomicU64,
    /// Requests answered.
    pub served: AtomicU64,
    /// Requests not answered, or cut.
    pub failed: AtomicU64,
    /// Answers with status 500 to 599.
    pub errors: AtomicU64,
    /// How long answers took. One KiB for a target that has answered, and none before: many are known that nobody asks.
    /// All workers share it, as they share the counters above. Behind the buckets stands the sum in microseconds.
    latency: OnceLock<Box<[AtomicU64; BUCKETS + 1]>>,
}

impl TargetCounts {
    /// The head of an answer came after so many microseconds.
    #[inline]
    pub fn latency(&self, micros: u64) {
        let empty = || Box::new([const { AtomicU64::new(0) }; BUCKETS + 1]);
        let latency = self.latency.get_or_init(empty);
        latency[bucket(micros)].fetch_add(1, Relaxed);
        latency[BUCKETS].fetch_add(micros, Relaxed);
    }

    /// All latencies together, in microseconds.
    pub fn latency_sum_us(&self) -> u64 {
        self.latency.get().map_or(0, |latency| latency[BUCKETS].load(Relaxed))
    }
}

impl LiveTarget {
    /// A target that admits nothing yet.
    pub fn new(instance: InstanceId, address: SocketAddr) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(1);
        Self {
            instance,
            address,
            socket: None,
            protocol: Protocol::default(),
            seal: None,
            serial: SERIAL.fetch_add(1, Relaxed),
            gate: Gate::new(),
            counts: TargetCounts::default(),
            shy_until: AtomicU64::new(0),
            standing: AtomicU64::new(0),
            serving_since: AtomicU64::new(0),
        }
    }

    /// The same, spoken to in this, inside this TLS.
    pub fn speaking(self, protocol: Protocol, seal: Option<Arc<Seal>>) -> Self {
        Self { protocol, seal, ..self }
    }

    /// The same, on this unix socket if there is one.
    pub fn plugged(self, socket: Option<&Path>) -> Self {
        Self { socket: socket.map(Into::into), ..self }
    }

    /// Where it is, for people.
    pub fn place(&self) -> String {
        self.socket.as_ref().map_or_else(|| self.address.to_string(), |path| format!("unix:{}", path.display()))
    }

    /// What a mode of the table admits.
    pub fn admits(mode: Mode) -> Admits {
        match mode {
            Mode::Serving { .. } => Admits::All,
            Mode::Registered => Admits::Named,
            Mode::Draining => Admits::Nothing,
        }
    }

    /// A connection to it just failed: others are preferred for a second.
    pub fn refused(&self, now: u64) {
        self.shy_until.store(now + SHY, Relaxed);
    }

    /// Whether a connection to it failed a moment ago.
    pub fn shy(&self, now: u64) -> bool {
        now < self.shy_until.load(Relaxed)
    }

    /// It failed: by this rule it may be left out.
    pub fn failed(&self, rule: &Eject, now: u64) {
        let failed = |word| Some(Standing::of(word).failed(rule, now).word());
        let _ = self.standing.fetch_update(Relaxed, Relaxed, failed);
    }

    /// It answered. Nothing is written unless something was held against it: all workers share the word.
    #[inline]
    pub fn succeeded(&self) {
        if self.standing.load(Relaxed) != 0 {
            self.standing.store(Standing::default().word(), Relaxed);
        }
    }

    /// What may be sent to it.
    pub fn trust(&self, now: u64) -> Trust {
        Standing::of(self.standing.load(Relaxed)).trust(now)
    }

    /// Whether the caller is the one who tries it.
    pub fn takes_trial(&self, rule: &Eject, now: u64) -> bool {
        let word = self.standing.load(Relaxed);
        let standing = Standing::of(word);
        let tried = standing.tried(rule, now).word();
        standing.trust(now) == Trust::Trial && self.standing.compare_exchange(word, tried, Relaxed, Relaxed).is_ok()
    }

    /// It takes its share of new requests from now on, or does not any more.
    pub fn serves(&self, serves: bool, now: u64) {
        if !serves {
            self.serving_since.store(0, Relaxed);
        } else if self.serving_since.load(Relaxed) == 0 {
            self.serving_since.store(now.max(1), Relaxed);
        }
    }

    /// The part of its share that it gets, in thousandths, if it is spared for so many milliseconds.
    pub fn ramp(&self, slow_start: u64, now: u64) -> u64 {
        ramp(now.saturating_sub(self.serving_since.load(Relaxed)), slow_start)
    }

    /// Whether anything is still there.
    pub fn busy(&self) -> bool {
        let load = self.gate.load();
        load.in_flight + load.streams > 0
    }

    /// A reading of its counters.
    pub fn stats(&self) -> TargetStats {
        let load = self.gate.load();
        TargetStats {
            instance: self.instance.clone(),
            in_flight: load.in_flight,
            streams: load.streams,
            idle: self.counts.idle.load(Relaxed),
            served: self.counts.served.load(Relaxed),
            failed: self.counts.failed.load(Relaxed),
            errors: self.counts.errors.load(Relaxed),
            latency: self
                .counts
                .latency
                .get()
                .map(|latency| Histogram::from_counts(latency.iter().map(|count| count.load(Relaxed)))),
            ejected: Standing::of(self.standing.load(Relaxed)).until() != 0,
        }
    }
}

/// A place at a target. Dropping it gives the place back, however the request ended.
#[derive(Debug)]
pub struct Claim {
    target: Arc<LiveTarget>,
    since_us: u64,
    stream: Cell<bool>,
}

impl Claim {
    /// Takes a place if the target admits it, at the given time.
    pub fn new(target: &Arc<LiveTarget>, wanted: Admits, now_us: u64) -> Option<Self> {
        let claim = || Self { target: target.clone(), since_us: now_us, stream: Cell::new(false) };
        target.gate.enter(wanted).then(claim)
    }

    /// When it was taken, in microseconds.
    pub fn since_us(&self) -> u64 {
        self.since_us
    }

    /// The target.
    pub fn target(&self) -> &Arc<LiveTarget> {
        &self.target
    }

    /// From here on it counts as a stream.
    pub fn become_stream(&self) {
        if !self.stream.replace(true) {
            self.target.gate.stream();
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.stream.get() { self.target.gate.leave_stream() } else { self.target.gate.leave() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten thousand of them (a thousand services of ten) cost 2 MiB, and 12 when all have answered; what is said of one fits a line. Seen to
    /// fail with the histogram in place.
    #[test]
    fn a_target_that_nobody_asks_costs_little() {
        assert!(size_of::<LiveTarget>() <= 232, "{} bytes", size_of::<LiveTarget>());
        let target = LiveTarget::new("web.r1.i1".parse().unwrap(), "127.0.0.1:1".parse().unwrap());
        assert_eq!(target.stats().latency, None);
        for millis in 1..1000 {
            target.counts.latency(millis * 1000);
        }
        let text = serde_json::to_string(&target.stats()).unwrap();
        assert!(text.len() < 500, "{} bytes: {text}", text.len());
        assert_eq!(target.stats().latency.unwrap().total(), 999);
    }
}
