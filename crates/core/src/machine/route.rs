//! The route table that the states of all services add up to.

use std::net::SocketAddr;
use std::time::Duration;

use super::state::{Duty, Instance, Progress, ServiceState};
use crate::id::{Generation, ReleaseNo, ServiceName};
use crate::listen::ListenAddress;
use crate::pin::{POINTS, Pin};
use crate::rules::Rules;
use crate::spec::{ProxyRoute, RouteKind, RouteSpec};
use crate::table::{Front, Hold, Introduced, Limits, Listener, Mode, Protocol, Route, Service, Table, Target, Traffic};
use crate::tls::{CertificateFrom, Identity, TlsSpec};

/// How much longer than the holds of a canary a cookie lives: it may be paused meanwhile.
const COOKIE_MARGIN: Duration = Duration::from_secs(7 * 24 * 3600);

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
    let (mut table, mut previews) = (Table { generation, ..Table::default() }, Vec::new());
    let mut metrics = Vec::new();
    for (state, route) in services {
        if let Some(route) = route {
            match route {
                RouteSpec::Proxy(route) => {
                    drop(add_route(&mut table.listeners, &state.name, route));
                    previews.extend(preview(state, route));
                    introduce(&mut table.introduced, route);
                    metrics.extend(route.metrics.map(|address| (address, state.name.clone())));
                }
                RouteSpec::Nginx(nginx) => {
                    let (service, nginx) = (state.name.clone(), nginx.as_ref().clone());
                    table.fronts.push(Front { service, nginx, serving: state.serving() });
                }
            }
            table.services.push(service(state, route.proxy(), token, hold));
        }
    }
    // Behind all routes: a preview never takes the place of one.
    previews.into_iter().for_each(|preview| drop(add_preview(&mut table.listeners, preview)));
    metrics.into_iter().for_each(|(address, name)| drop(add_metrics(&mut table.listeners, address, &name)));
    table
}

impl Table {
    /// Whether a route of this service can be added beside those of the others.
    pub fn conflict(&self, name: &ServiceName, route: &ProxyRoute) -> Option<RouteConflict> {
        let mut others = self.listeners.clone();
        for listener in &mut others {
            listener.identities.retain(|identity| identity.service != *name);
            match &mut listener.traffic {
                Traffic::Http { routes, .. } => routes.retain(|route| route.service != *name),
                Traffic::Metrics { services } => services.retain(|service| service != name),
                Traffic::Tcp { .. } | Traffic::Preview { .. } => {}
            }
        }
        others.retain(|listener| match &listener.traffic {
            Traffic::Http { routes, .. } => !routes.is_empty(),
            Traffic::Metrics { services } => !services.is_empty(),
            Traffic::Tcp { service } | Traffic::Preview { service, .. } => service != name,
        });
        let address = route.preview.map(|address| {
            let traffic = Traffic::Preview { service: name.clone(), release: None, trusted: Vec::new() };
            Listener { address: address.into(), traffic, identities: Vec::new() }
        });
        let added = add_route(&mut others, name, route);
        let added = added.and_then(|()| address.map_or(Ok(()), |preview| add_preview(&mut others, preview)));
        let metrics = |address| add_metrics(&mut others, address, name);
        added.and_then(|()| route.metrics.map_or(Ok(()), metrics)).err()
    }
}

impl ServiceState {
    /// The release that is being deployed and can be looked at, and where.
    pub fn previewed(&self) -> Option<(SocketAddr, ReleaseNo)> {
        let deployment = self.deployment.as_ref()?;
        let goes_on = matches!(deployment.progress, Progress::Forward { step, .. } if step <= deployment.plan.commit());
        Some((deployment.plan.preview?, deployment.plan.to?)).filter(|_| goes_on)
    }
}

/// Notes who introduces clients at a listener. Services that share one agree.
fn introduce(introduced: &mut Vec<Introduced>, route: &ProxyRoute) {
    if !route.introduced.is_empty() && !introduced.iter().any(|known| known.listener == route.listen) {
        introduced.push(Introduced { listener: route.listen.clone(), from: route.introduced.clone() });
    }
}

/// Where a service is previewed: at the address of the release that is being deployed; at that of its route while none is.
fn preview(state: &ServiceState, route: &ProxyRoute) -> Option<Listener> {
    let (address, release) = match state.previewed() {
        Some((address, release)) => (address, Some(release)),
        None => (route.preview?, None),
    };
    let traffic = Traffic::Preview { service: state.name.clone(), release, trusted: route.trusted.clone() };
    Some(Listener { address: address.into(), traffic, identities: Vec::new() })
}

fn add_preview(listeners: &mut Vec<Listener>, preview: Listener) -> Result<(), RouteConflict> {
    let taken = listeners.iter().find(|listener| listener.address.overlaps(&preview.address));
    if let (Some(taken), Traffic::Preview { service, .. }) = (taken, &preview.traffic) {
        let owner = owner(&taken.traffic, service);
        return Err(RouteConflict { wanted: preview.address.to_string(), owner });
    }
    listeners.push(preview);
    Ok(())
}

/// Counters of several services may be read at one address; nothing else may be there.
fn add_metrics(listeners: &mut Vec<Listener>, address: SocketAddr, name: &ServiceName) -> Result<(), RouteConflict> {
    let address = ListenAddress::from(address);
    match listeners.iter_mut().find(|listener| listener.address.overlaps(&address)) {
        Some(Listener { address: at, traffic: Traffic::Metrics { services }, .. }) if *at == address => {
            services.push(name.clone());
        }
        Some(taken) => {
            return Err(RouteConflict { wanted: address.to_string(), owner: owner(&taken.traffic, name) });
        }
        None => {
            let traffic = Traffic::Metrics { services: vec![name.clone()] };
            listeners.push(Listener { address, traffic, identities: vec![] });
        }
    }
    Ok(())
}

fn add_route(listeners: &mut Vec<Listener>, name: &ServiceName, spec: &ProxyRoute) -> Result<(), RouteConflict> {
    let identities = spec.tls.as_ref().map(|tls| identities(name, spec, tls)).unwrap_or_default();
    let hsts = spec.tls.as_ref().and_then(|tls| tls.hsts);
    let traffic = match &spec.kind {
        RouteKind::Tcp => Traffic::Tcp { service: name.clone() },
        RouteKind::Http { .. } => http(spec, routes(name, spec).map(|route| Route { hsts, ..route }).collect()),
    };
    add_listener(listeners, name, Listener { address: spec.listen.clone(), traffic, identities })?;
    // A unix socket has no port to which anybody could be sent.
    match spec.tls.as_ref().and_then(|tls| tls.redirect).zip(spec.listen.port()) {
        Some((address, https)) => add_listener(listeners, name, redirect(address, https, name, spec)),
        None => Ok(()),
    }
}

/// Adds a listener with one route, or its route to the one that is there.
fn add_listener(listeners: &mut Vec<Listener>, name: &ServiceName, new: Listener) -> Result<(), RouteConflict> {
    let address = new.address.clone();
    let Some(there) = listeners.iter_mut().find(|listener| listener.address.overlaps(&address)) else {
        listeners.push(new);
        return Ok(());
    };
    let taken = |traffic: &Traffic| RouteConflict { wanted: address.to_string(), owner: owner(traffic, name) };
    // By TLS or without it: an address cannot do both.
    let alike = there.address == address && there.identities.is_empty() == new.identities.is_empty();
    let (true, Traffic::Http { routes, .. }, Traffic::Http { routes: added, .. }) =
        (alike, &mut there.traffic, new.traffic)
    else {
        return Err(taken(&there.traffic));
    };
    for new in &added {
        if let Some(taken) = routes.iter().find(|route| same(route, &new.hosts, &new.path)) {
            let wanted = format!("{}{} on {address}", new.hosts.first().map_or("*", String::as_str), new.path);
            return Err(RouteConflict { wanted, owner: taken.service.clone() });
        }
    }
    for new in new.identities {
        if let Some((host, owner)) = there.identities.iter().find_map(|other| differ(other, &new)) {
            return Err(RouteConflict { wanted: format!("the certificate for {host} on {address}"), owner });
        }
        there.identities.push(new);
    }
    routes.extend(added);
    Ok(())
}

fn routes<'a>(name: &'a ServiceName, spec: &'a ProxyRoute) -> impl Iterator<Item = Route> + 'a {
    let (hosts, path, more) = match &spec.kind {
        RouteKind::Http { hosts, path, more } => (hosts.as_slice(), path.as_str(), more.as_slice()),
        RouteKind::Tcp => (&[][..], "/", &[][..]),
    };
    let paths = std::iter::once(path).chain(more.iter().map(String::as_str));
    paths.map(move |path| Route {
        hosts: hosts.to_vec(),
        path: path.to_owned(),
        service: name.clone(),
        https: None,
        hsts: None,
    })
}

fn http(spec: &ProxyRoute, routes: Vec<Route>) -> Traffic {
    Traffic::Http { routes, trusted: spec.trusted.clone() }
}

/// Where the way to a route by TLS is told.
fn redirect(address: SocketAddr, https: u16, name: &ServiceName, spec: &ProxyRoute) -> Listener {
    let traffic = http(spec, routes(name, spec).map(|route| Route { https: Some(https), ..route }).collect());
    Listener { address: address.into(), traffic, identities: Vec::new() }
}

/// One certificate for all hosts if it comes from files, and one for each if it is ordered.
fn identities(name: &ServiceName, spec: &ProxyRoute, tls: &TlsSpec) -> Vec<Identity> {
    let hosts = match &spec.kind {
        RouteKind::Http { hosts, .. } => hosts.clone(),
        RouteKind::Tcp => Vec::new(),
    };
    let of = |hosts| Identity { service: name.clone(), hosts, from: tls.from.clone(), minimum: tls.minimum };
    match &tls.from {
        CertificateFrom::Acme(_) if !hosts.is_empty() => hosts.into_iter().map(|host| of(vec![host])).collect(),
        _ => vec![of(hosts)],
    }
}

/// A host for which two certificates are given, and who gave the first.
fn differ(one: &Identity, other: &Identity) -> Option<(String, ServiceName)> {
    if one.from == other.from && one.minimum == other.minimum {
        return None;
    }
    let any = one.hosts.is_empty() && other.hosts.is_empty();
    let host = one.hosts.iter().find(|host| other.hosts.contains(host)).cloned();
    host.or_else(|| any.then(|| "any host".to_owned())).map(|host| (host, one.service.clone()))
}

fn owner(traffic: &Traffic, fallback: &ServiceName) -> ServiceName {
    match traffic {
        Traffic::Tcp { service } | Traffic::Preview { service, .. } => service.clone(),
        Traffic::Http { routes, .. } => routes.first().map_or(fallback, |route| &route.service).clone(),
        Traffic::Metrics { services } => services.first().unwrap_or(fallback).clone(),
    }
}

fn same(route: &Route, hosts: &[String], path: &str) -> bool {
    let share_host =
        if hosts.is_empty() { route.hosts.is_empty() } else { hosts.iter().any(|h| route.hosts.contains(h)) };
    share_host && route.path == path
}

fn service(state: &ServiceState, route: Option<&ProxyRoute>, token: Option<&str>, hold: &Hold) -> Service {
    let weights = Weights::of(state);
    let target = |(id, instance): (&crate::InstanceId, &super::Instance)| {
        let (address, mode) = (instance.address?, weights.apply(instance, instance.mode()?));
        Some(Target { instance: id.clone(), address, mode, protocol: Protocol::default(), tls: None, socket: None })
    };
    Service {
        name: state.name.clone(),
        balance: route.map(|route| route.balance).unwrap_or_default(),
        targets: state.instances.iter().filter_map(target).collect(),
        hold: hold_of(state, hold),
        limits: route.map_or_else(Limits::default, |route| route.limits.clone()),
        pin: pin_of(state),
        token: token.map(str::to_owned),
        rules: route.and_then(|route| rules(state, &route.rules)).map(Box::new),
        trail: route.map(|route| route.trail.clone()).unwrap_or_default(),
        spread: route.map(|route| route.spread.clone()).unwrap_or_default(),
    }
}

/// The rules of a route, with the service down for maintenance if somebody said so.
fn rules(state: &ServiceState, configured: &Rules) -> Option<Rules> {
    let usual = configured.maintenance.clone().unwrap_or_default();
    let down = state.maintenance.as_ref().map(|down| usual.with(&down.settings));
    Some(configured.under(down)).filter(|rules| !rules.is_empty())
}

/// How a canary's share is divided among its instances, and the rest among the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Weights {
    canary: u16,
    other: u16,
}

impl Weights {
    /// The whole weight of a hundred shares, large enough that a division among a thousand instances is exact to a thousandth.
    const WHOLE: u64 = 1000;

    fn of(state: &ServiceState) -> Self {
        let up = |of: fn(&Instance) -> bool| {
            state.instances.values().filter(|i| of(i) && i.down.is_none() && i.address.is_some()).count() as u64
        };
        let (canaries, others) = (up(Instance::is_canary), up(|instance| instance.duty == Duty::Serving));
        let percent = canary(state).map(|(_, percent)| u64::from(percent));
        let Some(percent) = percent.filter(|_| canaries > 0 && others > 0) else { return Self { canary: 1, other: 1 } };
        let (canary, other) = (percent * others, (100 - percent) * canaries);
        let divisor = gcd(canary, other).max(1);
        let (canary, other) = (canary / divisor, other / divisor);
        let largest = canary.max(other);
        let fit = |weight: u64| if largest > Self::WHOLE { (weight * Self::WHOLE / largest).max(1) } else { weight };
        let fit = |weight| u16::try_from(fit(weight)).unwrap_or(u16::MAX);
        Self { canary: fit(canary), other: fit(other) }
    }

    fn apply(self, instance: &Instance, mode: Mode) -> Mode {
        match mode {
            Mode::Serving { .. } if instance.is_canary() => Mode::Serving { weight: self.canary },
            Mode::Serving { .. } => Mode::Serving { weight: self.other },
            mode => mode,
        }
    }
}

/// The release that is tried out, and its share in percent.
fn canary(state: &ServiceState) -> Option<(ReleaseNo, u8)> {
    state.instances.iter().find_map(|(id, instance)| match instance.duty {
        Duty::Canary { percent } => Some((id.release, percent)),
        _ => None,
    })
}

/// How clients are bound to a release while there is a canary.
fn pin_of(state: &ServiceState) -> Option<Pin> {
    let deployment = state.deployment.as_ref()?;
    let (release, percent) = canary(state)?;
    let by = deployment.plan.pin.clone()?;
    let share = u16::from(percent) * (POINTS / 100);
    Some(Pin { by, release, share, deployment: deployment.id, life: deployment.plan.holds() + COOKIE_MARGIN })
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Requests wait instead of failing while all that should serve are down and about to be started again, and while a deployment
/// replaces them in place.
fn hold_of(state: &ServiceState, usual: &Hold) -> Option<Hold> {
    let anybody = |of: fn(&Instance) -> bool| state.instances.values().any(of);
    if anybody(|instance| matches!(instance.mode(), Some(Mode::Serving { .. }))) {
        return None;
    }
    let planned = state.deployment.as_ref().and_then(|deployment| deployment.plan.hold.clone());
    planned.or_else(|| anybody(|instance| instance.duty == Duty::Serving).then(|| usual.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::InstanceId;

    fn state(canaries: u32, others: u32, percent: u8) -> ServiceState {
        let mut state = ServiceState::new(ServiceName::new("web").unwrap());
        for number in 0..canaries + others {
            let duty = if number < canaries { Duty::Canary { percent } } else { Duty::Serving };
            let (release, service) = (crate::ReleaseNo(1), state.name.clone());
            let address = Some("127.0.0.1:1".parse().unwrap());
            let instance = Instance { address, duty, attempt: 0, down: None };
            state.instances.insert(InstanceId { service, release, number }, instance);
        }
        state
    }

    /// Seen to fail with the weights not multiplied by the number of the others.
    #[test]
    fn a_share_is_exact_however_many_take_it() {
        for others in [1, 2, 3, 7, 40, 95] {
            for percent in [1, 5, 25, 50, 99] {
                // As many as its share needs, as a plan has it.
                let canaries = (others * u32::from(percent)).div_ceil(100);
                let weights = Weights::of(&state(canaries, others, percent));
                let part = f64::from(canaries) * f64::from(weights.canary);
                let share = 100.0 * part / (part + f64::from(others) * f64::from(weights.other));
                assert!((share - f64::from(percent)).abs() < 2.0, "{canaries}+{others} at {percent} %: {share:.2} %");
            }
        }
    }

    #[test]
    fn a_canary_that_is_alone_takes_all() {
        let mut state = state(1, 1, 5);
        state.instances.values_mut().for_each(|i| {
            if !i.is_canary() {
                i.down = Some((crate::Timestamp(1), "gone".to_owned()));
            }
        });
        assert_eq!(Weights::of(&state), Weights { canary: 1, other: 1 });
        assert_eq!(hold_of(&state, &Hold { wait: std::time::Duration::ZERO, requests: 1 }), None);
    }
}
