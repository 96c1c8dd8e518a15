//! Where the proxy listens for a service: an address, or a unix socket; and who stands in front of it there.

use std::net::{Ipv4Addr, SocketAddr};

use cutover_core::listen::{ListenAddress, NoListenAddress, Peer, UNIX};
use cutover_core::spec::ProxyRoute;
use cutover_core::table::Network;

use crate::config::reader::{Located, Reader};
use crate::config::tree::Value;

/// Reads `listen`.
pub(super) fn listen(reader: &Reader) -> Option<ListenAddress> {
    let node = reader.node("listen")?;
    let Value::Text(text) = &node.value else { return address(reader, "listen").map(ListenAddress::from) };
    if !text.starts_with(UNIX) {
        return address(reader, "listen").map(ListenAddress::from);
    }
    match text.parse::<ListenAddress>() {
        Ok(socket) => {
            if let Some(folder) = socket.path().and_then(|path| path.parent()).filter(|folder| !folder.is_dir()) {
                reader
                    .odd_value("listen", node.at, format!("there is no folder {} yet", folder.display()))
                    .hint("it must be there before the proxy listens, and the proxy must be able to write there");
            }
            Some(socket)
        }
        Err(wrong) => {
            let hint = match &wrong {
                NoListenAddress::TooLong { .. } => "choose a folder with a shorter path".to_owned(),
                NoListenAddress::Relative(path) if !path.is_empty() => format!("write \"{UNIX}/…/{path}\""),
                _ => format!("write for example \"{UNIX}/run/shop/web.sock\""),
            };
            reader.wrong_value("listen", node.at, wrong).hint(hint);
            None
        }
    }
}

/// Reads a key that takes an address and nothing else.
pub(super) fn address(reader: &Reader, key: &str) -> Option<SocketAddr> {
    let node = reader.node(key)?;
    let everywhere = |port: u16| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    let address = match &node.value {
        Value::Integer(port) => Ok(u16::try_from(*port).map_or(everywhere(0), everywhere)),
        Value::Text(text) => match text.strip_prefix(':') {
            Some(port) => {
                port.parse::<u32>().map(|port| u16::try_from(port).map_or(everywhere(0), everywhere)).map_err(|_| text)
            }
            None => text.parse().map_err(|_| text),
        },
        _ => {
            reader.wrong(key, node);
            return None;
        }
    };
    match address {
        Ok(address) if address.port() == 0 => {
            let message = format!("expected a port from 1 to 65535, found {}", node.value.described());
            reader.wrong_value(key, node.at, message).hint_if(None);
            None
        }
        Ok(address) => Some(address),
        Err(text) if text.starts_with(UNIX) => {
            reader
                .wrong_value(key, node.at, "is looked at from elsewhere, and takes no unix socket")
                .hint("write an address such as \"127.0.0.1:8101\"; only listen may be a unix socket");
            None
        }
        Err(text) => {
            reader.wrong(key, node).hint_if(hint(text));
            None
        }
    }
}

fn hint(text: &str) -> Option<String> {
    if text.parse::<u16>().is_ok() {
        return Some(format!("write \":{text}\""));
    }
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Some(format!("the port is missing: write \"{}\"", SocketAddr::new(address, 80)));
    }
    if text.starts_with('/') {
        return Some(format!("a unix socket is written \"{UNIX}{text}\""));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return Some(format!("write \"127.0.0.1:{port}\""));
    }
    let (_, port) = text.rsplit_once(':')?;
    port.parse::<u16>()
        .ok()
        .map(|port| format!("a name does not say where to listen: write \":{port}\", and the name under hosts"))
}

/// A list of addresses and ranges.
pub(super) fn networks(reader: &Reader, key: &str) -> Vec<Network> {
    ranges(reader, key, |text| Network::try_from(text).ok())
}

/// A list of addresses and ranges, and whoever comes by a unix socket.
pub(super) fn peers(reader: &Reader, key: &str) -> Vec<Peer> {
    ranges(reader, key, |text| Peer::try_from(text).ok())
}

fn ranges<T>(reader: &Reader, key: &str, read: impl Fn(String) -> Option<T>) -> Vec<T> {
    let ranges = reader.texts(key).map(|ranges| ranges.value).unwrap_or_default();
    let read = |range: &Located<&str>| {
        let found = read(range.value.to_owned());
        if found.is_none() {
            reader
                .wrong_value(key, range.at, format_args!("{:?} is not an address range", range.value))
                .hint("write for example \"10.0.0.0/8\" or \"::1\"");
        }
        found
    };
    ranges.iter().filter_map(read).collect()
}

/// Says what does not go together with where a service listens.
pub(super) fn check(reader: &Reader, route: &ProxyRoute) {
    if route.listen.path().is_some() {
        at_socket(reader, route);
        return;
    }
    for (key, peers) in [("trusted", &route.trusted), ("proxy_from", &route.introduced)] {
        if peers.contains(&Peer::Unix) {
            let message = format!("{UNIX:?} is whoever comes by a unix socket, and the service listens on an address");
            reader.wrong_value(key, reader.place_of(key), message).hint("write addresses, or listen on a unix socket");
        }
    }
}

/// Whoever comes by a unix socket has no address, unless somebody in front is believed who says more.
fn at_socket(reader: &Reader, route: &ProxyRoute) {
    let (trusted, introduced) = (&route.trusted, &route.introduced);
    let nobody = |key: &str| {
        reader
            .wrong_value(key, reader.place_of(key), "names nobody: whoever comes by a unix socket has no address")
            .hint(format!("write {key} = [{UNIX:?}]; the rights of its folder say who that can be"));
    };
    if introduced.iter().any(|peer| *peer != Peer::Unix) {
        nobody("proxy_from");
    }
    // The preview has an address, and those named here may stand in front of that.
    let has_meaning = trusted.is_empty() || !introduced.is_empty() || route.preview.is_some();
    if !has_meaning && !trusted.contains(&Peer::Unix) {
        nobody("trusted");
    }
    if !introduced.is_empty() || trusted.contains(&Peer::Unix) {
        return;
    }
    for (section, key) in [("access", "allow"), ("access", "deny"), ("maintenance", "allow")] {
        let rules = reader.section(section);
        if rules.has(key) {
            rules
                .wrong_value(key, rules.place_of(key), "asks for addresses, and who comes by a unix socket has none")
                .hint(format!("let whoever stands in front name its clients, and believe it: trusted = [{UNIX:?}]"));
        }
    }
}
