//! Tables for tests.

use std::net::SocketAddr;

use cutover_core::listen::ListenAddress;
use cutover_core::spread::Spread;
use cutover_core::table::{Balance, Hold, Limits, Listener, Mode, Protocol, Route, Service, Table, Target, Traffic};
use cutover_core::trail::Trail;
use cutover_core::{Generation, InstanceId, ReleaseNo, ServiceName};

/// Serving with weight 1.
pub const SERVING: Mode = Mode::Serving { weight: 1 };

/// An instance id.
pub fn id(text: &str) -> InstanceId {
    text.parse().unwrap()
}

/// A service name.
pub fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

/// A service with these targets.
pub fn service(service: &str, targets: &[(&str, SocketAddr, Mode)]) -> Service {
    let target = |(instance, address, mode): &(&str, SocketAddr, Mode)| Target {
        instance: id(instance),
        address: *address,
        mode: *mode,
        protocol: Protocol::default(),
        tls: None,
        socket: None,
    };
    Service {
        name: name(service),
        balance: Balance::default(),
        targets: targets.iter().map(target).collect(),
        hold: None,
        pin: None,
        limits: Limits::default(),
        token: Some("secret".to_owned()),
        rules: None,
        trail: Trail::default(),
        spread: Spread::default(),
    }
}

/// The same service, changed.
pub fn with(mut service: Service, change: impl FnOnce(&mut Service)) -> Service {
    change(&mut service);
    service
}

/// A hold with these limits.
pub fn hold(wait_ms: u64, requests: u32) -> Option<Hold> {
    Some(Hold { wait: std::time::Duration::from_millis(wait_ms), requests })
}

/// A listener that sends everything to one service.
pub fn http(address: impl Into<ListenAddress>, service: &str) -> Listener {
    routes(address, &[(&[], "/", service)])
}

/// A listener with routes.
pub fn routes(address: impl Into<ListenAddress>, routes: &[(&[&str], &str, &str)]) -> Listener {
    let route = |(hosts, path, service): &(&[&str], &str, &str)| Route {
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        path: (*path).to_owned(),
        service: name(service),
        https: None,
        hsts: None,
    };
    plain(address, Traffic::Http { routes: routes.iter().map(route).collect(), trusted: vec![] })
}

/// A listener that shows a release while it is deployed.
pub fn preview(address: impl Into<ListenAddress>, service: &str, release: Option<u32>) -> Listener {
    let (service, release) = (name(service), release.map(ReleaseNo));
    plain(address, Traffic::Preview { service, release, trusted: vec![] })
}

/// A listener for TCP.
pub fn tcp(address: impl Into<ListenAddress>, service: &str) -> Listener {
    plain(address, Traffic::Tcp { service: name(service) })
}

fn plain(address: impl Into<ListenAddress>, traffic: Traffic) -> Listener {
    Listener { address: address.into(), traffic, identities: vec![] }
}

/// A table whose generation is set when it is published.
pub fn table(listeners: Vec<Listener>, services: Vec<Service>) -> Table {
    Table { generation: Generation(0), listeners, services, ..Table::default() }
}
