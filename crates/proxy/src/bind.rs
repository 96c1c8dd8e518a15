//! Listening sockets, and who has them if we cannot.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

use tokio::net::TcpSocket;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}{}", holder.as_ref().map(|holder| format!(" ({holder})")).unwrap_or_default())]
pub struct BindError {
    address: SocketAddr,
    holder: Option<String>,
    source: io::Error,
}

/// Listens on an address. The descriptor is closed on exec; address reuse lets a successor bind while old connections
/// linger, but does not let two processes listen at once.
pub fn bind(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    listen().map_err(|source| {
        let taken = source.kind() == io::ErrorKind::AddrInUse;
        BindError { address, holder: taken.then(|| holder(address.port())).flatten(), source }
    })
}

/// The process that listens on a port, as far as we may see.
fn holder(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let inodes: Vec<String> =
        tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(|line| listening(line, port)).collect();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter(|process| holds(&process.path(), &inodes)).find_map(|process| {
        let pid = process.file_name().into_string().ok()?;
        let name = fs::read_to_string(process.path().join("comm")).ok()?;
        Some(format!("process {pid}, {}, listens there", name.trim()))
    })
}

/// The inode in a line of /proc/net/tcp, if it is a listening socket (state 0A) of this port; see proc(5).
fn listening(line: &str, port: u16) -> Option<String> {
    let columns: Vec<&str> = line.split_ascii_whitespace().collect();
    let local = columns.get(1)?.rsplit(':').next()?;
    let ours = columns.get(3) == Some(&"0A") && u16::from_str_radix(local, 16) == Ok(port);
    ours.then(|| columns.get(9).map(|inode| format!("socket:[{inode}]"))).flatten()
}

fn holds(process: &std::path::Path, inodes: &[String]) -> bool {
    let Ok(descriptors) = fs::read_dir(process.join("fd")) else { return false };
    descriptors
        .flatten()
        .filter_map(|descriptor| fs::read_link(descriptor.path()).ok())
        .any(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))
}
