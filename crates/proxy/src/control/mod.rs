//! The control side: a unix socket on which tables are published and counters read. One request at a time changes anything;
//! nothing here is on the way of a client's request.

pub mod client;
mod count;
pub mod counters;
pub mod publish;
pub mod server;

use std::path::PathBuf;

use cutover_core::stats::Stats;
use cutover_core::{Generation, Timestamp};
use serde::{Deserialize, Serialize};

/// The name of the socket in the state directory.
pub const SOCKET: &str = "proxy.sock";

/// Who the proxy is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Its process.
    pub pid: u32,
    /// Its version.
    pub version: String,
    /// When it began to serve.
    pub started: Timestamp,
    /// The generation it serves.
    pub generation: Generation,
    /// Whether a service manager started it, and starts it again.
    #[serde(default)]
    pub supervised: bool,
    /// Processes that were the proxy before and still have something in hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<u32>,
}

/// How the proxy is to be replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The program to start. An absolute path.
    pub binary: PathBuf,
    /// How long it may take until it is ready, in milliseconds.
    pub within_ms: u64,
    /// How long streams may stay with the process that leaves, in milliseconds.
    pub streams_ms: u64,
}

/// The proxy was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The process that leaves.
    pub from: u32,
    /// The process that serves.
    pub to: u32,
    /// Its version.
    pub version: String,
    /// How long it took until the new one accepted, in milliseconds.
    pub took_ms: u64,
}

/// One that leaves is done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Farewell {
    /// Which process.
    pub pid: u32,
    /// All that it counted.
    pub stats: Stats,
}

/// The acknowledgement of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// The generation that is served now.
    pub generation: Generation,
}

/// What kind of problem there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A newer table is served.
    Stale,
    /// Another table of the same generation is served.
    Conflict,
    /// The table cannot be served.
    Invalid,
    /// An address cannot be listened on.
    Unbindable,
    /// The table could not be written to disk.
    Storage,
    /// What was asked for is not there.
    NotFound,
    /// The question cannot be read.
    Malformed,
    /// This process is not the proxy any more. Ask again: the socket is its successor's now.
    Moved,
    /// A process that was the proxy before does not answer, and may still act by an older table.
    Leaving,
    /// The proxy could not be replaced.
    Upgrade,
    /// Something that this version does not know.
    #[serde(other)]
    Other,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// For programs.
    pub kind: Kind,
    /// For people.
    pub message: String,
    /// The generation that is served.
    pub current: Generation,
}

impl Kind {
    /// The status of an answer with this problem.
    pub fn status(self) -> u16 {
        match self {
            Self::Stale | Self::Conflict => 409,
            Self::Invalid | Self::Unbindable => 422,
            Self::Storage => 507,
            Self::NotFound => 404,
            Self::Malformed => 400,
            Self::Moved | Self::Leaving => 503,
            Self::Upgrade | Self::Other => 500,
        }
    }
}
