//! What is counted that belongs to no service. Each worker has its own.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::count::{REASONS, reason_index};

/// What one worker counted. Aligned so that no two share a cache line.
#[derive(Debug)]
#[repr(align(128))]
pub struct ProcessCounts {
    accepted: AtomicU64,
    unlogged: AtomicU64,
    refused: [AtomicU64; REASONS.len()],
}

impl Default for ProcessCounts {
    fn default() -> Self {
        let refused = [const { AtomicU64::new(0) }; REASONS.len()];
        Self { accepted: AtomicU64::new(0), unlogged: AtomicU64::new(0), refused }
    }
}

/// All workers' together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessTotals {
    /// Connections accepted.
    pub accepted: u64,
    /// Lines of access logs that were dropped because the disk was slow.
    pub unlogged: u64,
    /// Requests refused before their service was known, in the order of [`REASONS`].
    pub refused: [u64; REASONS.len()],
}

impl ProcessCounts {
    /// A connection was accepted.
    pub fn accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    /// A line of an access log had no room.
    pub fn unlogged(&self) {
        self.unlogged.fetch_add(1, Relaxed);
    }

    /// A request was refused before its service was known.
    pub fn refused(&self, reason: &str) {
        self.refused[reason_index(reason)].fetch_add(1, Relaxed);
    }

    /// The sums over all workers.
    pub fn totals(all: &[Self]) -> ProcessTotals {
        let sum = |of: &dyn Fn(&Self) -> u64| all.iter().map(of).sum();
        ProcessTotals {
            accepted: sum(&|c| c.accepted.load(Relaxed)),
            unlogged: sum(&|c| c.unlogged.load(Relaxed)),
            refused: std::array::from_fn(|i| sum(&|c| c.refused[i].load(Relaxed))),
        }
    }
}
