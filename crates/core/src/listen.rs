//! Where the proxy listens: at an address, or on a unix socket.
//!
//! Both are written in one text, so that whatever keeps an address (tables, releases, what two proxies say to each other) is still read as it was
//! written before there were sockets: `127.0.0.1:80`, and `unix:/run/shop/web.sock` as nginx writes it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::table::Network;

/// What stands before the path of a unix socket, and for whoever comes by one.
pub const UNIX: &str = "unix:";

/// The longest path of a unix socket, in bytes (`sun_path`, unix(7)).
pub const LONGEST_PATH: usize = 107;

/// Where something listens. Every connection keeps one, so a copy shares the path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ListenAddress {
    /// An address and a port.
    Tcp(SocketAddr),
    /// A unix socket; its path is absolute and fits into one.
    Unix(Arc<Path>),
}

/// Why a text does not say where to listen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoListenAddress {
    /// It is something else.
    #[error("{0:?} is neither an address with a port nor a unix socket")]
    Neither(String),
    /// A path that depends on who reads it.
    #[error("the path of a unix socket begins with a slash, and {0:?} does not")]
    Relative(String),
    /// A path that leads to a folder.
    #[error("{0:?} names a folder, not a unix socket")]
    Folder(String),
    /// A path with a byte that no path has.
    #[error("{0:?} is no path")]
    NoPath(String),
    /// A path that the kernel does not take.
    #[error("the path of a unix socket may have {LONGEST_PATH} bytes, and {path:?} has {}", path.len())]
    TooLong {
        /// The path.
        path: String,
    },
}

impl ListenAddress {
    /// The address, if it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The path, if it is a unix socket.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Tcp(_) => None,
            Self::Unix(path) => Some(path),
        }
    }

    /// Its port, if it has one.
    pub fn port(&self) -> Option<u16> {
        self.tcp().map(|address| address.port())
    }

    /// Whether both take the same connections: the same port on the same address or on all addresses of the family, or the same socket.
    pub fn overlaps(&self, other: &Self) -> bool {
        let (Self::Tcp(one), Self::Tcp(other)) = (self, other) else { return self == other };
        let same_ip = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
        one.port() == other.port() && one.is_ipv4() == other.is_ipv4() && same_ip
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl PartialEq<SocketAddr> for ListenAddress {
    fn eq(&self, address: &SocketAddr) -> bool {
        self.tcp() == Some(*address)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl FromStr for ListenAddress {
    type Err = NoListenAddress;
    fn from_str(text: &str) -> Result<Self, NoListenAddress> {
        let Some(path) = text.strip_prefix(UNIX) else {
            return text.parse().map(Self::Tcp).map_err(|_| NoListenAddress::Neither(text.to_owned()));
        };
        let wrong = |why: fn(String) -> NoListenAddress| Err(why(path.to_owned()));
        if !path.starts_with('/') {
            return wrong(NoListenAddress::Relative);
        }
        if path.contains('\0') {
            return wrong(NoListenAddress::NoPath);
        }
        if path.ends_with('/') || Path::new(path).file_name().is_none() {
            return wrong(NoListenAddress::Folder);
        }
        if path.len() > LONGEST_PATH {
            return wrong(|path| NoListenAddress::TooLong { path });
        }
        Ok(Self::Unix(Path::new(path).into()))
    }
}

impl TryFrom<String> for ListenAddress {
    type Error = NoListenAddress;
    fn try_from(text: String) -> Result<Self, NoListenAddress> {
        text.parse()
    }
}

impl From<ListenAddress> for String {
    fn from(address: ListenAddress) -> Self {
        address.to_string()
    }
}

/// Somebody whose word about other clients counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Peer {
    /// Whoever has an address in this range.
    At(Network),
    /// Whoever comes by a unix socket, and so has no address: the rights of the socket's file and folder say who that can be.
    Unix,
}

impl Peer {
    /// Whether this is one of them. One without an address came by a unix socket.
    pub fn is(&self, peer: Option<IpAddr>) -> bool {
        match (self, peer) {
            (Self::At(network), Some(address)) => network.contains(address),
            (Self::Unix, None) => true,
            (Self::At(_), None) | (Self::Unix, Some(_)) => false,
        }
    }
}

impl From<Network> for Peer {
    fn from(network: Network) -> Self {
        Self::At(network)
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::At(network) => network.into(),
            Peer::Unix => UNIX.to_owned(),
        }
    }
}

impl TryFrom<String> for Peer {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        if text == UNIX { Ok(Self::Unix) } else { Network::try_from(text).map(Self::At) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Table;

    fn at(text: &str) -> ListenAddress {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["127.0.0.1:80", "[::]:443", "unix:/run/shop/web.sock", "unix:/a b:c"] {
            assert_eq!(at(text).to_string(), text);
            let json = serde_json::to_string(&at(text)).unwrap();
            assert_eq!((&*json, serde_json::from_str(&json).ok()), (&*format!("{text:?}"), Some(at(text))));
        }
        let longest = format!("unix:/{}", "x".repeat(LONGEST_PATH - 1));
        assert_eq!(at(&longest).path().map(|path| path.as_os_str().len()), Some(LONGEST_PATH));
    }

    /// Seen to fail with each of the questions about a path left out.
    #[test]
    fn what_cannot_be_listened_on_is_no_address() {
        let wrong = |text: &str| text.parse::<ListenAddress>().expect_err(text).to_string();
        for text in ["", "80", ":80", "localhost:80", "/run/web.sock", "UNIX:/run/web.sock"] {
            assert!(wrong(text).contains("neither an address"), "{text}: {}", wrong(text));
        }
        let too_long = format!("unix:/{}", "x".repeat(LONGEST_PATH));
        for (text, expected) in [
            ("unix:", "begins with a slash"),
            ("unix:web.sock", "begins with a slash"),
            ("unix:/", "names a folder"),
            ("unix:/run/", "names a folder"),
            ("unix:/run/..", "names a folder"),
            ("unix:/run/\0", "is no path"),
            (&too_long, "may have 107 bytes"),
        ] {
            assert!(wrong(text).contains(expected), "{text}: {}", wrong(text));
        }
    }

    #[test]
    fn a_table_from_before_there_were_sockets_is_read() {
        let table = r#"{"generation": 1, "listeners": [{"address": "127.0.0.1:80", "traffic": {"http": {"routes": [],
            "trusted": ["10.0.0.0/8"]}}}], "services": [], "introduced": [{"listener": "127.0.0.1:80", "from": ["::1"]}]}"#;
        let table: Table = serde_json::from_str(table).unwrap();
        let address: SocketAddr = "127.0.0.1:80".parse().unwrap();
        assert!(table.listeners[0].address == address && table.introduced[0].listener == address);
    }

    #[test]
    fn addresses_overlap_where_they_take_the_same_connections() {
        let overlap = |one: &str, other: &str| at(one).overlaps(&at(other));
        assert!(overlap("0.0.0.0:80", "127.0.0.1:80") && overlap("unix:/a", "unix:/a"));
        assert!(!overlap("127.0.0.1:80", "127.0.0.2:80") && !overlap("0.0.0.0:80", "0.0.0.0:81"));
        assert!(!overlap("unix:/a", "unix:/b") && !overlap("unix:/a", "0.0.0.0:80"));
    }

    /// Seen to fail with a peer without an address taken for one of every range.
    #[test]
    fn only_who_comes_by_a_socket_has_no_address() {
        let peer = |text: &str| Peer::try_from(text.to_owned()).unwrap();
        let address = Some("10.0.0.1".parse().unwrap());
        assert!(peer("unix:").is(None) && !peer("unix:").is(address));
        assert!(peer("10.0.0.0/8").is(address) && !peer("0.0.0.0/0").is(None));
        assert_eq!(String::from(peer("unix:")), "unix:");
        assert!(Peer::try_from("unix".to_owned()).is_err());
    }
}
