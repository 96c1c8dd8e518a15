//! TLS at the proxy: which certificate for whom, and how old a client may be.
//!
//! Nothing here holds a key. A table names files, and the proxy reads them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::ServiceName;
use crate::unit::{Timestamp, duration};

/// How long before its end a certificate is worth a word: whoever renews by hand has three weeks.
pub const SOON: Duration = Duration::from_secs(21 * 24 * 3600);

/// How a route wants TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsSpec {
    /// Where the certificate comes from.
    pub from: CertificateFrom,
    /// The oldest version that is spoken.
    pub minimum: TlsVersion,
    /// Another address, without TLS, where everything is answered with the way to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<SocketAddr>,
    /// How long browsers are to remember that there is nothing here without TLS (RFC 6797).
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::optional")]
    pub hsts: Option<Duration>,
}

/// Where a certificate comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateFrom {
    /// From two files in PEM, which the proxy reads again when they change.
    Files {
        /// The certificate, and behind it those that vouch for it; absolute.
        certificate: PathBuf,
        /// Its private key; absolute.
        key: PathBuf,
    },
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3 (RFC 8446).
    #[serde(rename = "1.3")]
    V13,
}

/// A certificate at a listener, and whom it is for. A client that names nobody, or somebody that is not here, gets the first one
/// without hosts; the first one of all if each has some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The service that brings it.
    pub service: ServiceName,
    /// The host names of the service, lower case; empty for any.
    pub hosts: Vec<String>,
    /// Where it comes from.
    pub from: CertificateFrom,
    /// The oldest version that is spoken with those who ask for these hosts.
    pub minimum: TlsVersion,
}

/// How a certificate is that the proxy uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStats {
    /// Where it is used.
    pub listener: SocketAddr,
    /// By which service.
    pub service: ServiceName,
    /// Where it comes from, for people: the path of its file.
    pub source: String,
    /// The names in it; none if none is loaded.
    pub names: Vec<String>,
    /// Since when it is good; none if none is loaded.
    pub from: Option<Timestamp>,
    /// Until when it is good; none if none is loaded.
    pub until: Option<Timestamp>,
    /// Why what lies there now is not used; what was loaded before stays in use.
    pub problem: Option<String>,
}

impl CertificateStats {
    /// What a person should do something about, in one line; none if all is well.
    pub fn trouble(&self, now: Timestamp) -> Option<String> {
        let Self { listener, source, problem, until, .. } = self;
        match (problem, until) {
            (Some(problem), None) => {
                Some(format!("nobody can connect to {listener} by TLS: no certificate is loaded: {problem}"))
            }
            (Some(problem), Some(until)) => Some(format!(
                "the new certificate is not used, the one before serves on {listener} and {}: {problem}",
                ends(*until, now)
            )),
            (None, Some(until)) if *until <= now + SOON => Some(format!(
                "the certificate in {source}, used on {listener}, {}: replace the file; it is read again by itself",
                ends(*until, now)
            )),
            (None, _) => None,
        }
    }
}

fn ends(until: Timestamp, now: Timestamp) -> String {
    let days = |time: Duration| match time.as_secs() / 86_400 {
        0 => format!("{} hours", time.as_secs() / 3600),
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    if until <= now {
        format!("EXPIRED {} ago", days(now.since(until)))
    } else {
        format!("expires in {}", days(until.since(now)))
    }
}

impl TlsVersion {
    /// As it is written in the configuration.
    pub fn text(self) -> &'static str {
        match self {
            Self::V12 => "1.2",
            Self::V13 => "1.3",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen to fail with `SOON` compared from the wrong side.
    #[test]
    fn a_certificate_is_worth_a_word_in_time() {
        let day = Duration::from_secs(86_400);
        let now = Timestamp(1_000 * 86_400_000);
        let trouble = |until: Option<Timestamp>, problem: Option<&str>| {
            let (listener, service) = ("0.0.0.0:443".parse().unwrap(), ServiceName::new("web").unwrap());
            let (source, problem) = ("/etc/web.pem".to_owned(), problem.map(str::to_owned));
            CertificateStats { listener, service, source, names: vec![], from: None, until, problem }.trouble(now)
        };
        assert_eq!(trouble(Some(now + day * 22), None), None);
        assert!(trouble(Some(now + day * 20), None).unwrap().contains("expires in 20 days"));
        assert!(trouble(Some(now - day), None).unwrap().contains("EXPIRED 1 day ago"));
        assert!(trouble(Some(now + day * 80), Some("bad")).unwrap().contains("the one before serves"));
        assert!(trouble(None, Some("bad")).unwrap().contains("nobody can connect"));
    }
}
