//! Where the load goes: `http://host[:port][/path]`, read strictly.

use std::fmt;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::str::FromStr;
use std::time::Duration;

/// How long one of several addresses of a host may take to accept before the next is tried.
const PICK_WITHIN: Duration = Duration::from_secs(1);

/// An `http` address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    path: String,
}

/// Why an address cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// TLS is not spoken.
    #[error("https is not supported yet; use the http address behind the TLS endpoint")]
    Https,
    /// Not an `http` address at all.
    #[error("an address begins with http:// and a host, as in http://shop.example.com/; this is {0:?}")]
    NotHttp(String),
    /// The part after the colon is not a port.
    #[error("{0:?} is not a port")]
    Port(String),
}

impl Url {
    /// What the `host` header says: the host, and the port unless it is 80.
    pub fn authority(&self) -> String {
        if self.port == 80 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The path with its query; `/` when the address had none.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Resolves the host once. Of several addresses, the first that accepts a connection now is taken, and kept: going
    /// on to another one later would be a retry.
    pub(crate) fn resolve(&self) -> std::io::Result<SocketAddr> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let all: Vec<_> = (host, self.port).to_socket_addrs()?.collect();
        let accepts = |address: &&SocketAddr| TcpStream::connect_timeout(address, PICK_WITHIN).is_ok();
        let picked = if all.len() > 1 { all.iter().find(accepts) } else { None };
        picked.or(all.first()).copied().ok_or_else(|| std::io::Error::other("the name has no address"))
    }
}

impl FromStr for Url {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        if text.starts_with("https://") {
            return Err(UrlError::Https);
        }
        let rest = text.strip_prefix("http://").ok_or_else(|| UrlError::NotHttp(text.into()))?;
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (host, port) = match authority.rsplit_once(':') {
            // A colon inside brackets belongs to an IPv6 address.
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| UrlError::Port(port.into()))?)
            }
            _ => (authority, 80),
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '@') {
            return Err(UrlError::NotHttp(text.into()));
        }
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
        Ok(Self { host: host.into(), port, path })
    }
}

impl From<SocketAddr> for Url {
    fn from(address: SocketAddr) -> Self {
        let host = match address {
            SocketAddr::V4(address) => address.ip().to_string(),
            SocketAddr::V6(address) => format!("[{}]", address.ip()),
        };
        Self { host, port: address.port(), path: "/".into() }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_strictly() {
        for (text, authority, path) in [
            ("http://shop.example.com", "shop.example.com", "/"),
            ("http://shop.example.com:80/a?b=c#d", "shop.example.com", "/a?b=c"),
            ("http://127.0.0.1:8080?x", "127.0.0.1:8080", "/?x"),
            ("http://[::1]:81/", "[::1]:81", "/"),
            ("http://[::1]", "[::1]", "/"),
        ] {
            let url: Url = text.parse().unwrap();
            assert_eq!((url.authority().as_str(), url.path()), (authority, path), "{text}");
        }
        assert_eq!("https://x/".parse::<Url>(), Err(UrlError::Https));
        assert_eq!("http://x:http/".parse::<Url>(), Err(UrlError::Port("http".into())));
        for wrong in ["x", "http://", "ftp://x", "http:///a", "http://a@b/", "http://a b/"] {
            assert_eq!(wrong.parse::<Url>(), Err(UrlError::NotHttp(wrong.into())));
        }
    }
}
