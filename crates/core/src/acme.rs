//! Certificates that an authority signs when it is asked (ACME, RFC 8555): whom to ask and how, and how far that has come.
//!
//! Each host name has a certificate of its own. A name that fails (its DNS entry is not there yet, say) then keeps no other
//! from being renewed, and one that is added changes nothing for those that are served.
//!
//! Nothing here holds a key: a table names the file of the only secret that a person brings, and the proxy reads it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::unit::Timestamp;

/// Whom to ask for certificates, and how. The whole of it belongs to a table, and none of it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Authority {
    /// The URL of its directory (RFC 8555, 7.1.1).
    pub directory: String,
    /// Whom it may write to; told to it when the account is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The certificates by which the authority's own TLS is believed, in place of those of the machine; absolute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Where account and certificates lie, if not in the proxy's state directory; absolute. Hosts may share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store: Option<PathBuf>,
    /// How it is shown that a name is ours.
    pub challenge: Challenge,
    /// The account that one has there already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
}

/// How it is shown that a name is ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Challenge {
    /// A text under a path, by HTTP at port 80 (RFC 8555, 8.3).
    #[serde(rename = "http-01")]
    Http01,
    /// A certificate of our own making in a handshake at port 443 (RFC 8737).
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
}

/// An account with the authority that is bound to one that was made elsewhere (RFC 8555, 7.3.4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Binding {
    /// How that account is called.
    pub kid: String,
    /// The file with its key, in base64url; absolute.
    pub key_file: PathBuf,
}

/// How far the order of a certificate has come, where it is not simply in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// When the first attempt began.
    pub since: Timestamp,
    /// When the last one began.
    pub last: Timestamp,
    /// How many have failed.
    pub failed: u32,
    /// Whether the last one is still at work.
    #[serde(default)]
    pub at_work: bool,
    /// What the last one that failed came to, in the authority's words where it said any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// When the next one begins.
    pub next: Timestamp,
}

impl Authority {
    /// Let's Encrypt.
    pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

    /// The same for trying things out: nobody believes its certificates, and its limits are wide.
    pub const LETS_ENCRYPT_STAGING: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";
}

impl Challenge {
    /// As it is written in the configuration and in the protocol.
    pub fn text(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// Why a name cannot have a certificate of this kind; none if it can. Only what is known without asking anybody.
pub fn unfit(host: &str) -> Option<&'static str> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if host.contains('*') {
        return Some("a wildcard is only signed for who writes into the DNS, which the proxy does not");
    }
    if host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok() {
        return Some("it is an address, and certificates are for names");
    }
    (host.len() > 253 || !host.split('.').all(is_label)).then_some("it is not a name of the DNS")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail with wildcards let through.
    #[test]
    fn names_of_the_dns_are_fit_and_nothing_else_is() {
        for host in ["shop.example.com", "localhost", "a-b.c_d.example", "xn--bcher-kva.example"] {
            assert_eq!(unfit(host), None, "{host}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for host in ["*.example.com", "10.0.0.1", "[::1]", "::1", "", ".", "a..b", ".a", "../x", "a/b", long.as_str()] {
            assert!(unfit(host).is_some(), "{host:?}");
        }
    }
}
