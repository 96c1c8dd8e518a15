//! Guesses why a program does not get ready, from what it listens on and what it said.

use std::net::{Ipv4Addr, SocketAddr};

use super::layout::InstanceDir;
use super::logs;
use super::members;
use super::record::Record;
use super::sockets::{holder, listeners, open};
use crate::engine::port::LogLine;

const LINES: usize = 50;

/// What may be wrong; `None` if nothing can be seen from outside.
pub fn diagnose(dir: &InstanceDir, record: &Record) -> Option<String> {
    if let Some(path) = &record.socket {
        let missing = record.main_lives() && !path.exists();
        let path = path.display();
        return missing.then(|| {
            format!("there is no socket {path} yet: use {{socket}} in the command, or the variable CUTOVER_SOCKET")
        });
    }
    if says_address_in_use(dir) {
        let who = holder(record.port).map(|who| format!(" (by {who})")).unwrap_or_default();
        return Some(format!(
            "it says that its address is in use already: it must listen on port {}{who}, which it finds in {{port}} and PORT",
            record.port
        ));
    }
    record.main_lives().then(|| judge(record.port, &listening(record))).flatten()
}

fn says_address_in_use(dir: &InstanceDir) -> bool {
    let says = |line: &LogLine| {
        let text = line.text.to_ascii_lowercase();
        text.contains("address already in use") || text.contains("eaddrinuse")
    };
    logs::last(dir, LINES).iter().any(says)
}

/// Where the processes of a run listen.
fn listening(record: &Record) -> Vec<SocketAddr> {
    let sockets: std::collections::HashSet<u64> = members::of(record).iter().flat_map(|id| open(id.pid)).collect();
    let all = listeners(record.main.pid).into_iter();
    all.filter(|listener| sockets.contains(&listener.inode)).map(|listener| listener.address).collect()
}

fn judge(port: u16, listening: &[SocketAddr]) -> Option<String> {
    let cure = "use {port} in the command, or the variable PORT";
    if listening.is_empty() {
        return Some(format!("it listens on no port yet; cutover expects {port}: {cure}"));
    }
    let right: Vec<&SocketAddr> = listening.iter().filter(|address| address.port() == port).collect();
    if right.is_empty() {
        let ports = list(listening.iter().map(|address| address.port().to_string()));
        return Some(format!("it listens on port {ports}, but cutover expects {port}: {cure}"));
    }
    let hosts = list(right.iter().map(ToString::to_string));
    let reachable = right.iter().any(|address| reachable_by_loopback(address));
    (!reachable).then(|| format!("it listens only on {hosts}; let it listen on 127.0.0.1 or on all addresses"))
}

fn reachable_by_loopback(address: &SocketAddr) -> bool {
    match address {
        SocketAddr::V4(v4) => reachable(*v4.ip()),
        // Usually takes IPv4 as well; whether it does cannot be seen from here.
        SocketAddr::V6(v6) => v6.ip().is_unspecified() || v6.ip().to_ipv4_mapped().is_some_and(reachable),
    }
}

/// 127.0.0.2, say, is a loopback address too, but another one.
fn reachable(ip: Ipv4Addr) -> bool {
    ip == Ipv4Addr::LOCALHOST || ip.is_unspecified()
}

fn list(items: impl Iterator<Item = String>) -> String {
    let unique: std::collections::BTreeSet<String> = items.collect();
    unique.into_iter().collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_listening_has_its_diagnosis() {
        let judged = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            judge(8080, &addresses).unwrap_or_default()
        };
        assert!(judged(&[]).contains("no port yet"));
        assert!(
            judged(&["0.0.0.0:9090", "[::]:9090"]).starts_with("it listens on port 9090, but cutover expects 8080")
        );
        assert!(judged(&["10.0.0.5:8080"]).starts_with("it listens only on 10.0.0.5:8080"));
        assert!(judged(&["127.0.0.2:8080"]).starts_with("it listens only on 127.0.0.2:8080"));
        assert!(judged(&["[::1]:8080"]).starts_with("it listens only on [::1]:8080"));
        for fine in ["127.0.0.1:8080", "0.0.0.0:8080", "[::]:8080", "[::ffff:127.0.0.1]:8080"] {
            assert_eq!(judged(&[fine, "0.0.0.0:9090"]), "");
        }
    }
}
