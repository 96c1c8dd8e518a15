//! A service's counters. Each worker adds to a part of its own, so that counting costs no cache line that another one holds.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use cutover_core::ServiceName;
use cutover_core::histogram::{BUCKETS, Histogram, bucket};
use cutover_core::pin::POINTS;
use cutover_core::stats::ServiceStats;

use super::gap::Gap;
use crate::rule::Memory;

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
    latency: [AtomicU64; BUCKETS],
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            served: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            latency: [const { AtomicU64::new(0) }; BUCKETS],
        }
    }
}

/// One more. Only the owner of a shard writes to it, so this need not be a locked operation.
fn add(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed) + 1, Relaxed);
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
}
