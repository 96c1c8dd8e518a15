//! Who listens where, from `/proc/net/tcp` and the descriptors of processes; see proc_pid_net(5). Best effort: a listener that may
//! not be seen is taken for absent. Of connections that cannot be seen nobody says that there are none.

use std::collections::{BTreeSet, HashSet};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::process::identity::all;

mod diag;

/// The states of a socket, as the kernel numbers them (`include/net/tcp_states.h`).
const LISTEN: &str = "0A";
const ESTABLISHED: &str = "01";

/// A socket that listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listener {
    /// Where.
    pub address: SocketAddr,
    /// The socket's number in the kernel.
    pub inode: u64,
}

/// All TCP listeners that a process can see (its network namespace's).
pub fn listeners(pid: i32) -> Vec<Listener> {
    tables(pid).iter().flatten().flat_map(|table| table.lines()).filter_map(parse).collect()
}

/// The peers of the connections that are open to a listening address, in the network namespace of a process; `None` if nobody can tell.
pub fn peers(of: SocketAddr, pid: i32) -> Option<BTreeSet<SocketAddr>> {
    diag::peers(of, pid).ok().or_else(|| peers_by_table(of, pid))
}

fn peers_by_table(of: SocketAddr, pid: i32) -> Option<BTreeSet<SocketAddr>> {
    let connection = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (local, peer, state) = (fields.nth(1)?, fields.next()?, fields.next()?);
        (state == ESTABLISHED && canonical(address(local)?) == of).then_some(canonical(address(peer)?))
    };
    let tables = tables(pid)?;
    Some(tables.iter().flat_map(|table| table.lines()).filter_map(connection).collect())
}

/// An IPv4 address in the notation of IPv6 is the IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// `tcp` and `tcp6` of a process's network namespace. The second is not there on a machine without IPv6.
fn tables(pid: i32) -> Option<[String; 2]> {
    let net = Path::new("/proc").join(pid.to_string()).join("net");
    let tcp = std::fs::read_to_string(net.join("tcp")).ok()?;
    match std::fs::read_to_string(net.join("tcp6")) {
        Ok(tcp6) => Some([tcp, tcp6]),
        Err(error) if error.kind() == ErrorKind::NotFound && net.join("tcp").exists() => Some([tcp, String::new()]),
        Err(_) => None,
    }
}

/// The numbers of the sockets that a process has open.
pub fn open(pid: i32) -> HashSet<u64> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let inode = |path: &Path| {
        std::fs::read_link(path).ok()?.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    entries.filter_map(|entry| inode(&entry.path())).collect()
}

/// Who listens on a port: `nginx (process 123)`.
pub fn holder(port: u16) -> Option<String> {
    let own = std::process::id().cast_signed();
    let wanted: HashSet<u64> = listeners(own)
        .iter()
        .filter(|listener| listener.address.port() == port)
        .map(|listener| listener.inode)
        .collect();
    let pid = all().find(|pid| !wanted.is_empty() && !open(*pid).is_disjoint(&wanted))?;
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(format!("{} (process {pid})", name.trim()))
}

fn parse(line: &str) -> Option<Listener> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let inode = fields.nth(5)?.parse().ok()?;
    (state == LISTEN).then_some(Listener { address: address(local)?, inode })
}

/// Words of 32 bits, each in the machine's byte order: `0100007F:1F90` is 127.0.0.1:8080 on most.
fn address(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(host.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    let ip = match host.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some((ip, u16::from_str_radix(port, 16).ok()?).into())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn our_own_listeners_are_found_with_their_addresses() {
        for at in ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"] {
            // A machine may have no IPv6.
            let Ok(listener) = TcpListener::bind(at) else { continue };
            let address = listener.local_addr().unwrap();
            let own = std::process::id().cast_signed();
            let found = listeners(own).into_iter().find(|listener| listener.address == address);
            let found = found.unwrap_or_else(|| panic!("{address} is not among the listeners"));
            assert!(open(own).contains(&found.inode));
            let holder = holder(address.port()).unwrap();
            assert!(holder.ends_with(&format!("(process {own})")), "{holder}");
        }
    }

    #[test]
    fn the_peers_of_a_listener_are_found_while_they_are_connected() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let one = std::net::TcpStream::connect(at).unwrap();
        let accepted = listener.accept().unwrap();
        let own = std::process::id().cast_signed();
        let both_ways = || [peers_by_table(at, own), diag::peers(at, own).ok()];
        let seen = BTreeSet::from([one.local_addr().unwrap()]);
        assert_eq!(both_ways(), [Some(seen.clone()), Some(seen)]);
        drop((one, accepted));
        assert_eq!(both_ways(), [Some(BTreeSet::new()), Some(BTreeSet::new())]);
    }

    /// More than one message of the kernel's holds.
    ///
    /// Seen to fail with the first message taken for all, with the first entry of each, and without the sockets of IPv6.
    #[test]
    fn many_peers_are_all_found() {
        let listener = TcpListener::bind("[::]:0").or_else(|_| TcpListener::bind("0.0.0.0:0")).unwrap();
        let at = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
        let connect = |_| (std::net::TcpStream::connect(at).unwrap(), listener.accept().unwrap());
        let open: Vec<_> = (0..400).map(connect).collect();
        let expected: BTreeSet<_> = open.iter().map(|(client, _)| client.local_addr().unwrap()).collect();
        assert_eq!(diag::peers(at, std::process::id().cast_signed()).unwrap(), expected);
    }

    /// Seen to fail with our own network asked in place of theirs.
    #[test]
    fn connections_are_those_of_the_process_s_network() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap();
        let _open = (std::net::TcpStream::connect(at).unwrap(), listener.accept().unwrap());
        let mut elsewhere = std::process::Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            elsewhere.args(["--user", "--map-root-user"]);
        }
        let mut elsewhere = elsewhere.args(["--net", "sleep", "60"]).spawn().unwrap();
        let network = |pid: u32| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
        while network(elsewhere.id()) == network(std::process::id()) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let found = peers(at, elsewhere.id().cast_signed());
        elsewhere.kill().unwrap();
        elsewhere.wait().unwrap();
        assert_eq!(found, Some(BTreeSet::new()));
    }

    /// Seen to fail with a table that cannot be read taken for an empty one.
    #[test]
    fn of_a_process_that_is_not_there_nobody_says_that_it_has_no_connections() {
        let mut ended = std::process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        assert_eq!(peers(([127, 0, 0, 1], 1).into(), ended.id().cast_signed()), None);
    }

    #[test]
    fn connections_and_headings_are_not_listeners() {
        let heading =
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
        let connected =
            "   0: 0100007F:1F90 0100007F:ABCD 01 00000000:00000000 00:00000000 00000000     0        0 7 1";
        assert_eq!(parse(heading), None);
        assert_eq!(parse(connected), None);
    }
}
