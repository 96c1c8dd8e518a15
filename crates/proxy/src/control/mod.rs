//! The control side: a unix socket on which tables are published and counters read. One request at a time changes anything;
//! nothing here is on the way of a client's request.

pub mod client;
pub mod publish;
pub mod server;

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
        }
    }
}
