//! A service's counters. Each worker adds to a part of its own, so that counting costs no cache line that another one holds.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cutover_core::ServiceName;
use cutover_core::histogram::{BUCKETS, Histogram, bucket};
use cutover_core::pin::POINTS;
use cutover_core::stats::{Named, ServiceStats, TrafficCounters};

use super::gap::Gap;
use crate::rule::Memory;

/// The classes of statuses. The first is for those who left before there was one.
pub const STATUSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// Why the proxy answers in place of an instance: the values of `cutover-error`; `cut` when an answer breaks off, where there is nothing
/// to put a field into. The last stands for all that is not listed here.
pub const REASONS: [&str; 33] = [
    "bad-preamble",
    "bad-request",
    "head-too-large",
    "slow-request",
    "body-too-large",
    "no-route",
    "no-target",
    "no-preview",
    "no-such-instance",
    "hold-full",
    "hold-timeout",
    "unreachable",
    "instance-tls",
    "no-answer",
    "bad-answer",
    "answer-timeout",
    "given-up",
    "leaving",
    "no-upgrade",
    "cut",
    "not-encrypted",
    "maintenance",
    "method-not-allowed",
    "no-file",
    "file-unreadable",
    "file-broken",
    "denied",
    "too-many-requests",
    "too-many-at-once",
    "password-needed",
    "logins-busy",
    "password-file",
    "other",
];

/// Where a reason is counted.
pub fn reason_index(reason: &str) -> usize {
    REASONS.iter().position(|known| *known == reason).unwrap_or(REASONS.len() - 1)
}

/// Counts with their names; zeros are left out.
pub fn named<const N: usize>(names: [&str; N], count: impl Fn(usize) -> u64) -> Named {
    let counts = names.iter().enumerate().map(|(index, name)| ((*name).to_owned(), count(index)));
    counts.filter(|(_, count)| *count > 0).collect()
}

/// All counters of one service. They outlive the tables that list it.
#[derive(Debug)]
pub struct ServiceCounts {
    shards: Box<[Shard]>,
    /// What rules remember of its clients.
    pub memory: Memory,
    /// Requests held now. Shared by the workers, because the limit on it is for all of them.
    pub held: AtomicU64,
    /// The time without answers.
    pub gap: Gap,
    /// The same for those who look at what is being deployed. Nobody asks for it.
    pub preview_gap: Gap,
    /// How many points were given to new clients, from a beginning that nobody knows.
    points: AtomicU64,
}

/// What one worker counted for one service. Aligned so that no two share a cache line.
#[derive(Debug)]
#[repr(align(128))]
pub struct Shard {
    served: AtomicU64,
    failed: AtomicU64,
    errors: AtomicU64,
    retried: AtomicU64,
    holds: AtomicU64,
    connects: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    latency_sum: AtomicU64,
    statuses: [AtomicU64; STATUSES.len()],
    reasons: [AtomicU64; REASONS.len()],
    latency: [AtomicU64; BUCKETS],
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            served: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            holds: AtomicU64::new(0),
            connects: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            latency_sum: AtomicU64::new(0),
            statuses: [const { AtomicU64::new(0) }; STATUSES.len()],
            reasons: [const { AtomicU64::new(0) }; REASONS.len()],
            latency: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

/// One more. Only the owner of a shard writes to it, so this need not be a locked operation.
fn add(counter: &AtomicU64) {
    add_all(counter, 1);
}

fn add_all(counter: &AtomicU64, count: u64) {
    counter.store(counter.load(Relaxed) + count, Relaxed);
}

impl Shard {
    /// An instance answered.
    pub fn served(&self) {
        add(&self.served);
    }

    /// A request got no whole answer.
    pub fn failed(&self) {
        add(&self.failed);
    }

    /// An instance answered with a status from 500 to 599.
    pub fn error(&self) {
        add(&self.errors);
    }

    /// A request was sent a second time.
    pub fn retried(&self) {
        add(&self.retried);
    }

    /// The head of an answer came after so many microseconds.
    pub fn latency(&self, micros: u64) {
        add(&self.latency[bucket(micros)]);
        add_all(&self.latency_sum, micros);
    }

    /// A request had to wait for an instance.
    pub fn held(&self) {
        add(&self.holds);
    }

    /// A connection to an instance was opened.
    pub fn connected(&self) {
        add(&self.connects);
    }

    /// A request is over: so many bytes came from its client and went to it, and this was its status; zero if it got none.
    pub fn over(&self, status: u16, received: u64, sent: u64) {
        add(&self.statuses[usize::from(status / 100).min(STATUSES.len() - 1)]);
        self.moved(received, sent);
    }

    /// So many bytes came from a client and went to it.
    pub fn moved(&self, received: u64, sent: u64) {
        add_all(&self.received, received);
        add_all(&self.sent, sent);
    }

    /// The proxy answered in place of an instance, or an answer broke off.
    pub fn refused(&self, reason: &str) {
        add(&self.reasons[reason_index(reason)]);
    }
}

impl ServiceCounts {
    /// Counters for so many workers.
    pub fn new(workers: usize) -> Self {
        let shards = (0..workers).map(|_| Shard::default()).collect();
        let points = AtomicU64::new(RandomState::new().hash_one(0) >> 1);
        let memory = Memory::default();
        Self { shards, memory, held: AtomicU64::new(0), gap: Gap::default(), preview_gap: Gap::default(), points }
    }

    /// A point for a client that has none. They are dealt out evenly, so that the share is right from the first few clients on:
    /// any 10,000 in a row are all points, and fewer are spread nearly as well (a Weyl sequence, by the golden ratio).
    pub fn new_point(&self) -> u16 {
        let count = self.points.fetch_add(1, Relaxed) % u64::from(POINTS);
        ((count * 6181) % u64::from(POINTS)) as u16
    }

    /// The part of one worker. Only that worker may count there.
    #[inline]
    pub fn shard(&self, worker: usize) -> &Shard {
        &self.shards[worker]
    }

    /// A reading.
    pub fn stats(&self, name: &ServiceName, now_us: u64) -> ServiceStats {
        let sum = |counter: fn(&Shard) -> &AtomicU64| self.shards.iter().map(|s| counter(s).load(Relaxed)).sum();
        let column = |bucket: usize| self.shards.iter().map(move |s| s.latency[bucket].load(Relaxed)).sum();
        ServiceStats {
            name: name.clone(),
            served: sum(|s| &s.served),
            failed: sum(|s| &s.failed),
            errors: sum(|s| &s.errors),
            retried: sum(|s| &s.retried),
            held: self.held.load(Relaxed),
            longest_gap_us: self.gap.longest(now_us),
            latency: Histogram::from_counts((0..BUCKETS).map(column)),
        }
    }

    /// What is told of it beyond that.
    pub fn traffic(&self) -> TrafficCounters {
        let sum = |counter: fn(&Shard) -> &AtomicU64| self.shards.iter().map(|s| counter(s).load(Relaxed)).sum();
        let total = |of: &dyn Fn(&Shard) -> u64| self.shards.iter().map(of).sum();
        TrafficCounters {
            statuses: named(STATUSES, |i| total(&|s| s.statuses[i].load(Relaxed))),
            refused: named(REASONS, |i| total(&|s| s.reasons[i].load(Relaxed))),
            holds: sum(|s| &s.holds),
            connects: sum(|s| &s.connects),
            received: sum(|s| &s.received),
            sent: sum(|s| &s.sent),
            latency_sum_us: sum(|s| &s.latency_sum),
        }
    }
}
