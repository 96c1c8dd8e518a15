//! Counters that no deployment asks for, as one process of the proxy tells them to the next.
//!
//! What has a name is told by its name, so that versions may differ in which there are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, ServiceName};

/// Counts by name; what was never counted is left out.
pub type Named = BTreeMap<String, u64>;

/// A reading of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Further {
    /// When it was read, in microseconds since the process began. Of two readings of a process the later one counts.
    pub read_us: u64,
    /// What belongs to no service.
    pub process: ProcessCounters,
    /// By service.
    pub services: BTreeMap<ServiceName, TrafficCounters>,
    /// All latencies of an instance together, in microseconds.
    pub latency_sums: BTreeMap<InstanceId, u64>,
}

/// What is counted that belongs to no service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProcessCounters {
    /// Processor time, in microseconds.
    pub cpu_us: u64,
    /// Client connections accepted.
    pub accepted: u64,
    /// Lines of access logs that were dropped.
    pub unlogged: u64,
    /// Requests refused before their service was known, by reason.
    pub refused: Named,
    /// Spans that a receiver has taken.
    pub spans_sent: u64,
    /// Spans that no receiver got, by reason.
    pub spans_dropped: Named,
}

/// What is counted for a service beyond [`ServiceStats`](super::ServiceStats).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TrafficCounters {
    /// Requests that are over, by class of their status.
    pub statuses: Named,
    /// Requests that the proxy answered itself, by reason.
    pub refused: Named,
    /// Requests that had to wait for an instance.
    pub holds: u64,
    /// Connections opened to instances.
    pub connects: u64,
    /// Bytes from clients.
    pub received: u64,
    /// Bytes to clients.
    pub sent: u64,
    /// All latencies together, in microseconds.
    pub latency_sum_us: u64,
}

impl Further {
    /// Adds what another process counted.
    pub fn add(&mut self, other: Self) {
        self.process.add(other.process);
        for (name, theirs) in other.services {
            self.services.entry(name).or_default().add(theirs);
        }
        add_named(&mut self.latency_sums, other.latency_sums);
    }
}

impl ProcessCounters {
    fn add(&mut self, other: Self) {
        self.cpu_us += other.cpu_us;
        self.accepted += other.accepted;
        self.unlogged += other.unlogged;
        add_named(&mut self.refused, other.refused);
        self.spans_sent += other.spans_sent;
        add_named(&mut self.spans_dropped, other.spans_dropped);
    }
}

impl TrafficCounters {
    fn add(&mut self, other: Self) {
        add_named(&mut self.statuses, other.statuses);
        add_named(&mut self.refused, other.refused);
        self.holds += other.holds;
        self.connects += other.connects;
        self.received += other.received;
        self.sent += other.sent;
        self.latency_sum_us += other.latency_sum_us;
    }
}

fn add_named<K: Ord>(sums: &mut BTreeMap<K, u64>, others: BTreeMap<K, u64>) {
    for (name, count) in others {
        *sums.entry(name).or_default() += count;
    }
}
