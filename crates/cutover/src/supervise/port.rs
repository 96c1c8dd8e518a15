//! Chooses the port of an instance.
//!
//! A port is free if no living instance has it on record and it can be bound on the loopback address and on all addresses.
//! It is bound without being listened on, so that no client is accepted by mistake. Between the choice and the moment in
//! which the program binds it, another program could take it: then the program says so and ends, and the deployment fails
//! with that. Automatic ports stay out of the range from which the kernel serves outgoing connections, where that would
//! be a matter of time.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;

use cutover_core::spec::Ports;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use crate::runtime::process::layout::Layout;
use crate::runtime::process::lock::InstanceLock;
use crate::runtime::process::observe::records;
use crate::runtime::process::record::Record;
use crate::runtime::sockets::holder;

const AUTOMATIC: RangeInclusive<u16> = 20_000..=32_000;

/// The port, or a text that says who holds each that was tried. Call it under the lock of the port numbers.
pub fn choose(layout: &Layout, ports: &Ports, before: Option<u16>) -> Result<u16, String> {
    let taken = taken(layout)?;
    let free = |port: &u16| !taken.contains_key(port) && can_bind(*port);
    match ports {
        Ports::Automatic => {
            let mut candidates = before.into_iter().chain(shuffled());
            candidates.find(free).ok_or_else(|| "every automatic port is in use".to_owned())
        }
        Ports::Fixed(list) => {
            let before = before.filter(|port| list.contains(port));
            let mut candidates = before.into_iter().chain(list.iter().copied());
            candidates.find(free).ok_or_else(|| refusal(list, &taken))
        }
    }
}

/// The ports of living instances, by their records.
fn taken(layout: &Layout) -> Result<BTreeMap<u16, String>, String> {
    let records =
        records(layout).map_err(|error| format!("the records of other instances cannot be read ({error})"))?;
    // A supervisor that has let go of its lock is on its way out: whoever was stopped may have its successor on its port at once.
    let begins = |record: &Record| {
        record.supervisor_lives() && !InstanceLock::is_free(&layout.instance(&record.instance)).unwrap_or(false)
    };
    let living = records.into_iter().filter(|record| record.main_lives() || begins(record));
    Ok(living.map(|record| (record.port, record.instance.to_string())).collect())
}

fn refusal(list: &[u16], taken: &BTreeMap<u16, String>) -> String {
    if list.is_empty() {
        return "the list of ports is empty".to_owned();
    }
    let tell = |port: &u16| match taken.get(port).cloned().or_else(|| holder(*port)) {
        Some(who) => format!("{port} is held by {who}"),
        None => format!("{port} is not free"),
    };
    list.iter().map(tell).collect::<Vec<_>>().join(", ")
}

/// All automatic ports in turn, from a random one on.
fn shuffled() -> impl Iterator<Item = u16> {
    let outgoing = outgoing();
    let mut candidates: Vec<u16> = AUTOMATIC.filter(|port| !outgoing.contains(port)).collect();
    if candidates.is_empty() {
        // A machine whose range of outgoing ports covers everything: then there is no better choice.
        candidates = AUTOMATIC.collect();
    }
    let begin = random() % candidates.len();
    candidates.rotate_left(begin);
    candidates.into_iter()
}

fn outgoing() -> RangeInclusive<u16> {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_ascii_whitespace().filter_map(|bound| bound.parse().ok());
    bounds.next().unwrap_or(32_768)..=bounds.next().unwrap_or(60_999)
}

fn random() -> usize {
    let mut bytes = [0; 4];
    // Without it the search begins at the front, which is as correct.
    let _ = std::fs::File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes));
    u32::from_ne_bytes(bytes) as usize
}

fn can_bind(port: u16) -> bool {
    let addresses: [IpAddr; 3] =
        [Ipv4Addr::LOCALHOST.into(), Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    addresses.iter().all(|&address| match try_bind((address, port).into()) {
        Ok(()) => true,
        // No IPv6 on this machine: nobody can be in the way there.
        Err(error) => address.is_ipv6() && error != Errno::ADDRINUSE,
    })
}

fn try_bind(address: SocketAddr) -> rustix::io::Result<()> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // As servers do: connections of a predecessor that linger in TIME_WAIT are no obstacle, a listener is.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)
}
