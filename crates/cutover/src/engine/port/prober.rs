//! What the engine asks of whatever looks at an instance from outside.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use cutover_core::InstanceId;
use cutover_core::spec::{Check, WarmUp};

/// Looks at instances, on their own addresses.
#[async_trait]
pub trait Prober: Send + Sync {
    /// One try. `Err` tells in a lowercase fragment what came back instead.
    async fn probe(&self, check: &Check, at: &ProbeTarget, timeout: Duration) -> Result<(), String>;

    /// Makes the warm-up requests; their answers do not count.
    async fn warm_up(&self, warm_up: &WarmUp, at: &ProbeTarget);

    /// Runs the smoke command: `Err` holds its exit and last lines.
    async fn smoke(&self, command: &[String], at: &ProbeTarget, within: Duration) -> Result<(), SmokeFailure>;
}

/// Whom to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeTarget {
    /// The instance.
    pub instance: InstanceId,
    /// Its own address.
    pub address: SocketAddr,
}

/// How a smoke command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmokeFailure {
    /// What came back: `exited with status 1`, `took longer than 60s`.
    pub summary: String,
    /// The last lines it wrote.
    pub log: Vec<String>,
}
