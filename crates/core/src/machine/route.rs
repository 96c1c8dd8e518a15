//! The route table that the states of all services add up to.

use std::net::SocketAddr;

use super::state::ServiceState;
use crate::id::{Generation, ServiceName};
use crate::spec::{ProxyRoute, RouteKind, RouteSpec};
use crate::table::{Front, Hold, Limits, Listener, Route, Service, Table, Target, Traffic};

/// Two services want the same traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteConflict {
    /// What both want.
    pub wanted: String,
    /// Who has it.
    pub owner: ServiceName,
}

/// Puts the table together from the states and the route in force for each. A service without a route is not in it; one whose
/// route conflicts with an earlier one is left out of the listeners (planning refuses that, so it does not happen).
pub fn table(
    generation: Generation,
    services: &[(&ServiceState, Option<&RouteSpec>)],
    token: Option<&str>,
    hold: &Hold,
) -> Table {
    let mut table = Table { generation, ..Table::default() };
    for (state, route) in services {
        if let Some(route) = route {
            match route {
                RouteSpec::Proxy(route) => drop(add_route(&mut table.listeners, &state.name, route)),
                RouteSpec::Nginx(nginx) => {
                    let (service, nginx) = (state.name.clone(), nginx.as_ref().clone());
                    table.fronts.push(Front { service, nginx, serving: state.serving() });
                }
            }
            table.services.push(service(state, route.proxy(), token, hold));
        }
    }
    table
}

impl Table {
    /// Whether a route of this service can be added beside those of the others.
    pub fn conflict(&self, name: &ServiceName, route: &ProxyRoute) -> Option<RouteConflict> {
        let mut others = self.listeners.clone();
        for listener in &mut others {
            if let Traffic::Http { routes, .. } = &mut listener.traffic {
                routes.retain(|route| route.service != *name);
            }
        }
        others.retain(|listener| match &listener.traffic {
            Traffic::Http { routes, .. } => !routes.is_empty(),
            Traffic::Tcp { service } => service != name,
        });
        add_route(&mut others, name, route).err()
    }
}

fn add_route(listeners: &mut Vec<Listener>, name: &ServiceName, spec: &ProxyRoute) -> Result<(), RouteConflict> {
    let at = listeners.iter().position(|listener| overlaps(listener.address, spec.listen));
    let traffic = match (&spec.kind, at.map(|at| &mut listeners[at])) {
        (kind, None) => new_traffic(kind, name, spec),
        (RouteKind::Http { hosts, path }, Some(Listener { address, traffic: Traffic::Http { routes, .. } }))
            if *address == spec.listen =>
        {
            if let Some(taken) = routes.iter().find(|route| same(route, hosts, path)) {
                let wanted = format!("{}{path} on {}", hosts.first().map_or("*", String::as_str), spec.listen);
                return Err(RouteConflict { wanted, owner: taken.service.clone() });
            }
            routes.push(Route { hosts: hosts.clone(), path: path.clone(), service: name.clone() });
            return Ok(());
        }
        (_, Some(listener)) => {
            return Err(RouteConflict { wanted: spec.listen.to_string(), owner: owner(&listener.traffic, name) });
        }
    };
    listeners.push(Listener { address: spec.listen, traffic });
    Ok(())
}

fn new_traffic(kind: &RouteKind, name: &ServiceName, spec: &ProxyRoute) -> Traffic {
    match kind {
        RouteKind::Tcp => Traffic::Tcp { service: name.clone() },
        RouteKind::Http { hosts, path } => Traffic::Http {
            routes: vec![Route { hosts: hosts.clone(), path: path.clone(), service: name.clone() }],
            trusted: spec.trusted.clone(),
        },
    }
}

fn owner(traffic: &Traffic, fallback: &ServiceName) -> ServiceName {
    match traffic {
        Traffic::Tcp { service } => service.clone(),
        Traffic::Http { routes, .. } => routes.first().map_or(fallback, |route| &route.service).clone(),
    }
}

/// The same port on the same address, or on all addresses of the family.
fn overlaps(one: SocketAddr, other: SocketAddr) -> bool {
    let same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && same_ip
}

fn same(route: &Route, hosts: &[String], path: &str) -> bool {
    let share_host =
        if hosts.is_empty() { route.hosts.is_empty() } else { hosts.iter().any(|h| route.hosts.contains(h)) };
    share_host && route.path == path
}

fn service(state: &ServiceState, route: Option<&ProxyRoute>, token: Option<&str>, hold: &Hold) -> Service {
    let target = |(id, instance): (&crate::InstanceId, &super::Instance)| {
        let (address, mode) = (instance.address?, instance.mode()?);
        Some(Target { instance: id.clone(), address, mode })
    };
    Service {
        name: state.name.clone(),
        balance: route.map(|route| route.balance).unwrap_or_default(),
        targets: state.instances.iter().filter_map(target).collect(),
        hold: is_between_instances(state).then(|| hold.clone()),
        limits: route.map_or_else(Limits::default, |route| route.limits.clone()),
        token: token.map(str::to_owned),
    }
}

/// All that should serve are down and about to be started again: requests wait for them instead of failing.
fn is_between_instances(state: &ServiceState) -> bool {
    let serving = state.serving();
    !serving.is_empty() && serving.iter().all(|id| state.instances[id].down.is_some())
}
