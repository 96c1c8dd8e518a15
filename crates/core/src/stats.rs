//! What the proxy says about itself when asked. Counters only grow while a proxy lives; `started` tells two lives apart.

mod further;

use serde::{Deserialize, Serialize};

pub use further::{Further, Named, ProcessCounters, TrafficCounters};

use crate::histogram::Histogram;
use crate::id::{Generation, InstanceId, ServiceName};
use crate::tls::CertificateStats;
use crate::unit::Timestamp;

/// One reading of all counters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Stats {
    /// When this proxy process began to serve.
    pub started: Timestamp,
    /// The generation it serves.
    pub generation: Generation,
    /// Client connections open now.
    pub connections: u64,
    /// By service.
    pub services: Vec<ServiceStats>,
    /// By instance; also those that left the table while they still had something to finish.
    pub targets: Vec<TargetStats>,
    /// The certificates in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateStats>,
    /// What is counted beyond that; only where one process of the proxy tells another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub further: Option<Box<Further>>,
}

impl Stats {
    /// The counters of one instance.
    pub fn target(&self, instance: &InstanceId) -> Option<&TargetStats> {
        self.targets.iter().find(|target| target.instance == *instance)
    }

    /// The counters of one service.
    pub fn service(&self, name: &ServiceName) -> Option<&ServiceStats> {
        self.services.iter().find(|service| service.name == *name)
    }
}

/// The counters of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceStats {
    /// Which service.
    pub name: ServiceName,
    /// Requests (or TCP connections) answered by an instance, whatever the status.
    pub served: u64,
    /// Requests that got no whole answer from an instance: the proxy's own 502, 503, 504, and answers cut in the middle.
    pub failed: u64,
    /// Of those served: answers with status 500 to 599 that an instance gave.
    pub errors: u64,
    /// Requests sent a second time, because the first time provably nothing was processed.
    pub retried: u64,
    /// Requests waiting now, because the service is held or has no target.
    pub held: u64,
    /// The longest time between two answers since the last mark, in microseconds, counting the running one. Only times
    /// in which a request was waiting count: silence because nobody asked is no gap.
    pub longest_gap_us: u64,
    /// Time from the whole request head to the answer's head.
    pub latency: Histogram,
}

/// The counters of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetStats {
    /// Which instance.
    pub instance: InstanceId,
    /// Requests claimed and not finished, without streams.
    pub in_flight: u64,
    /// Upgraded connections, event streams and TCP connections that are open.
    pub streams: u64,
    /// Idle connections kept to it.
    pub idle: u64,
    /// Requests it answered.
    pub served: u64,
    /// Requests it failed to answer: refused, reset, cut, too late.
    pub failed: u64,
    /// Answers with status 500 to 599.
    pub errors: u64,
    /// Time from when it was chosen for a request to the answer's head: what came before is not its doing. `None` before its first
    /// answer, and where that is not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Histogram>,
    /// Whether it is left out for failing, as long as others can be asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ejected: bool,
}
