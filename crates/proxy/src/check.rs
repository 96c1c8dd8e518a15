//! Whether a table can be served at all. Pure: what only the operating system knows (is the port free?) is asked later.

use std::collections::HashSet;

use cutover_core::ServiceName;
use cutover_core::acme::unfit;
use cutover_core::listen::LONGEST_PATH;
use cutover_core::pin::{POINTS, PinBy};
use cutover_core::table::{Mode, Service, Table, Target, Traffic};
use cutover_core::tls::{CertificateFrom, Identity};
use cutover_core::trail::{AccessLog, Spans};

use crate::http::head::is_token;

/// The heaviest weight.
const MAX_WEIGHT: u16 = 1000;

/// Everything that is wrong with a table; empty if it is good.
pub fn check(table: &Table) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut names = HashSet::new();
    let mut instances = HashSet::new();
    check_logs(table, &mut wrong);
    check_spans(table, &mut wrong);
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
        if listener.address.port() == Some(0) {
            wrong.push(format!("listener {} has no port", listener.address));
        }
        if listener.address.path().is_some() && !is_for_clients(&listener.traffic) {
            wrong.push(format!("{} is a unix socket, which is for the traffic of services alone", listener.address));
        }
        if !addresses.insert(&listener.address) {
            wrong.push(format!("listener {} is listed twice", listener.address));
        }
        check_traffic(&listener.traffic, &names, &mut wrong);
        listener.identities.iter().for_each(|identity| check_order(identity, &mut wrong));
    }
    wrong
}

/// What is ordered is ordered for one name, by which its files are called.
fn check_order(identity: &Identity, wrong: &mut Vec<String>) {
    let CertificateFrom::Acme(authority) = &identity.from else { return };
    let service = &identity.service;
    match &identity.hosts[..] {
        [host] => wrong.extend(unfit(host).map(|why| format!("no certificate for {host} of service {service}: {why}"))),
        hosts => {
            wrong.push(format!("a certificate of service {service} is ordered for {} hosts, not for one", hosts.len()))
        }
    }
    if !authority.directory.starts_with("https://") {
        wrong.push(format!("the authority of service {service}, {:?}, is no https address", authority.directory));
    }
    let binding = authority.binding.as_ref().map(|binding| &binding.key_file);
    for path in [authority.ca_file.as_ref(), authority.store.as_ref(), binding].into_iter().flatten() {
        if !path.is_absolute() {
            wrong.push(format!("{} of service {service} is not an absolute path", path.display()));
        }
    }
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

/// What a receiver is asked for must be certain before anything is recorded. The address is not repeated: it may hold a secret.
fn check_spans(table: &Table, wrong: &mut Vec<String>) {
    for (name, spans) in
        table.services.iter().filter_map(|service| Some((&service.name, service.trail.spans.as_ref()?)))
    {
        let not_an_address = || spans.endpoint.parse::<hyper::Uri>().is_err().then_some("is no address");
        if let Some(fault) = Spans::fault(&spans.endpoint).or_else(not_an_address) {
            wrong.push(format!("where the spans of service {name} are to go {fault}"));
        }
        for path in [&spans.headers_file, &spans.ca_file].into_iter().flatten().filter(|path| !path.is_absolute()) {
            wrong.push(format!("{} of service {name} is not an absolute path", path.display()));
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
        check_socket(target, wrong);
        for path in target.tls.iter().flat_map(|tls| tls.files()).filter(|path| !path.is_absolute()) {
            wrong.push(format!("{} of instance {} is not an absolute path", path.display(), target.instance));
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

/// Where TLS is spoken, it is to an address: that is what a certificate can be for.
fn check_socket(target: &Target, wrong: &mut Vec<String>) {
    let Some(socket) = &target.socket else { return };
    let (instance, path) = (&target.instance, socket.display());
    if !socket.is_absolute() {
        wrong.push(format!("the socket {path} of instance {instance} is not an absolute path"));
    }
    if socket.as_os_str().len() > LONGEST_PATH {
        wrong.push(format!("the socket {path} of instance {instance} is longer than {LONGEST_PATH} bytes"));
    }
    if target.tls.is_some() {
        wrong.push(format!("instance {instance} is to be spoken to by TLS on a unix socket"));
    }
}

/// Previews and counters are looked at from elsewhere, with a browser or by Prometheus.
fn is_for_clients(traffic: &Traffic) -> bool {
    matches!(traffic, Traffic::Http { .. } | Traffic::Tcp { .. })
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
                    {"address": "127.0.0.1:80", "traffic": {"tcp": {"service": "web"}}},
                    {"address": "unix:/run/counters.sock", "traffic": {"metrics": {"services": ["web"]}}}],
                "services": [{"name": "web", "balance": "round_robin", "hold": null, "limits": {}, "token": null,
                    "targets": [{"instance": "api.r1.i1", "address": "127.0.0.1:0", "mode": {"serving": {"weight": 0}},
                        "tls": {"ca_file": "ca.pem"}, "socket": "web.sock"}]}]}"#,
        )
        .unwrap();
        let wrong = check(&table).join("\n");
        let expected = [
            "under service web",
            "no port",
            "weight 0",
            "the socket web.sock of instance api.r1.i1 is not an absolute path",
            "spoken to by TLS on a unix socket",
            "ca.pem of instance api.r1.i1 is not an absolute path",
            "127.0.0.1:80 is listed twice",
            "unix:/run/counters.sock is a unix socket, which is for the traffic of services alone",
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
