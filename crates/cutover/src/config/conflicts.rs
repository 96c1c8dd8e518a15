//! Looks at the services together: what each may ask for alone, but not at the same time.

use std::net::{IpAddr, SocketAddr};

use cutover_core::listen::Peer;
use cutover_core::spec::{ProxyRoute, RouteKind};

use super::finding::Findings;
use super::service::Read;
use super::source::Source;
use super::tree::Offset;

/// Adds a mistake for every two services that cannot live together.
pub(super) fn check(services: &[Read], source: &Source, findings: &Findings) {
    let pairs = Pairs { source, findings };
    for (index, second) in services.iter().enumerate() {
        for first in &services[..index] {
            pairs.routes(first, second);
            pairs.ports(first, second);
            pairs.port_and_listener(first, second);
            pairs.port_and_listener(second, first);
            pairs.previews(first, second);
            pairs.redirect(first, second);
            pairs.redirect(second, first);
            pairs.metrics(first, second);
            pairs.logs(first, second);
        }
        pairs.port_and_listener(second, second);
    }
}

struct Pairs<'a> {
    source: &'a Source,
    findings: &'a Findings,
}

impl Pairs<'_> {
    fn conflict(&self, at: Offset, message: String, hint: &str) {
        self.findings.mistake(Some(self.source.place(at)), message).hint(hint);
    }

    fn routes(&self, first: &Read, second: &Read) {
        let (Some(a), Some(b)) = (first.route(), second.route()) else { return };
        if a.listen == b.listen {
            self.shared_listener(first, second, a, b);
        } else if a.listen.tcp().zip(b.listen.tcp()).is_some_and(|(a, b)| meet(a, b)) {
            let (name, other) = (&second.spec.name, &first.spec.name);
            let message =
                format!("{name} listens on {}, and {other} on {}: both take the same port", b.listen, a.listen);
            self.conflict(
                second.listen_at,
                message,
                "write the same address for both, and tell them apart by hosts or path",
            );
        }
    }

    fn shared_listener(&self, first: &Read, second: &Read, a: &ProxyRoute, b: &ProxyRoute) {
        let (name, other, listen) = (&second.spec.name, &first.spec.name, &b.listen);
        let (
            RouteKind::Http { hosts, path, more },
            RouteKind::Http { hosts: other_hosts, path: other_path, more: other_more },
        ) = (&b.kind, &a.kind)
        else {
            let message = format!("{name} and {other} both listen on {listen}, and not both are HTTP");
            return self.conflict(second.listen_at, message, "a TCP route needs an address of its own");
        };
        let is_theirs = |path: &&String| *path == other_path || other_more.contains(path);
        let path = std::iter::once(path).chain(more).find(is_theirs);
        if let (Some(host), Some(path)) = (shared_host(hosts, other_hosts), path) {
            let message = format!("{name} and {other} both take {host}, path {path}, on {listen}");
            self.conflict(second.listen_at, message, "tell them apart by hosts or path");
        }
        if a.tls.is_some() != b.tls.is_some() {
            let (with, without) = if b.tls.is_some() { (name, other) } else { (other, name) };
            let message = format!("{with} and {without} share {listen}, {with} by TLS and {without} without");
            self.conflict(
                second.listen_at,
                message,
                "an address can do only one: give both TLS, or an address of their own",
            );
        }
        if !same_set(&a.trusted, &b.trusted) {
            let message = format!("{name} and {other} share {listen} but trust different peers");
            self.conflict(
                second.trusted_at,
                message,
                "write the same trusted list for both; it belongs to the address",
            );
        }
        if !same_set(&a.introduced, &b.introduced) {
            let message =
                format!("{name} and {other} share {listen} but expect the PROXY protocol from different peers");
            self.conflict(second.listen_at, message, "write the same proxy_from for both; it belongs to the address");
        }
    }

    /// A preview shares its address with nothing.
    fn previews(&self, first: &Read, second: &Read) {
        let (Some(a), Some(b)) = (first.route(), second.route()) else { return };
        let pairs = [(a.preview, b.listen.tcp()), (a.listen.tcp(), b.preview), (a.preview, b.preview)];
        let taken = pairs.into_iter().find_map(|(a, b)| {
            let (a, b) = (a?, b?);
            (a == b || meet(a, b)).then_some(b.port())
        });
        if let Some(port) = taken {
            let (name, other) = (&second.spec.name, &first.spec.name);
            let message = format!("{name} and {other} both take port {port}, one of them for its preview");
            self.conflict(second.listen_at, message, "give each preview a port of its own");
        }
    }

    /// Where one tells the way to https, another may listen without TLS, for other hosts or paths.
    fn redirect(&self, owner: &Read, other: &Read) {
        let (Some(route), Some(there)) = (owner.route(), other.route()) else { return };
        let Some(redirect) = route.tls.as_ref().and_then(|tls| tls.redirect) else { return };
        let (name, other) = (&owner.spec.name, &other.spec.name);
        let apart = |address: SocketAddr| !covers(redirect, address) && !covers(address, redirect);
        if let Some(preview) = there.preview.filter(|preview| preview.port() == redirect.port() && !apart(*preview)) {
            let message =
                format!("{name} tells the way to https on {redirect}, and {other} has its preview on {preview}");
            return self.conflict(owner.listen_at, message, "give the preview a port of its own");
        }
        let Some(listen) = there.listen.tcp() else { return };
        if listen.port() != redirect.port() || (listen != redirect && apart(listen)) {
            return;
        }
        let clash = match (&route.kind, &there.kind) {
            _ if listen != redirect => Some("on another address of the same port".to_owned()),
            _ if there.tls.is_some() => Some("by TLS".to_owned()),
            (RouteKind::Http { hosts, path, more }, RouteKind::Http { hosts: others, path: path_2, more: more_2 }) => {
                let theirs = || std::iter::once(path_2).chain(more_2);
                let shared = std::iter::once(path).chain(more).find(|path| theirs().any(|other| other == *path));
                let clash = |path: &String| shared_host(hosts, others).map(|host| format!("for {host}, path {path}"));
                shared.and_then(clash)
            }
            _ => Some("by TCP".to_owned()),
        };
        if let Some(clash) = clash {
            let message = format!("{name} tells the way to https on {redirect}, and {other} listens there {clash}");
            self.conflict(
                owner.listen_at,
                message,
                "give one of them another address, or tell them apart by hosts or path",
            );
        }
    }

    /// An address for counters is shared with nothing but counters.
    fn metrics(&self, first: &Read, second: &Read) {
        let (Some(a), Some(b)) = (first.route(), second.route()) else { return };
        let pairs =
            [(a.metrics, b.listen.tcp()), (a.listen.tcp(), b.metrics), (a.metrics, b.preview), (a.preview, b.metrics)];
        let other_ip = a.metrics.zip(b.metrics).filter(|(a, b)| a != b && meet(*a, *b)).map(|(a, _)| a);
        let taken = pairs.into_iter().find_map(|(a, b)| a.filter(|a| b.is_some_and(|b| *a == b || meet(*a, b))));
        if let Some(port) = taken.or(other_ip).map(|address| address.port()) {
            let (name, other) = (&second.spec.name, &first.spec.name);
            let message = format!("{name} and {other} both take port {port}, one of them for its metrics");
            self.conflict(
                second.listen_at,
                message,
                "give the counters an address of their own; it may be the same for both",
            );
        }
    }

    /// Services may share an access log, but it can be rotated in one way only.
    fn logs(&self, first: &Read, second: &Read) {
        let log = |read: &Read| read.route().and_then(|route| route.trail.log.clone());
        let (Some(a), Some(b)) = (log(first), log(second)) else { return };
        if a.file == b.file && (a.max_size, a.keep) != (b.max_size, b.keep) {
            let (name, other, file) = (&second.spec.name, &first.spec.name, b.file.display());
            let message = format!("{name} and {other} write to {file}, but rotate it differently");
            self.conflict(second.listen_at, message, "write the same max_size and keep for both");
        }
    }

    fn ports(&self, first: &Read, second: &Read) {
        let shared = fixed(second).iter().find(|port| fixed(first).contains(port));
        if let Some(port) = shared {
            let message = format!("{} and {} both use port {port}", second.spec.name, first.spec.name);
            self.conflict(second.ports_at, message, "give each service ports of its own, or leave ports out");
        }
    }

    fn port_and_listener(&self, owner: &Read, routed: &Read) {
        let Some(route) = routed.route() else { return };
        let redirect = route.tls.as_ref().and_then(|tls| tls.redirect);
        let addresses = [route.listen.tcp(), route.preview, route.metrics, redirect];
        for port in addresses.into_iter().flatten().map(|address| address.port()) {
            if !fixed(owner).contains(&port) {
                continue;
            }
            let (name, other) = (&owner.spec.name, &routed.spec.name);
            let message = format!("port {port} is for instances of {name}, but the proxy listens there for {other}");
            self.conflict(owner.ports_at, message, "instances and the proxy need different ports");
        }
    }
}

fn fixed(service: &Read) -> &[u16] {
    service.spec.run.process().and_then(|process| process.ports.fixed()).unwrap_or_default()
}

/// Whether one port of one address is meant by both.
fn meet(a: SocketAddr, b: SocketAddr) -> bool {
    a.port() == b.port() && (covers(a, b) || covers(b, a))
}

/// Whether listening on `wide` takes connections to `narrow` too. `[::]` stands for IPv4 as well, as on Linux.
fn covers(wide: SocketAddr, narrow: SocketAddr) -> bool {
    match wide.ip() {
        IpAddr::V4(ip) => ip.is_unspecified() && narrow.is_ipv4(),
        IpAddr::V6(ip) => ip.is_unspecified(),
    }
}

/// A host that both take, as a part of a sentence; no host at all stands for any.
fn shared_host(a: &[String], b: &[String]) -> Option<String> {
    if a.is_empty() && b.is_empty() {
        return Some("any host".to_owned());
    }
    a.iter().find(|host| b.contains(host)).map(|host| format!("host {host}"))
}

fn same_set(a: &[Peer], b: &[Peer]) -> bool {
    a.iter().all(|network| b.contains(network)) && b.iter().all(|network| a.contains(network))
}
