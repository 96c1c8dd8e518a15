//! Which service a request is for: by host, then by path.
//!
//! An exact host wins over a wildcard, the longest wildcard first, and that over any host; then the longest path prefix that ends
//! on a segment boundary. If the routes of one do not match the path, those of the next are asked. Paths are compared as they are written: `%2F`, `//` and
//! `..` are not interpreted, because a route only selects who answers; it protects nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cutover_core::ServiceName;
use cutover_core::listen::Peer;
use cutover_core::table::{Limits, Route};

use crate::live::service::LiveService;

/// The routes of one listener.
#[derive(Debug, Default)]
pub struct Router {
    exact: HashMap<Vec<u8>, Vec<Prefix>>,
    /// By what follows the star, with its dot.
    wild: HashMap<Vec<u8>, Vec<Prefix>>,
    any: Vec<Prefix>,
    /// Peers whose forwarding fields are believed.
    pub trusted: Vec<Peer>,
    /// How long clients may take before a service is known; none without a route.
    pub waits: Option<Waits>,
}

/// How long a client may take before it is known which service it means. Zero is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// For a head.
    pub head: Duration,
    /// Between two requests.
    pub idle: Duration,
}

impl Waits {
    /// Those of one service.
    pub fn of(limits: &Limits) -> Self {
        Self { head: limits.head, idle: limits.client_idle }
    }

    /// The longer of each; no limit is longest.
    pub fn longer(self, other: Self) -> Self {
        let longer = |a: Duration, b: Duration| if a.is_zero() || b.is_zero() { Duration::ZERO } else { a.max(b) };
        Self { head: longer(self.head, other.head), idle: longer(self.idle, other.idle) }
    }
}

/// A route: a path, without the slash that may end it, and where it leads.
#[derive(Debug, Clone)]
pub struct Prefix {
    /// The path; empty for all paths.
    pub path: Vec<u8>,
    /// The service.
    pub service: Arc<LiveService>,
    /// The port of the same by https, if that is all there is to say.
    pub https: Option<u16>,
    /// What browsers are to remember of TLS.
    pub hsts: Option<Arc<str>>,
}

impl Router {
    /// Joins published routes with the services they name.
    pub fn new(routes: &[Route], trusted: &[Peer], services: &HashMap<ServiceName, Arc<LiveService>>) -> Self {
        let mut router = Self { trusted: trusted.to_vec(), ..Self::default() };
        for route in routes {
            let Some(service) = services.get(&route.service) else { continue };
            let own = Waits::of(service.limits());
            router.waits = Some(router.waits.map_or(own, |waits| waits.longer(own)));
            // "/shop/" means the same as "/shop", and "/" the same as nothing.
            let path = route.path.trim_end_matches('/').as_bytes().to_vec();
            let hsts = route.hsts.map(|time| format!("max-age={}", time.as_secs()).into());
            let prefix = Prefix { path, service: service.clone(), https: route.https, hsts };
            for host in &route.hosts {
                let host = host.to_ascii_lowercase();
                let (hosts, name) = match host.strip_prefix('*') {
                    Some(below) => (&mut router.wild, below),
                    None => (&mut router.exact, host.as_str()),
                };
                hosts.entry(name.as_bytes().to_vec()).or_default().push(prefix.clone());
            }
            if route.hosts.is_empty() {
                router.any.push(prefix);
            }
        }
        for prefixes in router.exact.values_mut().chain(router.wild.values_mut()).chain([&mut router.any]) {
            prefixes.sort_by_key(|prefix| std::cmp::Reverse(prefix.path.len()));
        }
        router
    }

    /// The route for a host as it stands in the request (with a port, in any case) and a target as it is passed on.
    pub fn find(&self, host: Option<&[u8]>, target: &[u8]) -> Option<&Prefix> {
        let path = target.split(|&b| b == b'?').next().unwrap_or_default();
        let matching = |prefixes: &'_ [Prefix]| prefixes.iter().position(|prefix| prefix.covers(path));
        let exact = if self.exact.is_empty() { None } else { host.and_then(|host| self.host(without_port(host))) };
        let by_host = exact.and_then(|prefixes| Some(&prefixes[matching(prefixes)?]));
        by_host
            .or_else(|| if self.wild.is_empty() { None } else { self.below(without_port(host?), matching) })
            .or_else(|| Some(&self.any[matching(&self.any)?]))
    }

    fn host(&self, host: &[u8]) -> Option<&[Prefix]> {
        let lower = |b: &u8| b.is_ascii_uppercase();
        let found =
            if host.iter().any(lower) { self.exact.get(&host.to_ascii_lowercase()) } else { self.exact.get(host) };
        found.map(Vec::as_slice)
    }

    /// The route of the longest wildcard that takes this host and has one for the path.
    fn below(&self, host: &[u8], matching: impl Fn(&[Prefix]) -> Option<usize>) -> Option<&Prefix> {
        let host = host.to_ascii_lowercase();
        // The star stands for at least one character.
        let dots = memchr::memchr_iter(b'.', &host).filter(|dot| *dot > 0);
        let mut found = dots.filter_map(|dot| self.wild.get(&host[dot..]));
        found.find_map(|prefixes| Some(&prefixes[matching(prefixes)?]))
    }
}

impl Prefix {
    fn covers(&self, path: &[u8]) -> bool {
        path.strip_prefix(self.path.as_slice())
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || self.path.is_empty())
    }
}

/// The host without its port and without the dot that may end a name.
pub fn without_port(host: &[u8]) -> &[u8] {
    let end = match host.iter().rposition(|&b| b == b':') {
        Some(colon) if !host[colon..].contains(&b']') => colon,
        _ => host.len(),
    };
    host[..end].strip_suffix(b".").unwrap_or(&host[..end])
}

#[cfg(test)]
mod tests {
    use cutover_core::table::{Balance, Service};

    use super::*;
    use crate::live::count::ServiceCounts;

    fn router(routes: &[(&[&str], &str, &str)]) -> Router {
        let mut services = HashMap::new();
        let routes: Vec<Route> = routes
            .iter()
            .map(|(hosts, path, service)| {
                let service = ServiceName::new(*service).unwrap();
                let (balance, limits) = (Balance::default(), Limits::default());
                let (name, targets, hold, pin, token) = (service.clone(), vec![], None, None, None);
                let (trail, spread) = (Default::default(), Default::default());
                let spec = Service { name, balance, targets, hold, limits, pin, token, rules: None, trail, spread };
                let live = LiveService::new(spec, Arc::new(ServiceCounts::new(1)), vec![]);
                services.insert(service.clone(), Arc::new(live));
                let hosts = hosts.iter().map(|h| (*h).to_owned()).collect();
                Route { hosts, path: (*path).to_owned(), service, https: None, hsts: None }
            })
            .collect();
        Router::new(&routes, &[], &services)
    }

    #[test]
    fn the_most_specific_route_wins() {
        let router = router(&[
            (&[], "/", "fallback"),
            (&["shop.example"], "/", "shop"),
            (&["shop.example", "[::1]"], "/admin", "admin"),
            (&[], "/api", "api"),
            (&["only.example"], "/x", "x"),
            (&["*.shop.example"], "/", "every"),
            (&["*.shop.example"], "/only", "every-only"),
            (&["*.eu.shop.example"], "/", "europe"),
        ]);
        let cases = [
            ("shop.example", "/", "shop"),
            ("SHOP.example:8080", "/a?b=/admin", "shop"),
            ("shop.example.", "/admin", "admin"),
            ("[::1]:80", "/admin/x", "admin"),
            ("shop.example", "/administer", "shop"),
            ("shop.example", "/api", "shop"),
            ("other.example", "/api/1", "api"),
            ("other.example", "/apis", "fallback"),
            ("only.example", "/y", "fallback"),
            ("", "*", "fallback"),
            ("a.shop.example", "/", "every"),
            ("b.a.shop.example", "/admin", "every"),
            ("A.eu.shop.EXAMPLE:443", "/", "europe"),
            ("a.eu.shop.example", "/only", "europe"),
            (".shop.example", "/", "fallback"),
            ("ashop.example", "/", "fallback"),
        ];
        for (host, target, service) in cases {
            let found =
                router.find(Some(host.as_bytes()), target.as_bytes()).map(|route| route.service.spec.name.as_str());
            assert_eq!(found, Some(service), "{host} {target}");
        }
    }

    #[test]
    fn no_route_is_no_service() {
        let router = router(&[(&["a.example"], "/x", "x")]);
        assert!(router.find(Some(b"a.example"), b"/").is_none());
        assert!(router.find(None, b"/x").is_none());
    }
}
