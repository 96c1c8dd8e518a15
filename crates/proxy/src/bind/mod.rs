//! Listening sockets, and who has them if we cannot.

mod holder;
mod unix;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;

use cutover_core::listen::ListenAddress;
use tokio::net::TcpSocket;

pub use unix::is_free as unix_socket_is_free;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4096;

/// A socket that listens.
#[derive(Debug)]
pub enum Bound {
    /// At an address.
    Tcp(TcpListener),
    /// At the path of a file.
    Unix(UnixListener),
}

/// Why something cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The kernel refuses.
    #[error("cannot listen on {address}: {source}{}", shown(note.as_ref()))]
    Refused {
        /// What.
        address: ListenAddress,
        /// What else is known.
        note: Option<String>,
        /// Why.
        source: io::Error,
    },
    /// A file lies where the socket is to be, and it is not ours to remove.
    #[error("cannot listen on {0}: what lies there is no socket; remove it, or write another path")]
    NoSocket(ListenAddress),
    /// A socket lies there on which somebody answers.
    #[error("cannot listen on {address}: another process does already{}; stop that, or write another path", shown(holder.as_ref()))]
    Taken {
        /// What.
        address: ListenAddress,
        /// Who has it.
        holder: Option<String>,
    },
    /// The folder of a socket is not there.
    #[error(
        "cannot listen on {address}: there is no folder {folder}; make it, for the user that runs the proxy to write to"
    )]
    NoFolder {
        /// What.
        address: ListenAddress,
        /// The folder.
        folder: String,
    },
}

/// Listens. The descriptor is closed on exec.
pub fn bind(address: &ListenAddress) -> Result<Bound, BindError> {
    match address {
        ListenAddress::Tcp(tcp) => bind_tcp(*tcp).map(Bound::Tcp),
        ListenAddress::Unix(path) => unix::bind(path).map(Bound::Unix),
    }
}

/// Address reuse lets a successor bind while old connections linger, but does not let two processes listen at once.
fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let listen = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?.into_std()
    };
    listen().map_err(|source| {
        let taken = source.kind() == io::ErrorKind::AddrInUse;
        let note = taken.then(|| holder::of_port(address.port())).flatten();
        BindError::Refused { address: address.into(), note, source }
    })
}

/// Removes what is left of a listener of ours whose every copy is closed: the file of a unix socket. If somebody else has come to listen
/// there, it is theirs.
pub fn clear(address: &ListenAddress) {
    if let Some(path) = address.path() {
        unix::clear(path);
    }
}

impl Bound {
    /// The same socket once more.
    pub fn try_clone(&self) -> io::Result<Self> {
        match self {
            Self::Tcp(listener) => listener.try_clone().map(Self::Tcp),
            Self::Unix(listener) => listener.try_clone().map(Self::Unix),
        }
    }

    /// What was handed over as the listener of this address.
    pub fn inherited(address: &ListenAddress, socket: OwnedFd) -> Self {
        match address {
            ListenAddress::Tcp(_) => Self::Tcp(socket.into()),
            ListenAddress::Unix(_) => Self::Unix(socket.into()),
        }
    }
}

impl AsFd for Bound {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(listener) => listener.as_fd(),
        }
    }
}

fn unix_address(path: &Path) -> ListenAddress {
    ListenAddress::Unix(path.into())
}

fn shown(note: Option<&String>) -> String {
    note.map(|note| format!(" ({note})")).unwrap_or_default()
}
