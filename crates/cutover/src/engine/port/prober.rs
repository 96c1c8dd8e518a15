//! What the engine asks of whatever looks at an instance from outside.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use cutover_core::InstanceId;
use cutover_core::spec::{Check, WarmUp};
use cutover_core::tls::InstanceTls;

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
    /// How it is spoken to by TLS, if it is.
    pub tls: Option<Box<InstanceTls>>,
    /// Its unix socket, if it listens on one in place of the address.
    pub socket: Option<PathBuf>,
}

impl ProbeTarget {
    /// Where it answers by HTTP, without a path. What listens on a unix socket has no address: there it is any name.
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.host())
    }

    /// Whom a request by HTTP names that has nobody else to name.
    pub fn host(&self) -> String {
        if self.socket.is_some() { "localhost".to_owned() } else { self.address.to_string() }
    }

    /// Where it listens, for people.
    pub fn place(&self) -> String {
        self.socket.as_ref().map_or_else(|| self.address.to_string(), |path| format!("unix:{}", path.display()))
    }
}

/// How a smoke command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmokeFailure {
    /// What came back: `exited with status 1`, `took longer than 60s`.
    pub summary: String,
    /// The last lines it wrote.
    pub log: Vec<String>,
}
