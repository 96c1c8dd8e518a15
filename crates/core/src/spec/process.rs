//! How instances run as plain processes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Secret;
use crate::id::InstanceId;
use crate::unit::{ByteSize, duration};

/// A program and its surroundings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// The program and its arguments. `{port}`, `{socket}`, `{release}`, `{instance}` and `{artifact}` are replaced in
    /// each argument.
    pub command: Vec<String>,
    /// A file or directory that is copied into the release, so that changing the original cannot hurt a running release.
    /// Absolute.
    pub artifact: Option<PathBuf>,
    /// The working directory; absolute. With an artifact that is a directory and no working directory given, the copy.
    pub directory: Option<PathBuf>,
    /// Environment variables, from `env` and the env files. `PORT` is added.
    pub env: BTreeMap<String, Secret>,
    /// The user to run as; `None` for the agent's own. Another user needs an agent that runs as root.
    pub user: Option<String>,
    /// Which ports instances listen on.
    pub ports: Ports,
    /// The unix socket on which each instance listens in place of a port: an absolute path with `{instance}` in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// How instances are stopped.
    pub stop: StopSpec,
    /// What they may use.
    pub limits: LimitSpec,
    /// How their output is kept.
    pub logs: LogSpec,
    /// What happens when one dies while it serves.
    pub restart: RestartSpec,
}

impl ProcessSpec {
    /// Where an instance listens, if that is a unix socket.
    pub fn socket_of(&self, instance: &InstanceId) -> Option<PathBuf> {
        let path = self.socket.as_ref()?.replace("{instance}", &instance.to_string());
        Some(path.replace("{release}", &instance.release.to_string()).into())
    }
}

/// Which ports instances listen on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ports {
    /// Any free port below the range from which the kernel takes ports for outgoing connections.
    #[default]
    Automatic,
    /// One of these. Two releases run side by side for a while, so a service needs twice as many as it has replicas.
    Fixed(Vec<u16>),
}

impl Ports {
    /// The ports, if they are given one by one.
    pub fn fixed(&self) -> Option<&[u16]> {
        match self {
            Self::Automatic => None,
            Self::Fixed(ports) => Some(ports),
        }
    }
}

/// How an instance is stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StopSpec {
    /// The signal that asks it to leave: `TERM`, `INT`, `QUIT`, `HUP`, `USR1` or `USR2`.
    pub signal: String,
    /// How long it has before its whole process group is killed.
    #[serde(with = "duration")]
    pub grace: Duration,
}

/// What an instance may use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSpec {
    /// Memory of its own (`RLIMIT_DATA`: heap, anonymous and private writable mappings).
    pub memory: Option<ByteSize>,
    /// Open descriptors (`RLIMIT_NOFILE`).
    pub open_files: Option<u64>,
}

/// How output is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSpec {
    /// A log file that reaches this size is set aside and a new one begun.
    pub max_size: ByteSize,
    /// How many are kept of each stream, the current one included; at least 1.
    pub keep: u32,
}

/// What happens when an instance dies while it serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestartSpec {
    /// The first pause before it is started again; doubles each time.
    #[serde(with = "duration")]
    pub first: Duration,
    /// The longest pause.
    #[serde(with = "duration")]
    pub longest: Duration,
}

impl Default for StopSpec {
    fn default() -> Self {
        Self { signal: "TERM".into(), grace: Duration::from_secs(10) }
    }
}

impl Default for LogSpec {
    fn default() -> Self {
        Self { max_size: ByteSize(10 << 20), keep: 5 }
    }
}

impl Default for RestartSpec {
    fn default() -> Self {
        Self { first: Duration::from_millis(500), longest: Duration::from_secs(30) }
    }
}
