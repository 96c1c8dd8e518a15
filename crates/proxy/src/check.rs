//! Whether a table can be served at all. Pure: what only the operating system knows (is the port free?) is asked later.

use std::collections::HashSet;

use cutover_core::ServiceName;
use cutover_core::pin::{POINTS, PinBy};
use cutover_core::table::{Mode, Service, Table, Traffic};
use cutover_core::trail::AccessLog;

use crate::http::head::is_token;

/// The heaviest weight.
const MAX_WEIGHT: u16 = 1000;

/// Everything that is wrong with a table; empty if it is good.
pub fn check(table: &Table) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut names = HashSet::new();
    let mut instances = HashSet::new();
    check_logs(table, &mut wrong);
    for service in &table.services {
        if !names.insert(&service.name) {
            wrong.push(format!("service {} is listed twice", service.name));
        }
        check_service(service, &mut wrong);
        for target in &service.targets {
            if !instances.insert(&target.instance) {
                wrong.push(format!("instance {} is listed twice", target.instance));
            }
        }
    }
    let mut addresses = HashSet::new();
    for listener in &table.listeners {
        if listener.address.port() == 0 {
            wrong.push(format!("listener {} has no port", listener.address));
        }
        if !addresses.insert(listener.address) {
            wrong.push(format!("listener {} is listed twice", listener.address));
        }
        check_traffic(&listener.traffic, &names, &mut wrong);
    }
    wrong
}

/// Services may share a log, but it can be rotated in one way only.
fn check_logs(table: &Table, wrong: &mut Vec<String>) {
    let logs = || table.services.iter().filter_map(|service| Some((&service.name, service.trail.log.as_ref()?)));
    for (index, (name, log)) in logs().enumerate() {
        let differs = |(_, other): &(&ServiceName, &AccessLog)| {
            other.file == log.file && (other.max_size, other.keep) != (log.max_size, log.keep)
        };
        if let Some((other, _)) = logs().take(index).find(differs) {
            let file = log.file.display();
            wrong.push(format!("services {other} and {name} write to {file}, but rotate it at different sizes or keep different numbers"));
        }
        if !log.file.is_absolute() {
            wrong.push(format!("the access log of service {name}, {}, is not an absolute path", log.file.display()));
        }
    }
}

fn check_service(service: &Service, wrong: &mut Vec<String>) {
    for target in &service.targets {
        if target.instance.service != service.name {
            wrong.push(format!("instance {} is listed under service {}", target.instance, service.name));
        }
        if target.address.port() == 0 {
            wrong.push(format!("instance {} has no port", target.instance));
        }
        if let Mode::Serving { weight } = target.mode
            && !(1..=MAX_WEIGHT).contains(&weight)
        {
            wrong.push(format!("instance {} has weight {weight}: use 1 to {MAX_WEIGHT}", target.instance));
        }
    }
    if let Some(pin) = &service.pin {
        if pin.share > POINTS {
            wrong.push(format!("service {} gives a canary {} of {POINTS} points", service.name, pin.share));
        }
        if let PinBy::Header(name) = &pin.by
            && (name.is_empty() || !name.bytes().all(is_token))
        {
            wrong.push(format!("service {} tells clients apart by {name:?}, which is no header", service.name));
        }
    }
    let faults = service.rules.iter().flat_map(|rules| rules.faults());
    wrong.extend(faults.map(|fault| format!("service {}: {fault}", service.name)));
    if service.token.as_ref().is_some_and(String::is_empty) {
        wrong.push(format!("service {} has an empty token", service.name));
    }
}

fn check_traffic(traffic: &Traffic, names: &HashSet<&ServiceName>, wrong: &mut Vec<String>) {
    let mut unknown = |service: &ServiceName| {
        if !names.contains(service) {
            wrong.push(format!("a route names service {service}, which is not listed"));
        }
    };
    let routes = match traffic {
        Traffic::Tcp { service } | Traffic::Preview { service, .. } => return unknown(service),
        Traffic::Metrics { services } => return services.iter().for_each(unknown),
        Traffic::Http { routes, .. } => routes,
    };
    routes.iter().for_each(|route| unknown(&route.service));
    let mut seen = HashSet::new();
    for route in routes {
        if !route.path.starts_with('/') {
            wrong.push(format!("path {:?} does not begin with /", route.path));
        }
        let path = route.path.trim_end_matches('/');
        let any = route.hosts.is_empty().then_some("");
        for host in route.hosts.iter().map(String::as_str).chain(any) {
            if !seen.insert((host.to_ascii_lowercase(), path)) {
                let host = if host.is_empty() { "any host" } else { host };
                wrong.push(format!("two routes are for {host} {}", route.path));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_said_at_once() {
        let table: Table = serde_json::from_str(
            r#"{"generation": 1,
                "listeners": [
                    {"address": "127.0.0.1:80", "traffic": {"http": {"routes": [
                        {"hosts": [], "path": "/a", "service": "web"},
                        {"hosts": [], "path": "/a/", "service": "web"},
                        {"hosts": ["a"], "path": "b", "service": "gone"}], "trusted": []}}},
                    {"address": "127.0.0.1:80", "traffic": {"tcp": {"service": "web"}}}],
                "services": [{"name": "web", "balance": "round_robin", "hold": null, "limits": {}, "token": null,
                    "targets": [{"instance": "api.r1.i1", "address": "127.0.0.1:0", "mode": {"serving": {"weight": 0}}}]}]}"#,
        )
        .unwrap();
        let wrong = check(&table).join("\n");
        let expected = [
            "under service web",
            "no port",
            "weight 0",
            "127.0.0.1:80 is listed twice",
            "service gone",
            "two routes",
            "\"b\"",
        ];
        for piece in expected {
            assert!(wrong.contains(piece), "{piece:?} is missing in:\n{wrong}");
        }
        assert!(check(&Table::default()).is_empty());
    }
}
