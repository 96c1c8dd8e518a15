//! What the two say to each other.

use cutover_core::listen::ListenAddress;
use cutover_core::{Generation, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// From the one that leaves.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromOld {
    /// Comes with the lock, the control socket and the standard error. So many listeners follow.
    Offer {
        /// What is served.
        generation: Generation,
        /// Since when is counted.
        since: Timestamp,
        /// How many listeners there are.
        listeners: usize,
    },
    /// Comes with a listener for each address.
    Listeners {
        /// Where they listen.
        addresses: Vec<ListenAddress>,
    },
    /// The successor is the proxy from here on.
    Commit {
        /// What those counted that have left: a [`Past`](super::past::Past), of another version perhaps.
        past: Value,
    },
}

/// From the successor.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromNew {
    /// It runs.
    Hello {
        /// Which language it speaks.
        language: u32,
        /// Its version.
        version: String,
    },
    /// It could serve at once.
    Ready {
        /// What it would serve.
        generation: Generation,
    },
    /// It cannot.
    Failed {
        /// Why.
        message: String,
    },
    /// It accepts.
    Serving,
}
