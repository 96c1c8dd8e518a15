//! TLS at a route: where the certificate is, and how it is used. The files are looked at here, so that `check` and `plan` say
//! what is wrong with them before anything has changed; the proxy reads them for itself.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use cutover_core::Timestamp;
use cutover_core::listen::ListenAddress;
use cutover_core::spec::RouteKind;
use cutover_core::tls::{CertificateFrom, SOON, TlsSpec, TlsVersion};
use cutover_proxy::tls::{Facts, Pair, PairError};
use jiff::tz::TimeZone;

use super::Place;
use super::acme::{self, Around};
use super::listen::address;
use crate::config::reader::{Reader, Zero};

/// Reads the `tls` table of a route that carries this.
pub(super) fn read(
    route: &Reader,
    place: &Place,
    listen: Option<&ListenAddress>,
    kind: &RouteKind,
) -> Option<Box<TlsSpec>> {
    let reader = route.section("tls");
    if !reader.is_written() {
        return None;
    }
    let minimum = reader.one_of("minimum", &[("1.2", TlsVersion::V12), ("1.3", TlsVersion::V13)]).unwrap_or_default();
    let (redirect, hsts) = (redirect(&reader, listen), reader.duration("hsts", Zero::Allowed));
    if *kind == RouteKind::Tcp {
        for key in ["redirect", "hsts"].into_iter().filter(|key| reader.has(key)) {
            reader.wrong_value(key, reader.place_of(key), "has no meaning on a TCP route").hint("remove it");
        }
    }
    let from = if acme::is_wanted(&reader) {
        CertificateFrom::Acme(Box::new(acme::read(&reader, place, &Around { listen, redirect, kind })?))
    } else {
        files(&reader, place, kind)?
    };
    Some(Box::new(TlsSpec { from, minimum, redirect, hsts }))
}

fn files(reader: &Reader, place: &Place, kind: &RouteKind) -> Option<CertificateFrom> {
    for key in ["certificate", "key"].into_iter().filter(|key| !reader.has(key)) {
        reader
            .mistake(reader.at, format!("{}: missing", reader.path_of(key)))
            .hint("expected a path in quotes; or write acme = true, and the proxy orders certificates by itself");
    }
    let path = |key| reader.plain(key).map(|path| place.resolve(path.value));
    let (certificate, key) = (path("certificate"), path("key"));
    let (certificate, key) = (certificate?, key?);
    look(reader, &certificate, &key, kind);
    Some(CertificateFrom::Files { certificate, key })
}

fn redirect(reader: &Reader, listen: Option<&ListenAddress>) -> Option<SocketAddr> {
    let redirect = address(reader, "redirect")?;
    if listen.is_some_and(|listen| listen.path().is_some()) {
        reader
            .wrong_value(
                "redirect",
                reader.place_of("redirect"),
                "the service listens on a unix socket, to which nobody can be sent",
            )
            .hint("remove it: whoever stands in front tells the way to https");
    }
    if listen.is_some_and(|listen| listen.port() == Some(redirect.port())) {
        let message = format!("port {} is where the service itself listens", redirect.port());
        reader
            .wrong_value("redirect", reader.place_of("redirect"), message)
            .hint("write the address for http: \":80\"");
    }
    Some(redirect)
}

/// Says what is wrong with the files.
fn look(reader: &Reader, certificate: &Path, key: &Path, kind: &RouteKind) {
    match Pair::read(certificate, key) {
        Ok(pair) => judge(reader, &pair.facts, kind),
        Err(error) => unusable(reader, &error, Some(key)),
    }
}

/// Says why a pair cannot be used, of which this is the key.
pub(super) fn unusable(reader: &Reader, error: &PairError, key: Option<&Path>) {
    match error {
        // The proxy may run as somebody else. If it cannot read the file either, the agent says so before it deploys.
        PairError::Read { path, source } if source.kind() == ErrorKind::PermissionDenied => {
            let which = if Some(&**path) == key { "key" } else { "certificate" };
            let message =
                format!("{} cannot be looked at by this user: whether it can be used is not known", path.display());
            reader
                .odd_value(which, reader.place_of(which), message)
                .hint("the user that runs the proxy must be able to read it");
        }
        error => {
            let which = match error {
                PairError::NoKey { .. } | PairError::BadKey(_) | PairError::Mismatch { .. } => "key",
                PairError::Read { path, .. } if Some(&**path) == key => "key",
                _ => "certificate",
            };
            reader.wrong_value(which, reader.place_of(which), error).hint_if(hint(error));
        }
    }
}

fn hint(error: &PairError) -> Option<String> {
    match error {
        PairError::Mismatch { .. } => Some("name the key with which this certificate was requested".to_owned()),
        PairError::Read { source, .. } if source.kind() == ErrorKind::NotFound => {
            Some("a relative path starts at the folder of cutover.toml".to_owned())
        }
        _ => None,
    }
}

/// Says what clients would mind.
fn judge(reader: &Reader, facts: &Facts, kind: &RouteKind) {
    judge_dates(reader, facts, "client");
    let RouteKind::Http { hosts, .. } = kind else { return };
    if let Some(host) = hosts.iter().find(|host| !facts.covers(host)) {
        let message = format!("the certificate is for {}, not for {host}", facts.names.join(", "));
        let at = reader.place_of("certificate");
        reader.wrong_value("certificate", at, message).hint("name another one, or correct hosts");
    }
}

/// Says whether it is good for those who are shown it, and for how long.
pub(super) fn judge_dates(reader: &Reader, facts: &Facts, who: &str) {
    let at = reader.place_of("certificate");
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    if facts.until <= now {
        let message = format!("the certificate expired on {}: no {who} would accept it", day(facts.until));
        reader
            .wrong_value("certificate", at, message)
            .hint("renew it; a proxy that uses it already serves on meanwhile");
    } else if facts.from > now {
        let message = format!("the certificate is not good before {}", day(facts.from));
        reader.wrong_value("certificate", at, message).hint("look whether the clock of this machine is right (`date`)");
    } else if facts.until <= now + SOON {
        let message = format!("the certificate expires on {}", day(facts.until));
        reader
            .odd_value("certificate", at, message)
            .hint("replace the files in time: they are read again by themselves");
    }
}

/// The day of a moment, as `2026-11-21`.
fn day(moment: Timestamp) -> String {
    let millis = i64::try_from(moment.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis)
        .map_or_else(|_| "an unknown day".to_owned(), |moment| moment.to_zoned(TimeZone::UTC).date().to_string())
}
