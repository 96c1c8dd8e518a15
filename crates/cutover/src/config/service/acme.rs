//! Certificates that the proxy orders: from whom, and for which hosts that cannot be.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;

use cutover_core::acme::{Authority, Binding, Challenge, unfit};
use cutover_core::listen::ListenAddress;
use cutover_core::spec::RouteKind;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::Place;
use crate::config::reader::Reader;
use crate::config::tree::Value;

/// What stands around it in the route.
pub(super) struct Around<'a> {
    /// Where the route listens.
    pub(super) listen: Option<&'a ListenAddress>,
    /// Where the way to it is told.
    pub(super) redirect: Option<SocketAddr>,
    /// What it carries.
    pub(super) kind: &'a RouteKind,
}

/// Whether certificates are to be ordered.
pub(super) fn is_wanted(tls: &Reader) -> bool {
    tls.node("acme").is_some_and(|node| !matches!(node.value, Value::Flag(false)))
}

/// Reads the key `acme` of a `tls` table, where it is wanted.
pub(super) fn read(tls: &Reader, place: &Place, around: &Around) -> Option<Authority> {
    for key in ["certificate", "key"].into_iter().filter(|key| tls.has(key)) {
        tls.wrong_value(key, tls.place_of(key), "stands beside acme, which brings certificates of its own")
            .hint("remove it, or remove acme");
    }
    if around.listen.is_some_and(|listen| listen.path().is_some()) {
        let message = "an authority asks from outside, and the service listens on a unix socket";
        tls.wrong_value("acme", tls.place_of("acme"), message)
            .hint("write certificate and key, or let whoever stands in front speak TLS");
    }
    hosts(tls, around.kind);
    let node = tls.node("acme")?;
    let authority = match &node.value {
        Value::Flag(_) => plain(Authority::LETS_ENCRYPT, around),
        Value::Table(_) => table(&tls.section("acme"), place, around),
        _ => {
            tls.wrong("acme", node);
            return None;
        }
    };
    ports(tls, &authority, around);
    Some(authority)
}

/// Names are what certificates are for.
fn hosts(tls: &Reader, kind: &RouteKind) {
    let (at, wrong) = (tls.place_of("acme"), "acme");
    let RouteKind::Http { hosts, .. } = kind else {
        tls.wrong_value(wrong, at, "has no meaning on a TCP route: it has no hosts that certificates could be for")
            .hint("write certificate and key");
        return;
    };
    if hosts.is_empty() {
        tls.wrong_value(wrong, at, "an authority signs for names, and the route has no hosts")
            .hint("write them: hosts = [\"shop.example.com\"]");
    }
    for (host, why) in hosts.iter().filter_map(|host| Some((host, unfit(host)?))) {
        tls.wrong_value(wrong, at, format!("there is no certificate to be had for {host:?}: {why}"))
            .hint("name the hosts one by one, or write certificate and key");
    }
}

fn plain(directory: &str, around: &Around) -> Authority {
    let challenge = if around.redirect.is_some() { Challenge::Http01 } else { Challenge::TlsAlpn01 };
    let directory = directory.to_owned();
    Authority { directory, email: None, ca_file: None, store: None, challenge, binding: None }
}

fn table(reader: &Reader, place: &Place, around: &Around) -> Authority {
    let usual = plain(directory(reader), around);
    let words = [Challenge::Http01, Challenge::TlsAlpn01].map(|challenge| (challenge.text(), challenge));
    let path = |key| reader.plain(key).map(|path| place.resolve(path.value));
    Authority {
        email: email(reader),
        ca_file: path("ca_file").inspect(|file| certificates(reader, file)),
        store: path("store"),
        challenge: reader.one_of("challenge", &words).unwrap_or(usual.challenge),
        binding: binding(reader, path("eab_key_file")),
        ..usual
    }
}

fn directory<'a>(reader: &Reader<'a>) -> &'a str {
    let staging = reader.flag("staging").is_some_and(|staging| staging.value);
    let Some(directory) = reader.plain("directory") else {
        return if staging { Authority::LETS_ENCRYPT_STAGING } else { Authority::LETS_ENCRYPT };
    };
    if staging {
        reader
            .wrong_value(
                "staging",
                reader.place_of("staging"),
                "is for Let's Encrypt, and directory names another authority",
            )
            .hint("remove one of them");
    }
    let rest = directory.value.strip_prefix("https://").unwrap_or_default();
    if rest.is_empty() || rest.starts_with('/') || rest.contains(char::is_whitespace) {
        let message = format!("{:?} is not the address of a directory", directory.value);
        reader
            .wrong_value("directory", directory.at, message)
            .hint("it begins with https:// and a host, such as \"https://ca.example.com/acme/directory\"");
    }
    directory.value
}

fn email(reader: &Reader) -> Option<String> {
    let email = reader.plain("email")?;
    let is_one = email.value.split_once('@').is_some_and(|(who, at)| !who.is_empty() && at.contains('.'));
    if !is_one || email.value.contains([' ', ',', ':', '?']) {
        let message = format!("{:?} is not an e-mail address", email.value);
        reader.wrong_value("email", email.at, message).hint("write one, such as \"ops@example.com\"");
    }
    Some(email.value.to_owned())
}

fn binding(reader: &Reader, key_file: Option<PathBuf>) -> Option<Binding> {
    let kid = reader.plain("eab_kid").map(|kid| kid.value.to_owned());
    for (there, other) in [("eab_kid", "eab_key_file"), ("eab_key_file", "eab_kid")] {
        if reader.has(there) && !reader.has(other) {
            let message = format!("has no meaning without {other}");
            reader.wrong_value(there, reader.place_of(there), message).hint("the authority gives both");
        }
    }
    Some(Binding { kid: kid?, key_file: key_file? })
}

/// Whether there is anything to believe in. The proxy may run as somebody else, and reads it for itself.
fn certificates(reader: &Reader, file: &PathBuf) {
    let at = reader.place_of("ca_file");
    match std::fs::read(file) {
        Ok(pem) if CertificateDer::pem_slice_iter(&pem).next().is_some_and(|first| first.is_ok()) => {}
        Ok(_) => {
            let message = format!("there is no certificate in {}", file.display());
            reader.wrong_value("ca_file", at, message).hint("expected PEM, with -----BEGIN CERTIFICATE-----");
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let message = format!("{} cannot be looked at by this user", file.display());
            reader.odd_value("ca_file", at, message).hint("the user that runs the proxy must be able to read it");
        }
        Err(error) => {
            let message = format!("cannot read {}: {error}", file.display());
            reader.wrong_value("ca_file", at, message).hint("a relative path starts at the folder of cutover.toml");
        }
    }
}

/// Authorities of the world ask at two ports and no others. Something may pass these on, so it is only a word.
fn ports(tls: &Reader, authority: &Authority, around: &Around) {
    let (asks, ours) = match authority.challenge {
        Challenge::Http01 => (80, around.redirect),
        Challenge::TlsAlpn01 => (443, around.listen.and_then(ListenAddress::tcp)),
    };
    let is_public = [Authority::LETS_ENCRYPT, Authority::LETS_ENCRYPT_STAGING].contains(&authority.directory.as_str());
    if let Some(ours) = ours.filter(|ours| ours.port() != asks && is_public) {
        let message = format!(
            "by {} the authority asks at port {asks}, and the proxy answers at port {}",
            authority.challenge.text(),
            ours.port()
        );
        tls.odd_value("acme", tls.place_of("acme"), message)
            .hint(format!("see to it that port {asks} of the hosts leads there"));
    }
}
