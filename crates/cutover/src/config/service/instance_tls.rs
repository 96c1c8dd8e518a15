//! TLS to instances: whose certificates count, and what they are shown. The files are looked at here, so that `check` and `plan` say what is
//! wrong with them before anything has changed; the proxy reads them for itself.

use std::io::ErrorKind;

use cutover_core::table::Protocol;
use cutover_core::tls::{InstanceTls, ShownFiles};
use cutover_proxy::tls::{RootsError, Terms, TermsError};

use super::{Place, tls};
use crate::config::reader::Reader;

/// Reads the `instance_tls` table of a route.
pub(super) fn read(route: &Reader, place: &Place) -> Option<Box<InstanceTls>> {
    let reader = route.section("instance_tls");
    if !reader.is_written() {
        return None;
    }
    for (there, other) in [("certificate", "key"), ("key", "certificate")] {
        if reader.has(there) && !reader.has(other) {
            let message = format!("has no meaning without {other}");
            reader.wrong_value(there, reader.place_of(there), message).hint("both name a file");
        }
    }
    let path = |key| reader.plain(key).map(|path| place.resolve(path.value));
    let files = path("certificate").zip(path("key"));
    let read = InstanceTls {
        ca_file: path("ca_file"),
        name: reader.plain("name").map(|name| name.value.to_owned()),
        shown: files.map(|(certificate, key)| ShownFiles { certificate, key }),
    };
    look(&reader, &read);
    Some(Box::new(read))
}

/// Reads what the instances are spoken to in, which says whether that is inside TLS, too.
pub(super) fn protocol(route: &Reader) -> Protocol {
    let words = [
        ("http1", (Protocol::Http1, None)),
        ("h2c", (Protocol::H2c, Some(false))),
        ("h2", (Protocol::H2c, Some(true))),
    ];
    let (protocol, by_tls) = route.one_of("protocol", &words).unwrap_or_default();
    let wrong = |message: &str| route.wrong_value("protocol", route.place_of("protocol"), message);
    match (by_tls, route.has("instance_tls")) {
        (Some(true), false) => {
            wrong("is HTTP/2 inside TLS, and the route has no instance_tls")
                .hint("write instance_tls = { … }, or \"h2c\" for HTTP/2 without TLS");
        }
        (Some(false), true) => {
            wrong("is HTTP/2 without TLS, and by instance_tls the instances speak TLS")
                .hint("write \"h2\", or remove instance_tls");
        }
        _ => {}
    }
    protocol
}

/// Says what is wrong with the files.
fn look(reader: &Reader, spec: &InstanceTls) {
    match Terms::read(spec) {
        Ok(terms) => terms.facts.iter().for_each(|facts| tls::judge_dates(reader, facts, "instance")),
        Err(TermsError::Shown(error)) => tls::unusable(reader, &error, spec.shown.as_ref().map(|files| &*files.key)),
        Err(error @ TermsError::BadName(_)) => {
            reader.wrong_value("name", reader.place_of("name"), error).hint("write one such as \"web.internal\"");
        }
        Err(TermsError::Roots(RootsError::Read { path, source })) if source.kind() == ErrorKind::PermissionDenied => {
            let message = format!("{} cannot be looked at by this user", path.display());
            reader
                .odd_value("ca_file", reader.place_of("ca_file"), message)
                .hint("the users that run the proxy and the agent must be able to read it");
        }
        Err(error @ TermsError::Roots(RootsError::Read { .. })) => {
            reader
                .wrong_value("ca_file", reader.place_of("ca_file"), error)
                .hint("a relative path starts at the folder of cutover.toml");
        }
        Err(error) => {
            reader.wrong_value("ca_file", reader.place_of("ca_file"), error).hint_if(None);
        }
    }
}
