//! Who may ask, and how much.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::table::Network;
use crate::unit::duration;

/// Who may ask, and how much. Clients are told apart by their address, IPv6 ones by their first 64 bits: that is what one
/// customer of a provider gets.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Access {
    /// Nobody else, if there are any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Network>,
    /// Not these, whatever `allow` says.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Network>,
    /// Only with a name and a password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// No more requests than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// No more requests of one client at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_once: Option<u32>,
}

/// Names and passwords (RFC 7617).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Password {
    /// A file with lines of `name:hash`.
    pub file: PathBuf,
    /// What the browser shows.
    pub realm: String,
}

/// How many requests a client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// So many, evenly.
    pub requests: u32,
    /// In this time.
    #[serde(with = "duration")]
    pub per: Duration,
    /// So many at once, if it sent none for a while.
    pub burst: u32,
}

impl Access {
    /// Whether everybody may ask as much as they like.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What is wrong with it.
    pub fn fault(&self) -> Result<(), String> {
        if let Some(rate) = &self.rate
            && (rate.requests == 0 || rate.burst == 0 || rate.micros() == 0)
        {
            return Err("has a rate of nothing, or of more than a million in a second".to_owned());
        }
        if self.at_once == Some(0) {
            return Err("lets each client send 0 requests at once".to_owned());
        }
        match &self.password {
            Some(password) if !password.file.is_absolute() => {
                Err(format!("has its passwords in {}, which is not a whole path", password.file.display()))
            }
            Some(password) if password.realm.contains(['"', '\\']) || password.realm.contains(char::is_control) => {
                Err(format!("has the realm {:?}, which cannot be written", password.realm))
            }
            _ => Ok(()),
        }
    }
}

impl Rate {
    /// How many microseconds one request counts.
    pub fn micros(&self) -> u64 {
        u64::try_from(self.per.as_micros()).unwrap_or(u64::MAX) / u64::from(self.requests.max(1))
    }
}
