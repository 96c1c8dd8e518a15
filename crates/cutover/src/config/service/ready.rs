//! The readiness gate.

use std::time::Duration;

use cutover_core::spec::{Check, ReadySpec, WarmUp};
use cutover_core::table::Protocol;

use super::route::Kind;
use super::{Place, command, kind, rollout};
use crate::config::reader::{Located, Reader, Zero};
use crate::config::tree::Value;

/// The checks, strictest first.
const CHECKS: &[&str] = &["http", "fastcgi", "grpc", "tcp", "command", "file", "health", "running"];

/// The keys that only a check by HTTP has.
const HTTP_DETAILS: &[&str] = &["status", "host", "headers", "body"];

/// Reads the `ready` table of a service.
pub(super) fn read(service: &Reader, place: &Place, route: Kind, protocol: Protocol, kind: kind::Kind) -> ReadySpec {
    let reader = service.section("ready");
    let default = ReadySpec::default();
    let wait = |key, zero| reader.duration(key, zero);
    let spec = ReadySpec {
        check: check(&reader, place, route, protocol),
        within: wait("within", Zero::Refused).unwrap_or(default.within),
        stable_for: wait("stable_for", Zero::Allowed).unwrap_or(default.stable_for),
        passes: reader.number("passes", 1..=1000).map_or(default.passes, |passes| passes.value),
        timeout: wait("timeout", Zero::Refused).unwrap_or(default.timeout),
        warm_up: warm_up(&reader, route, protocol),
    };
    check_times(&reader, &spec);
    if spec.check == Check::Health && kind == kind::Kind::Process {
        reader.wrong_value("health", reader.place_of("health"), "only a container has a health check").hint_if(None);
    }
    spec
}

fn check_times(reader: &Reader, spec: &ReadySpec) {
    if spec.stable_for >= spec.within {
        let key = if reader.has("stable_for") { "stable_for" } else { "within" };
        reader
            .wrong_value(
                key,
                reader.place_of(key),
                "an instance could never be ready: stable_for is not less than within",
            )
            .hint_if(None);
    }
    if spec.check == Check::Running && spec.stable_for == Duration::ZERO {
        reader
            .odd_value("stable_for", reader.place_of("stable_for"), "with 0s, starting is all that is asked for")
            .hint("a program that fails does so within a second or two; write \"2s\"");
    }
}

/// Whether a check is written.
pub(super) fn is_chosen(service: &Reader) -> bool {
    let reader = service.section("ready");
    CHECKS.iter().any(|key| reader.has(key))
}

/// The one check that is written, or the one that fits the route.
fn check(reader: &Reader, place: &Place, route: Kind, protocol: Protocol) -> Check {
    let written: Vec<&str> = CHECKS.iter().copied().filter(|key| reader.has(key)).collect();
    if let [_, second, ..] = written[..] {
        reader
            .wrong_value(
                second,
                reader.place_of(second),
                format_args!("only one check is possible, found {}", written.join(", ")),
            )
            .hint("keep the strictest");
    }
    let chosen = written.first().copied().unwrap_or_else(|| match route {
        Kind::Http if !protocol.is_http1() => {
            reader
                .odd_value(
                    "grpc",
                    reader.at,
                    "no check is written; that the port accepts a connection is all that is asked",
                )
                .hint("for gRPC write grpc = true, which asks the health service that comes with it");
            "tcp"
        }
        Kind::Http => "http",
        Kind::Tcp => "tcp",
        Kind::Worker => "running",
    });
    let service = reader.text("grpc_service").map(|name| name.value.to_owned());
    refuse_details(reader, chosen);
    let check = match chosen {
        "http" => Some(http(reader)),
        "fastcgi" => fastcgi(reader),
        "grpc" => only_true(reader, "grpc", Check::Grpc { service: service.unwrap_or_default() }),
        "tcp" => only_true(reader, "tcp", Check::Tcp),
        "health" => only_true(reader, "health", Check::Health),
        "command" => asked_command(reader, place),
        "file" => file(reader, place),
        _ => only_true(reader, "running", Check::Running),
    };
    check.unwrap_or(Check::Running)
}

fn refuse_details(reader: &Reader, chosen: &str) {
    let details: &[&str] = match chosen {
        "http" => &[],
        "fastcgi" => &["host", "headers"],
        _ => HTTP_DETAILS,
    };
    if chosen != "grpc" && reader.has("grpc_service") {
        let message = format_args!("belongs to a check by grpc, but the check is {chosen}");
        reader.wrong_value("grpc_service", reader.place_of("grpc_service"), message).hint_if(None);
    }
    for key in details.iter().filter(|key| reader.has(key)) {
        reader
            .wrong_value(
                key,
                reader.place_of(key),
                format_args!("belongs to a check by http, but the check is {chosen}"),
            )
            .hint_if(None);
    }
}

fn only_true(reader: &Reader, key: &str, check: Check) -> Option<Check> {
    match reader.node(key).map(|node| (&node.value, node)) {
        None | Some((Value::Flag(true), _)) => Some(check),
        Some((_, node)) => {
            reader.wrong(key, node).hint("leave the key out if this check is not meant");
            None
        }
    }
}

fn http(reader: &Reader) -> Check {
    let path = reader.plain("http").map_or("/".to_owned(), |path| http_path(reader, "http", &path));
    if !reader.has("http") {
        reader
            .odd_value("http", reader.at, "no check is written; the page \"/\" is asked")
            .hint("a page for people may answer while the program cannot work: name one that tests what it needs");
    }
    let headers = reader.values("headers");
    let headers = headers.into_iter().filter_map(|(name, value)| header(reader, name, value)).collect();
    Check::Http {
        path,
        host: reader.plain("host").map(|host| host.value.to_owned()),
        headers,
        status: status(reader).unwrap_or((200, 399)),
        body: reader.text("body").map(|body| body.value.to_owned()),
    }
}

/// A script and its query.
fn fastcgi(reader: &Reader) -> Option<Check> {
    let script = reader.plain("fastcgi")?;
    let (path, query) = script.value.split_once('?').unwrap_or((script.value, ""));
    if !path.starts_with('/') {
        reader
            .wrong_value("fastcgi", script.at, format_args!("expected a path that begins with /, found {path:?}"))
            .hint("the script's whole path inside the instance (SCRIPT_FILENAME), or php-fpm's ping.path");
    }
    let body = reader.text("body").map(|body| body.value.to_owned());
    let status = status(reader).unwrap_or((200, 399));
    Some(Check::FastCgi { script: path.to_owned(), query: query.to_owned(), status, body })
}

fn http_path(reader: &Reader, key: &str, path: &Located<&str>) -> String {
    if !path.value.starts_with('/') {
        let wrong = reader.wrong_value(
            key,
            path.at,
            format_args!("expected a path that begins with /, found {:?}", path.value),
        );
        match path.value.split_once("://") {
            Some(_) => wrong.hint("write the path only: each instance is asked on its own address"),
            None => wrong.hint(format!("write \"/{}\"", path.value)),
        }
    } else if !path.value.is_ascii() || path.value.contains([' ', '#']) {
        reader.wrong_value(key, path.at, "blanks, `#` and letters beyond ASCII must be written as %XX").hint_if(None);
    }
    path.value.to_owned()
}

fn header(reader: &Reader, name: &str, value: Located<String>) -> Option<(String, String)> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let fault = if name.is_empty() || !name.chars().all(token) {
        "is not the name of a header"
    } else if name.eq_ignore_ascii_case("host") {
        "has a key of its own: host"
    } else if value.value.contains(|c: char| c.is_control() && c != '\t') || !value.value.is_ascii() {
        "has a value that cannot be sent"
    } else {
        return Some((name.to_owned(), value.value));
    };
    reader.wrong_value("headers", value.at, format_args!("{name:?} {fault}")).hint_if(None);
    None
}

fn status(reader: &Reader) -> Option<(u16, u16)> {
    let node = reader.node("status")?;
    let code = |text: &str| text.trim().parse::<u16>().ok().filter(|code| (100..=599).contains(code));
    let range = match &node.value {
        Value::Integer(number) => code(&number.to_string()).map(|code| (code, code)),
        Value::Text(text) => match text.split_once('-') {
            Some((low, high)) => code(low).zip(code(high)).filter(|(low, high)| low <= high),
            None => code(text).map(|code| (code, code)),
        },
        _ => None,
    };
    if range.is_none() {
        reader.wrong("status", node).hint("statuses go from 100 to 599");
    }
    range
}

fn asked_command(reader: &Reader, place: &Place) -> Option<Check> {
    let command = command::read(reader, "command")?;
    if let Some(word) = command.value.iter().find(|word| word.value.contains("{port}")) {
        reader
            .odd_value("command", word.at, "{port} is not replaced here")
            .hint("the command gets CUTOVER_PORT and CUTOVER_ADDRESS");
    }
    Some(Check::Command(rollout::beside_file(reader, "command", command, place)))
}

fn file(reader: &Reader, place: &Place) -> Option<Check> {
    let path = reader.plain("file")?;
    if let Some(name) = command::placeholders(path.value).find(|name| !matches!(*name, "release" | "instance")) {
        reader
            .wrong_value("file", path.at, format_args!("nothing is known to replace {{{name}}}"))
            .hint("{release} and {instance} are replaced");
    } else if !path.value.contains("{release}") && !path.value.contains("{instance}") {
        reader
            .odd_value(
                "file",
                path.at,
                "the file is the same for every release, so an old one may make a new release ready",
            )
            .hint("write {instance} in its name");
    }
    Some(Check::File(place.resolve(path.value)))
}

fn warm_up(ready: &Reader, route: Kind, protocol: Protocol) -> Option<WarmUp> {
    let reader = ready.section("warm_up");
    if !reader.is_written() {
        return None;
    }
    if route != Kind::Http {
        ready.wrong_value("warm_up", reader.at, "needs an HTTP route").hint_if(None);
    } else if !protocol.is_http1() {
        let message = "is made by HTTP/1.1, and the instances are spoken to in HTTP/2";
        ready.wrong_value("warm_up", reader.at, message).hint("warm up with `smoke`, a command of your own");
    }
    let paths = reader.texts("paths").map(|paths| paths.value);
    if paths.as_ref().is_some_and(Vec::is_empty) {
        reader.wrong_value("paths", reader.place_of("paths"), "the list is empty").hint_if(None);
    }
    let paths = paths.map(|paths| paths.iter().map(|path| http_path(&reader, "paths", path)).collect());
    Some(WarmUp {
        paths: paths.unwrap_or_else(|| vec!["/".to_owned()]),
        requests: reader.number("requests", 1..=100_000).map_or(20, |requests| requests.value),
    })
}
