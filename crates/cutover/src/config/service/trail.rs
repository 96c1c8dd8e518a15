//! What is noted of requests, and how they are spread: the tables `access_log` and `eject` of a route, and the keys beside them.

use std::time::Duration;

use cutover_core::ByteSize;
use cutover_core::spread::{Eject, HashBy, Spread};
use cutover_core::table::Balance;
use cutover_core::trail::{AccessLog, BadFormat, Field, Format, Preamble, Trail};

use super::{Place, spans};
use crate::config::keys::nearest;
use crate::config::reader::{Located, Reader, Zero};

/// Reads what is noted of the requests of a route.
pub(super) fn trail(route: &Reader, place: &Place) -> Trail {
    let flag = |key| route.flag(key).is_some_and(|flag| flag.value);
    let preamble = route.one_of("send_proxy", &[("v1", Preamble::V1), ("v2", Preamble::V2)]);
    Trail {
        log: access_log(route, place),
        request_id: flag("request_id"),
        trace: flag("trace"),
        spans: spans::read(route, place),
        preamble,
    }
}

/// Reads how the requests of a route are spread.
pub(super) fn spread(route: &Reader, balance: Balance) -> Spread {
    if route.has("hash_header") && balance != Balance::Hash {
        let message = "has a meaning only with balance = \"hash\"";
        route.wrong_value("hash_header", route.place_of("hash_header"), message).hint("remove it, or set the balance");
    }
    Spread {
        hash: header(route).map_or(HashBy::Address, HashBy::Header),
        sticky: route.flag("sticky").is_some_and(|sticky| sticky.value),
        slow_start: route.duration("slow_start", Zero::Allowed).unwrap_or_default(),
        eject: eject(&route.section("eject")),
    }
}

fn header(route: &Reader) -> Option<String> {
    let name = route.plain("hash_header")?;
    let is_name = name.value.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_!#$%&'*+.^`|~".contains(&b));
    if !is_name {
        let message = format!("{:?} is not the name of a header", name.value);
        route.wrong_value("hash_header", name.at, message).hint("write for example \"X-Tenant\"");
    }
    is_name.then(|| name.value.to_ascii_lowercase())
}

fn access_log(route: &Reader, place: &Place) -> Option<AccessLog> {
    let reader = route.section("access_log");
    if !reader.is_written() {
        return None;
    }
    let file = reader.plain("file").map(|file| place.resolve(file.value));
    let format = match reader.text("format") {
        None => Some(Format::Combined),
        Some(text) => read_format(&reader, &text),
    };
    let query = reader.flag("query").is_none_or(|query| query.value);
    let max_size = reader.size("max_size", 0).unwrap_or(ByteSize(100 << 20));
    let keep = reader.number("keep", 0..=1000).map_or(5, |keep| keep.value);
    Some(AccessLog { file: file?, format: format?, query, max_size, keep })
}

fn read_format(reader: &Reader, text: &Located<&str>) -> Option<Format> {
    let bad = match Format::parse(text.value) {
        Ok(format) => return Some(format),
        Err(bad) => bad,
    };
    let hint = match &bad {
        BadFormat::Unknown(name) => {
            let meant = nearest(name, Field::ALL.iter().map(|field| field.name()));
            meant.map_or_else(
                || "a header is ${http_NAME}; docs/access-log.md lists the others".to_owned(),
                |meant| format!("did you mean ${meant}?"),
            )
        }
        BadFormat::Constant => match nearest(text.value, ["combined", "json"]) {
            Some(word) => format!("did you mean {word:?}?"),
            None => "write \"combined\", \"json\", or a line such as \"$remote_addr $status\"".to_owned(),
        },
        BadFormat::Nameless | BadFormat::Control => "write for example \"$remote_addr $status\"".to_owned(),
    };
    reader.wrong_value("format", text.at, bad).hint(hint);
    None
}

fn eject(reader: &Reader) -> Option<Eject> {
    if !reader.is_written() {
        return None;
    }
    let failures = reader.number("failures", 1..=1000).map_or(5, |failures| failures.value);
    let back_off = reader.duration("back_off", Zero::Refused).unwrap_or(Duration::from_secs(10));
    let longest = reader.duration("longest", Zero::Refused).unwrap_or(Duration::from_secs(300));
    if longest < back_off {
        reader.wrong_value("longest", reader.place_of("longest"), "is shorter than back_off").hint_if(None);
    }
    Some(Eject { failures, back_off, longest, errors: reader.flag("errors").is_some_and(|errors| errors.value) })
}
