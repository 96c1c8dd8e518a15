//! The route: where the proxy listens, and what it takes there; or the nginx that sends the traffic.

use std::net::SocketAddr;

use cutover_core::spec::{ProxyRoute, RouteKind, RouteSpec};
use cutover_core::table::{Balance, Limits, Protocol};

use super::listen::{self, address, peers};
use super::{Place, instance_tls, nginx, rules, tls, trail as noted};
use crate::config::reader::{Located, Reader, Zero};

/// What a service is to the router.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It gets HTTP requests.
    Http,
    /// It gets connections.
    Tcp,
    /// It gets nothing.
    Worker,
}

/// A route, as far as it could be read.
pub(super) struct Route {
    /// What kind it is; known even if the rest is wrong.
    pub(super) kind: Kind,
    /// What its instances are spoken to in.
    pub(super) protocol: Protocol,
    /// The route, if its address is good.
    pub(super) spec: Option<RouteSpec>,
}

/// Reads the `route` table of a service.
pub(super) fn read(service: &Reader, place: &Place) -> Route {
    let reader = service.section("route");
    if !reader.is_written() {
        return Route { kind: Kind::Worker, protocol: Protocol::Http1, spec: None };
    }
    let tcp = reader.flag("tcp").is_some_and(|tcp| tcp.value);
    let nginx = reader.section("nginx");
    if nginx.is_written() {
        let own =
            ["listen", "hosts", "path", "balance", "trusted", "limits", "preview", "tls", "protocol", "instance_tls"];
        let seeing = [
            "proxy_from",
            "send_proxy",
            "metrics",
            "access_log",
            "request_id",
            "trace",
            "spans",
            "hash_header",
            "sticky",
            "slow_start",
            "eject",
        ];
        for key in own.iter().chain(&seeing).chain(rules::KEYS) {
            if reader.has(key) {
                let message = "is for cutover's proxy, and cannot stand beside nginx";
                reader.wrong_value(key, reader.place_of(key), message).hint("remove it, or the nginx table");
            }
        }
        let kind = if tcp { Kind::Tcp } else { Kind::Http };
        let spec = nginx::read(service, &nginx, place).map(|nginx| RouteSpec::Nginx(Box::new(nginx)));
        return Route { kind, protocol: Protocol::Http1, spec };
    }
    if !reader.has("listen") {
        let hint =
            "write where the proxy listens, such as \":80\"; or name an nginx in a table [service.NAME.route.nginx]";
        let hint = hint.replace("NAME", service.name);
        reader.mistake(reader.at, format!("{}: missing", reader.path_of("listen"))).hint(hint);
    }
    let (kind, carries) = if tcp { (Kind::Tcp, tcp_route(&reader)) } else { (Kind::Http, http_route(&reader)) };
    let balance = [
        ("least_connections", Balance::LeastConnections),
        ("round_robin", Balance::RoundRobin),
        ("power_of_two", Balance::PowerOfTwo),
        ("hash", Balance::Hash),
    ];
    let balance = reader.one_of("balance", &balance).unwrap_or_default();
    let (protocol, instance_tls) = (instance_tls::protocol(&reader), instance_tls::read(&reader, place));
    let (trusted, introduced) = (peers(&reader, "trusted"), peers(&reader, "proxy_from"));
    let limits = limits(&reader.section("limits"), tcp);
    let rules = Box::new(rules::read(&reader, place, &carries));
    let preview = address(&reader, "preview");
    let metrics = address(&reader, "metrics");
    let (trail, spread) = (noted::trail(&reader, place), noted::spread(&reader, balance));
    let listen = listen::listen(&reader);
    let tls = tls::read(&reader, place, listen.as_ref(), &carries);
    let spec = listen.map(|listen| {
        if let Some(port) = preview.map(|preview| preview.port()).filter(|port| listen.port() == Some(*port)) {
            let message = format!("port {port} is where the service itself listens");
            reader
                .wrong_value("preview", reader.place_of("preview"), message)
                .hint("give the preview a port of its own");
        }
        let taken = |metrics: SocketAddr| listen.port() == Some(metrics.port()) || preview == Some(metrics);
        if metrics.is_some_and(taken) {
            let message = "is where the service itself listens, or is previewed";
            reader
                .wrong_value("metrics", reader.place_of("metrics"), message)
                .hint("give the counters a port of their own");
        }
        let route = ProxyRoute {
            listen,
            kind: carries,
            balance,
            trusted,
            limits,
            preview,
            tls,
            rules,
            introduced,
            metrics,
            trail,
            spread,
            protocol,
            instance_tls,
        };
        listen::check(&reader, &route);
        RouteSpec::Proxy(route)
    });
    Route { kind, protocol, spec }
}

fn tcp_route(reader: &Reader) -> RouteKind {
    let http = [
        "hosts",
        "path",
        "trusted",
        "preview",
        "access_log",
        "request_id",
        "trace",
        "spans",
        "sticky",
        "hash_header",
        "protocol",
    ];
    for key in http.iter().chain(rules::KEYS) {
        if reader.has(key) {
            reader
                .wrong_value(key, reader.place_of(key), "has no meaning on a TCP route")
                .hint("remove it, or remove tcp = true");
        }
    }
    if reader.has("instance_tls") {
        reader
            .wrong_value(
                "instance_tls",
                reader.place_of("instance_tls"),
                "has no meaning on a TCP route, where bytes are passed on as they are",
            )
            .hint("remove it: a client that speaks TLS speaks it with the instance itself; or remove tcp = true");
    }
    RouteKind::Tcp
}

fn http_route(reader: &Reader) -> RouteKind {
    if reader.has("send_proxy") {
        reader
            .wrong_value("send_proxy", reader.place_of("send_proxy"), "has a meaning only on a TCP route")
            .hint("remove it: an HTTP instance is told of its client by X-Forwarded-For");
    }
    let hosts = reader.texts("hosts").map(|hosts| hosts.value).unwrap_or_default();
    let mut hosts: Vec<String> = hosts.iter().filter_map(|host| self::host(reader, host)).collect();
    hosts.sort();
    hosts.dedup();
    let mut paths: Vec<String> =
        reader.one_or_more("path").iter().filter_map(|path| self::path(reader, path)).collect();
    paths.sort();
    paths.dedup();
    let mut paths = paths.into_iter();
    RouteKind::Http { hosts, path: paths.next().unwrap_or_else(|| "/".to_owned()), more: paths.collect() }
}

/// A host name in lower case, without the dot that may end it.
fn host(reader: &Reader, host: &Located<&str>) -> Option<String> {
    let whole = host.value.strip_suffix('.').unwrap_or(host.value).to_lowercase();
    let name = whole.strip_prefix("*.").filter(|below| below.contains(|c| c != '.')).unwrap_or(&whole);
    let hint = if name.contains("://") || name.contains('/') {
        "write the name only; the path goes to the key path"
    } else if name == "*" {
        "leave hosts out to take every name"
    } else if name.contains('*') {
        "a star stands at the beginning, before a dot: \"*.example.com\""
    } else if name.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) && !name.starts_with('[') {
        "write the name without the port; the port goes to listen"
    } else if !name.is_ascii() {
        "write the name as it stands in a request, in Punycode (xn--…)"
    } else if !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-._[]:".contains(c)) {
        return Some(whole);
    } else {
        "write a name such as \"shop.example.com\""
    };
    reader.wrong_value("hosts", host.at, format_args!("{:?} is not a host name", host.value)).hint(hint);
    None
}

/// A path prefix without the slash that may end it: `/shop/` and `/shop` mean the same.
fn path(reader: &Reader, path: &Located<&str>) -> Option<String> {
    let hint = if !path.value.starts_with('/') {
        format!("write \"/{}\"", path.value.trim_matches('*'))
    } else if path.value.contains(['?', '#', '*', ' ']) {
        "write the beginning of a path; no `?`, `#`, `*` or blanks".to_owned()
    } else {
        let trimmed = path.value.trim_end_matches('/');
        return Some(if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() });
    };
    reader.wrong_value("path", path.at, format_args!("{:?} is not the beginning of a path", path.value)).hint(hint);
    None
}

fn limits(reader: &Reader, tcp: bool) -> Limits {
    for key in ["answer", "keep_idle", "buffer_body", "max_body", "body_pause", "head", "client_idle"] {
        if tcp && reader.has(key) {
            reader.wrong_value(key, reader.place_of(key), "has no meaning on a TCP route").hint("only connect has");
        }
    }
    let default = Limits::default();
    let wait = |key| reader.duration(key, Zero::Allowed);
    Limits {
        connect: wait("connect").unwrap_or(default.connect),
        answer: wait("answer").unwrap_or(default.answer),
        keep_idle: wait("keep_idle").unwrap_or(default.keep_idle),
        buffer_body: reader.size("buffer_body", 0).unwrap_or(default.buffer_body),
        max_body: reader.size("max_body", 0).unwrap_or(default.max_body),
        body_pause: wait("body_pause").unwrap_or(default.body_pause),
        head: wait("head").unwrap_or(default.head),
        client_idle: wait("client_idle").unwrap_or(default.client_idle),
    }
}
