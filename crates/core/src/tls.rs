//! TLS at the proxy: which certificate for whom, and how old a client may be.
//!
//! Nothing here holds a key. A table names files, and the proxy reads them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::acme::{Attempts, Authority};
use crate::id::ServiceName;
use crate::listen::ListenAddress;
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
    /// From an authority, which the proxy asks for one for each host.
    Acme(Box<Authority>),
}

/// How an instance is spoken to by TLS. There is no way to leave out that its certificate is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct InstanceTls {
    /// A file in PEM with those whose signature counts, absolute. Without it, those whom this machine believes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The name that its certificate must be for. Without it, its own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is shown if it asks who is there (mutual TLS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shown: Option<ShownFiles>,
}

/// A certificate of our own, which instances are shown, and its key.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ShownFiles {
    /// The certificate in PEM, and behind it those that vouch for it; absolute.
    pub certificate: PathBuf,
    /// Its private key; absolute.
    pub key: PathBuf,
}

impl InstanceTls {
    /// All files that it names.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let shown = self.shown.iter().flat_map(|files| [&files.certificate, &files.key]);
        self.ca_file.iter().chain(shown)
    }
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
    pub listener: ListenAddress,
    /// By which service.
    pub service: ServiceName,
    /// Where it comes from, for people: the path of its file, or the name for which an authority is asked.
    pub source: String,
    /// The names in it; none if none is loaded.
    pub names: Vec<String>,
    /// Since when it is good; none if none is loaded.
    pub from: Option<Timestamp>,
    /// Until when it is good; none if none is loaded.
    pub until: Option<Timestamp>,
    /// Why what lies there now is not used; what was loaded before stays in use.
    pub problem: Option<String>,
    /// How it is ordered; none if it comes from files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderStats>,
}

/// How a certificate is ordered from an authority.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OrderStats {
    /// The attempts since the last success; none if there is nothing to tell of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<Attempts>,
    /// When the one in use is to be renewed; none if none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Timestamp>,
}

impl CertificateStats {
    /// What a person should do something about, in one line; none if all is well.
    pub fn trouble(&self, now: Timestamp) -> Option<String> {
        let Self { listener, source, problem, until, order, .. } = self;
        if let Some(order) = order {
            return self.order_trouble(order, now);
        }
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

    /// Whether anything is wrong with it, for a program that looks.
    pub fn has_problem(&self) -> bool {
        let attempts = self.order.as_ref().and_then(|order| order.attempts.as_ref());
        self.problem.is_some() || self.until.is_none() || attempts.is_some_and(|attempts| attempts.failed > 0)
    }

    fn order_trouble(&self, order: &OrderStats, now: Timestamp) -> Option<String> {
        let Self { listener, source, .. } = self;
        let so_far = order.attempts.as_ref().map(|attempts| attempts.so_far(now));
        let failed = order.attempts.as_ref().is_some_and(|attempts| attempts.failed > 0);
        match (self.until, self.from) {
            (None, _) => {
                let so_far = so_far.unwrap_or_else(|| "it is about to be ordered".to_owned());
                Some(format!(
                    "nobody can connect to {source} on {listener} by TLS yet, for it has no certificate: {so_far}"
                ))
            }
            (Some(until), _) if failed => Some(format!(
                "the certificate of {source} on {listener} {} and could not be renewed: {}",
                ends(until, now),
                so_far.unwrap_or_default()
            )),
            (Some(_), Some(from)) if from > now => Some(format!(
                "the certificate of {source} on {listener} is not good before {} from now: look whether the clock of this \
                 machine is right (`date`)",
                span(from.since(now))
            )),
            (Some(until), _) if until <= now => {
                let so_far = so_far.unwrap_or_else(|| "it is about to be renewed".to_owned());
                Some(format!("the certificate of {source} on {listener} {}: {so_far}", ends(until, now)))
            }
            (Some(_), _) => None,
        }
    }
}

impl Attempts {
    /// What came of them, in one line.
    fn so_far(&self, now: Timestamp) -> String {
        let since = span(now.since(self.since));
        let next = match self.next {
            _ if self.at_work => "an attempt is at work".to_owned(),
            next if next <= now => "the next attempt begins now".to_owned(),
            next => format!("the next attempt begins in {}", span(next.since(now))),
        };
        let times = if self.failed == 1 { "once".to_owned() } else { format!("{} times", self.failed) };
        match &self.error {
            Some(error) => format!("tried {times} since {since} ago, the last time {error}; {next}"),
            None => format!("ordered since {since} ago; {next}"),
        }
    }
}

/// A time in its largest unit, rounded.
fn span(time: Duration) -> String {
    let count = |count: u64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    match time.as_secs() {
        seconds @ 0..60 => count(seconds, "second"),
        seconds @ 60..3570 => count((seconds + 30) / 60, "minute"),
        seconds @ 3570..84_600 => count((seconds + 1800) / 3600, "hour"),
        seconds => count((seconds + 43_200) / 86_400, "day"),
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
            CertificateStats { listener, service, source, names: vec![], from: None, until, problem, order: None }
                .trouble(now)
        };
        assert_eq!(trouble(Some(now + day * 22), None), None);
        assert!(trouble(Some(now + day * 20), None).unwrap().contains("expires in 20 days"));
        assert!(trouble(Some(now - day), None).unwrap().contains("EXPIRED 1 day ago"));
        assert!(trouble(Some(now + day * 80), Some("bad")).unwrap().contains("the one before serves"));
        assert!(trouble(None, Some("bad")).unwrap().contains("nobody can connect"));
    }

    /// All is well for as long as there is one and nothing failed: a certificate of six days is no trouble.
    /// Seen to fail with an attempt that is at work taken for one that failed.
    #[test]
    fn an_order_tells_of_itself_until_it_has_come_about() {
        let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
        let now = Timestamp(1_000 * 86_400_000);
        let attempts = |failed, error: Option<&str>| Attempts {
            since: now - minute * 80,
            last: now - minute,
            failed,
            at_work: failed == 0,
            error: error.map(str::to_owned),
            next: now + minute * 4,
        };
        let trouble = |from, until, attempts| {
            let (listener, service) = ("0.0.0.0:443".parse().unwrap(), ServiceName::new("web").unwrap());
            let order = Some(OrderStats { attempts, renewal: None });
            let source = "shop.example".to_owned();
            CertificateStats { listener, service, source, names: vec![], from, until, problem: None, order }
                .trouble(now)
        };
        let said = |from, until, attempts, what: &str| {
            let said = trouble(from, until, attempts).unwrap_or_default();
            assert!(said.contains(what), "{what:?} is not in {said:?}");
        };
        let good = Some(now - day);
        assert_eq!(trouble(good, Some(now + day), None), None);
        assert_eq!(trouble(good, Some(now + day), Some(attempts(0, None))), None, "it is being renewed in time");
        said(None, None, None, "has no certificate: it is about to be ordered");
        said(None, None, Some(attempts(0, None)), "ordered since 1 hour ago; an attempt is at work");
        let refused = Some(attempts(3, Some("the authority refused: no such name")));
        said(
            None,
            None,
            refused.clone(),
            "tried 3 times since 1 hour ago, the last time the authority refused: no such name",
        );
        said(None, None, refused.clone(), "; the next attempt begins in 4 minutes");
        said(good, Some(now + day * 3), refused.clone(), "expires in 3 days and could not be renewed: tried 3 times");
        said(good, Some(now - day), refused, "EXPIRED 1 day ago and could not be renewed");
        said(Some(now + day), Some(now + day * 3), None, "not good before 1 day from now: look whether the clock");
    }
}
