//! Tells systemd that the proxy is ready, and which process it is now (sd_notify(3)). Without systemd, nothing is done.

use std::env;
use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// This or another process is the proxy now, and serves.
pub fn ready(pid: u32) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else { return };
    if let Err(error) = send(&socket, &format!("MAINPID={pid}\nREADY=1\n")) {
        tracing::warn!(%error, ?socket, "cannot tell the service manager that the proxy is ready");
    }
}

/// Whether a service manager started us. Then it also starts us again.
pub fn is_supervised() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

fn send(socket: &OsStr, message: &str) -> std::io::Result<()> {
    // A leading @ stands for the zero of an abstract name.
    let address = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address).map(drop)
}
