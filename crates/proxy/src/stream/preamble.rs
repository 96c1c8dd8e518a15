//! The PROXY protocol (HAProxy's `proxy-protocol.txt`, versions 1 and 2): a connection that comes through a proxy which does not understand what it
//! carries begins with who is behind it.
//!
//! Read only from peers that are named, and from those always: "the receiver MUST NOT try to guess whether the header is present" (2). What
//! cannot be read ends the connection. Extensions (TLVs) are skipped.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use cutover_core::trail::Preamble;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// How a header of version 2 begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 1 is never longer.
const LONGEST_V1: usize = 107;

/// The longest header of version 2 that is read, extensions and all.
const LONGEST_V2: usize = 16 + 4096;

/// How long the header may take.
const LIMIT: Duration = Duration::from_secs(5);

/// The pause before the next look when only a part of it has come. Nearly always all of it comes with the connection.
const PAUSE: Duration = Duration::from_millis(2);

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    /// A whole header of so many bytes, and the client, if it names one.
    Whole(usize, Option<SocketAddr>),
    /// The beginning of one.
    Part,
    /// Something else.
    Other,
}

/// Reads the header, and nothing behind it. None if it says that the peer speaks for itself.
pub async fn read(stream: &mut TcpStream) -> io::Result<Option<SocketAddr>> {
    let reading = async {
        let mut buffer = vec![0; LONGEST_V2];
        loop {
            let count = stream.peek(&mut buffer).await?;
            match see(&buffer[..count]) {
                Seen::Whole(length, client) => {
                    stream.read_exact(&mut buffer[..length]).await?;
                    return Ok(client);
                }
                Seen::Part if count > 0 => tokio::time::sleep(PAUSE).await,
                Seen::Part | Seen::Other => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    };
    tokio::time::timeout(LIMIT, reading).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The header that tells an instance of its client, which came to the address `to`. Where one of them is a unix socket, that it comes from
/// somewhere is all that is said of a client without an address; one with an address came to any address of its family.
pub fn header(version: Preamble, client: Option<SocketAddr>, to: Option<SocketAddr>) -> Vec<u8> {
    let Some(client) = client else { return unknown(version) };
    let anywhere = match client.ip().to_canonical() {
        IpAddr::V4(_) => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let to = to.unwrap_or(SocketAddr::new(anywhere, 0));
    let canonical = |address: SocketAddr| (address.ip().to_canonical(), address.port());
    let ((from, from_port), (to, to_port)) = (canonical(client), canonical(to));
    let ports = [from_port.to_be_bytes(), to_port.to_be_bytes()].concat();
    match (version, from, to) {
        (Preamble::V1, IpAddr::V4(_), IpAddr::V4(_)) => {
            format!("PROXY TCP4 {from} {to} {from_port} {to_port}\r\n").into_bytes()
        }
        (Preamble::V1, IpAddr::V6(_), IpAddr::V6(_)) => {
            format!("PROXY TCP6 {from} {to} {from_port} {to_port}\r\n").into_bytes()
        }
        (Preamble::V2, IpAddr::V4(from), IpAddr::V4(to)) => {
            [&SIGNATURE[..], &[0x21, 0x11, 0, 12], &from.octets(), &to.octets(), &ports].concat()
        }
        (Preamble::V2, IpAddr::V6(from), IpAddr::V6(to)) => {
            [&SIGNATURE[..], &[0x21, 0x21, 0, 36], &from.octets(), &to.octets(), &ports].concat()
        }
        // Of two families: nothing that is true can be said.
        (version, ..) => unknown(version),
    }
}

/// The header that says nothing of a client.
fn unknown(version: Preamble) -> Vec<u8> {
    match version {
        Preamble::V1 => b"PROXY UNKNOWN\r\n".to_vec(),
        Preamble::V2 => [&SIGNATURE[..], &[0x20, 0, 0, 0]].concat(),
    }
}

fn see(bytes: &[u8]) -> Seen {
    let begins = |with: &[u8]| bytes.iter().zip(with).all(|(a, b)| a == b);
    if begins(SIGNATURE) {
        return binary(bytes);
    }
    if !begins(b"PROXY ") {
        return Seen::Other;
    }
    let line = &bytes[..bytes.len().min(LONGEST_V1)];
    match memchr::memmem::find(line, b"\r\n") {
        Some(end) => text(&line[..end]).map_or(Seen::Other, |client| Seen::Whole(end + 2, client)),
        None if bytes.len() >= LONGEST_V1 => Seen::Other,
        None => Seen::Part,
    }
}

/// What must hold of any bytes; see `fuzz`.
#[cfg(any(test, fuzzing))]
pub fn holds_for(bytes: &[u8]) {
    let Seen::Whole(length, client) = see(bytes) else { return };
    assert!(length <= bytes.len());
    assert_eq!(see(&bytes[..length]), Seen::Whole(length, client), "what comes behind it changes it");
    let Some(client) = client.filter(|client| client.ip() == client.ip().to_canonical()) else { return };
    let to = if client.is_ipv6() { "[2001:db8::7]:80" } else { "10.0.0.1:80" };
    for version in [Preamble::V1, Preamble::V2] {
        let written = header(version, Some(client), to.parse().ok());
        assert_eq!(see(&written), Seen::Whole(written.len(), Some(client)));
    }
}

/// Version 1: `PROXY TCP4 client proxy port port`, or `PROXY UNKNOWN` and anything.
fn text(line: &[u8]) -> Option<Option<SocketAddr>> {
    let words: Vec<&str> = std::str::from_utf8(line).ok()?.split(' ').collect();
    let port = |text: &str| -> Option<u16> {
        let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
        text.parse().ok().filter(|_| plain)
    };
    match words.as_slice() {
        ["PROXY", "UNKNOWN", ..] => Some(None),
        ["PROXY", "TCP4", from, to, from_port, to_port] => {
            let _: (Ipv4Addr, u16) = (to.parse().ok()?, port(to_port)?);
            Some(Some(SocketAddr::new(from.parse::<Ipv4Addr>().ok()?.into(), port(from_port)?)))
        }
        ["PROXY", "TCP6", from, to, from_port, to_port] => {
            let _: (Ipv6Addr, u16) = (to.parse().ok()?, port(to_port)?);
            Some(Some(SocketAddr::new(from.parse::<Ipv6Addr>().ok()?.into(), port(from_port)?)))
        }
        _ => None,
    }
}

/// Version 2.
fn binary(bytes: &[u8]) -> Seen {
    let Some((head, rest)) = bytes.split_at_checked(16) else { return Seen::Part };
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if !matches!(head[12], 0x20 | 0x21) || 16 + length > LONGEST_V2 {
        return Seen::Other;
    }
    let Some(body) = rest.get(..length) else { return Seen::Part };
    let port = |at: usize| u16::from_be_bytes([body[at], body[at + 1]]);
    let client = match (head[12], head[13]) {
        // The peer itself, for instance to see whether we live.
        (0x20, _) => None,
        (_, 0x11) if length >= 12 => {
            Some(SocketAddr::new(Ipv4Addr::new(body[0], body[1], body[2], body[3]).into(), port(8)))
        }
        (_, 0x21) if length >= 36 => {
            let octets: [u8; 16] = std::array::from_fn(|i| body[i]);
            Some(SocketAddr::new(Ipv6Addr::from(octets).into(), port(32)))
        }
        (_, 0x11 | 0x21) => return Seen::Other,
        // Of a family that has no addresses for us: the header is skipped (2.2).
        _ => None,
    };
    Seen::Whole(16 + length, client)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_header_is_read_in_one_way_only() {
        let client = |text: &str| Some(text.parse::<SocketAddr>().unwrap());
        let good = [
            ("PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\nGET /", 39, client("192.0.2.1:4711")),
            ("PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", 36, client("[2001:db8::1]:65535")),
            ("PROXY UNKNOWN\r\n", 15, None),
            ("PROXY UNKNOWN ffff:f...f 1 2\r\n", 30, None),
        ];
        for (bytes, length, client) in good {
            assert_eq!(see(bytes.as_bytes()), Seen::Whole(length, client), "{bytes}");
        }
        let bad = [
            "GET / HTTP/1.1\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 4711\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 04711 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 +711 80\r\n",
            "PROXY TCP4 192.0.2.1 10.0.0.1 70000 80\r\n",
            "PROXY TCP4 ::1 10.0.0.1 1 80\r\n",
            "PROXY TCP4  192.0.2.1 10.0.0.1 1 80\r\n",
            "PROXY TCP5 192.0.2.1 10.0.0.1 1 80\r\n",
            "PROXY  UNKNOWN\r\n",
            "\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c",
            "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd",
        ];
        for bytes in bad {
            assert_eq!(see(bytes.as_bytes()), Seen::Other, "{bytes:?}");
        }
        assert_eq!(see(format!("PROXY UNKNOWN {}", "x".repeat(100)).as_bytes()), Seen::Other);
    }

    /// Seen to fail with a client without an address told as one of 0.0.0.0.
    #[test]
    fn what_is_not_known_of_who_comes_by_a_socket_is_not_said() {
        let client: Option<SocketAddr> = "192.0.2.1:4711".parse().ok();
        for version in [Preamble::V1, Preamble::V2] {
            let (nobody, somebody) = (header(version, None, None), header(version, client, None));
            assert_eq!(see(&nobody), Seen::Whole(nobody.len(), None));
            assert_eq!(see(&somebody), Seen::Whole(somebody.len(), client));
        }
        assert_eq!(header(Preamble::V1, client, None), b"PROXY TCP4 192.0.2.1 0.0.0.0 4711 0\r\n");
    }

    proptest! {
        /// Seen to fail with the ports exchanged, and with the length counted from the beginning.
        #[test]
        fn what_is_written_is_read_however_it_is_cut(v1: bool, v6: bool, ip in any::<[u8; 16]>(), port: u16, more in ".{0,9}") {
            let address = |ip: [u8; 16], port| match v6 {
                true => SocketAddr::new(Ipv6Addr::from(ip).into(), port),
                false => SocketAddr::new(Ipv4Addr::new(ip[0], ip[1], ip[2], ip[3]).into(), port),
            };
            let client = address(ip, port);
            // An IPv4 address that is written as IPv6 counts as what it is.
            prop_assume!(!v6 || client.ip() == client.ip().to_canonical());
            let to = if v6 { "[2001:db8::7]:80" } else { "10.0.0.1:80" }.parse().ok();
            let header = header(if v1 { Preamble::V1 } else { Preamble::V2 }, Some(client), to);
            for cut in 1..header.len() {
                prop_assert_eq!(see(&header[..cut]), Seen::Part, "cut at {}", cut);
            }
            let bytes = [header.as_slice(), more.as_bytes()].concat();
            prop_assert_eq!(see(&bytes), Seen::Whole(header.len(), Some(client)));
        }

        #[test]
        fn anything_may_come(bytes in proptest::collection::vec(any::<u8>(), 0..80), signed: bool) {
            holds_for(&if signed { [&SIGNATURE[..], &bytes].concat() } else { bytes });
        }
    }
}
