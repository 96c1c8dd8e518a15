//! Where spans go. **Invariant.** No finding shows the endpoint or a header: either may hold a secret, by mistake or not.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cutover_core::rule::verdict::Share;
use cutover_core::trail::Spans;

use super::Place;
use crate::config::reader::{Located, Reader};

/// Where receivers of OTLP listen for traces if nothing else is said.
const PATH: &str = "/v1/traces";

/// Reads the `spans` table of a route.
pub(super) fn read(route: &Reader, place: &Place) -> Option<Spans> {
    let reader = route.section("spans");
    if !reader.is_written() {
        return None;
    }
    let endpoint = endpoint(&reader);
    let path = |key| reader.plain(key).map(|path| (place.resolve(path.value), path));
    let headers_file = path("headers_file").map(|(file, written)| headers(&reader, file, &written));
    let ca_file = path("ca_file").map(|(file, written)| certificates(&reader, file, &written));
    if let (Some(endpoint), Some(_)) = (&endpoint, &headers_file)
        && is_readable_on_the_way(endpoint)
    {
        let message = "headers_file is sent there without TLS: whoever is on the way can read it";
        reader
            .odd_value("endpoint", reader.place_of("endpoint"), message)
            .hint("write https://, if the receiver can do it");
    }
    let ratio = reader.percentage("ratio").unwrap_or(Share::ONE);
    let anyone = reader.one_of("parent", &[("anyone", true), ("trusted", false)]).unwrap_or(true);
    Some(Spans { endpoint: endpoint?, ratio, anyone, headers_file, ca_file })
}

fn endpoint(reader: &Reader) -> Option<String> {
    let written = reader.plain("endpoint")?;
    let host = written.value.split_once("://").map(|(_, rest)| rest.trim_end_matches('/'));
    let whole = match host.filter(|host| !host.is_empty() && !host.contains('/')) {
        Some(_) => format!("{}{PATH}", written.value.trim_end_matches('/')),
        None => written.value.to_owned(),
    };
    let not_an_address = || whole.parse::<hyper::Uri>().is_err().then_some("is no address");
    if let Some(fault) = Spans::fault(&whole).or_else(not_an_address) {
        reader
            .wrong_value("endpoint", written.at, fault)
            .hint("write for example \"https://collector.example.com:4318/v1/traces\"");
        return None;
    }
    Some(whole)
}

fn is_readable_on_the_way(endpoint: &str) -> bool {
    let Some(rest) = endpoint.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host != "localhost" && !address.is_ok_and(|address| address.is_loopback())
}

/// It is the proxy who has to read it, and it may be another user on another day.
fn headers(reader: &Reader, file: PathBuf, written: &Located<&str>) -> PathBuf {
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            if let Err(line) = Spans::headers(&text) {
                let message = format_args!("line {line} of {:?} is no header that can be sent", written.value);
                reader.wrong_value("headers_file", written.at, message).hint("write lines of Name: value");
            }
        }
        Err(error) => unread(reader, "headers_file", &error, written),
    }
    file
}

fn certificates(reader: &Reader, file: PathBuf, written: &Located<&str>) -> PathBuf {
    match look(&file) {
        Ok(true) => {}
        Ok(false) => {
            let message = format_args!("there is no certificate in {:?}", written.value);
            reader.wrong_value("ca_file", written.at, message).hint("expected PEM, with -----BEGIN CERTIFICATE-----");
        }
        Err(error) => unread(reader, "ca_file", &error, written),
    }
    file
}

fn look(file: &Path) -> std::io::Result<bool> {
    Ok(String::from_utf8_lossy(&std::fs::read(file)?).contains("-----BEGIN CERTIFICATE-----"))
}

fn unread(reader: &Reader, key: &str, error: &std::io::Error, written: &Located<&str>) {
    let message = format_args!("{:?} cannot be read now: {error}; until the proxy can, no span is sent", written.value);
    reader.odd_value(key, written.at, message).hint_if(None);
}
