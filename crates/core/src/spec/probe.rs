//! When an instance counts as ready.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::unit::duration;

/// The readiness gate. It is asked on the instance's own address, from every 20 ms at first to once a second.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadySpec {
    /// What is asked.
    pub check: Check,
    /// The instance must be ready within this time.
    #[serde(with = "duration")]
    pub within: Duration,
    /// It must stay ready this long before it gets traffic.
    #[serde(with = "duration")]
    pub stable_for: Duration,
    /// It must pass this many times in a row; at least 1.
    pub passes: u32,
    /// One try may take this long.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// Requests to make before it gets traffic.
    pub warm_up: Option<WarmUp>,
}

/// One kind of probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// A GET request.
    Http {
        /// The path, with query.
        path: String,
        /// The `Host` header; the instance's address if not given.
        host: Option<String>,
        /// Request headers.
        headers: BTreeMap<String, String>,
        /// The lowest and highest status that passes.
        status: (u16, u16),
        /// Text that the body (its first 64 KiB) must contain.
        body: Option<String>,
    },
    /// A FastCGI request (php-fpm).
    FastCgi {
        /// `SCRIPT_FILENAME`: the script's path inside the instance, or the path of php-fpm's own ping page.
        script: String,
        /// `QUERY_STRING`.
        query: String,
        /// The lowest and highest status that passes; an answer without a `Status` header counts as 200.
        status: (u16, u16),
        /// Text that the body (its first 64 KiB) must contain.
        body: Option<String>,
    },
    /// A call of gRPC's own health service, by HTTP/2 without TLS.
    Grpc {
        /// The service whose state is asked for; empty for the server as a whole.
        service: String,
    },
    /// The port accepts a connection.
    Tcp,
    /// A command that exits with 0. It gets `CUTOVER_ADDRESS`, `CUTOVER_PORT`, `CUTOVER_RELEASE` and `CUTOVER_INSTANCE`.
    Command(Vec<String>),
    /// A file that exists. `{release}` and `{instance}` are replaced.
    File(PathBuf),
    /// The engine's own health check of the container says healthy.
    Health,
    /// Only that it keeps running, for `stable_for`.
    Running,
}

/// Requests to make before an instance gets traffic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// The paths, asked in turn.
    pub paths: Vec<String>,
    /// How many requests in all. Their answers do not count, but an instance that exits fails.
    pub requests: u32,
}

impl Default for ReadySpec {
    fn default() -> Self {
        Self {
            check: Check::Tcp,
            within: Duration::from_secs(60),
            stable_for: Duration::from_secs(1),
            passes: 2,
            timeout: Duration::from_secs(2),
            warm_up: None,
        }
    }
}
