//! The route table: everything the proxy needs to know, as one value with a generation number.
//!
//! The agent always publishes the whole table, never a change to it; so there is nothing to get out of step, and the copy on
//! the proxy's disk is enough to serve from. Which instance gets traffic follows from each target's [`Mode`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{Generation, InstanceId, ReleaseNo, ServiceName};
use crate::listen::{ListenAddress, Peer};
use crate::pin::Pin;
use crate::rules::Rules;
use crate::spec::NginxRoute;
use crate::spread::Spread;
use crate::tls::{Identity, InstanceTls};
use crate::trail::Trail;
use crate::unit::{ByteSize, duration};

/// The whole table.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Table {
    /// Its version. Only grows.
    pub generation: Generation,
    /// What is listened on.
    pub listeners: Vec<Listener>,
    /// What is routed to.
    pub services: Vec<Service>,
    /// The services whose traffic does not come through our proxy. The proxy gets a table without them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fronts: Vec<Front>,
    /// Peers that speak the PROXY protocol, by listener.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introduced: Vec<Introduced>,
}

/// Who begins a connection to a listener with a header of the PROXY protocol: these peers always, others never.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Introduced {
    /// The listener.
    pub listener: ListenAddress,
    /// The peers.
    pub from: Vec<Peer>,
}

/// A service whose traffic an nginx sends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Front {
    /// The service; its targets stand among [`Table::services`].
    pub service: ServiceName,
    /// The nginx.
    pub nginx: NginxRoute,
    /// The instances that take the traffic, whether they are up or down: when none is up, an nginx has nobody else to send to.
    pub serving: Vec<InstanceId>,
}

/// One listening socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Where it listens. Port 0 is not allowed here, and a unix socket only for clients' traffic.
    pub address: ListenAddress,
    /// What arrives there.
    pub traffic: Traffic,
    /// The certificates, if it speaks TLS; empty if it does not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identities: Vec<Identity>,
}

/// What a listener carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Traffic {
    /// HTTP/1.1, routed by host and path.
    Http {
        /// The routes; the most specific wins: an exact host before a wildcard, the longest wildcard
        /// first, and that before any host; then the longest path prefix.
        routes: Vec<Route>,
        /// Peers whose `X-Forwarded-*` headers are believed and extended, as `address/prefix` or `unix:`. From anybody else these
        /// headers are replaced.
        trusted: Vec<Peer>,
    },
    /// HTTP/1.1 of any host and path, to the release that is being deployed, whether it has traffic or not. Nothing that comes
    /// here counts as traffic of the service.
    Preview {
        /// The service.
        service: ServiceName,
        /// The release; none while none is being deployed: then there is nothing to see.
        release: Option<ReleaseNo>,
        /// Peers whose `X-Forwarded-*` headers are believed.
        trusted: Vec<Peer>,
    },
    /// Connections of any protocol, all of them to one service.
    Tcp {
        /// Where they go.
        service: ServiceName,
    },
    /// Questions for the counters, in the text format of Prometheus. No request of a client comes here.
    Metrics {
        /// The services whose counters are told; those of the process always are.
        services: Vec<ServiceName>,
    },
}

/// Which requests go to which service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The host names it serves, lower case, without port; empty for any. `*.example.com` is every name below `example.com`.
    pub hosts: Vec<String>,
    /// The path prefix, beginning with `/`. `/shop` matches `/shop` and `/shop/…`, not `/shopping`.
    pub path: String,
    /// Where they go.
    pub service: ServiceName,
    /// If set, they are not sent there, but answered with the way to the same place by https at this port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub https: Option<u16>,
    /// If set, an answer by TLS tells browsers to remember for so long that there is nothing here without it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "duration::optional")]
    pub hsts: Option<Duration>,
}

/// An address range in CIDR notation: `10.0.0.0/8`, `::1/128`, or a single address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    /// The address whose first bits count.
    pub address: std::net::IpAddr,
    /// How many bits count.
    pub prefix: u8,
}

/// A service as the proxy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// How a target is chosen.
    pub balance: Balance,
    /// Its instances.
    pub targets: Vec<Target>,
    /// If set, new requests wait instead of being sent on.
    pub hold: Option<Hold>,
    /// Waits and sizes.
    pub limits: Limits,
    /// If set, clients are bound to a release while a canary is held. Whom it does not tell apart goes by the weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<Pin>,
    /// A request that carries this secret in `cutover-token` may choose its instance with `cutover-instance`, and its answer
    /// names the instance and release that gave it. This is how the agent looks through the router.
    pub token: Option<String>,
    /// What is done with its requests besides passing them on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Box<Rules>>,
    /// What is noted of its requests.
    #[serde(default, skip_serializing_if = "Trail::is_empty")]
    pub trail: Trail,
    /// How its requests are spread, beyond `balance`.
    #[serde(default, skip_serializing_if = "Spread::is_plain")]
    pub spread: Spread,
}

/// How a target is chosen among those that serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The one with the fewest requests in flight for its weight; ties in turn.
    #[default]
    LeastConnections,
    /// Each in turn, by weight.
    RoundRobin,
    /// The one of two, taken at random by weight, that has fewer requests in flight. Where many proxies send to the same instances, they
    /// do not all find the same one the least loaded.
    PowerOfTwo,
    /// The same one for the same client, by weight, as long as it serves: when one leaves, only its own clients move.
    Hash,
}

/// One instance as the proxy sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Which instance.
    pub instance: InstanceId,
    /// Its own address.
    pub address: SocketAddr,
    /// Whether it gets traffic.
    pub mode: Mode,
    /// What it is spoken to in. A release brings its own, so two targets of a service may differ while one takes the place of the other.
    #[serde(default, skip_serializing_if = "Protocol::is_http1")]
    pub protocol: Protocol,
    /// How it is spoken to by TLS, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<InstanceTls>>,
    /// Its unix socket, absolute, if it listens on one in place of its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

/// What an instance is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, which gRPC needs: in the clear with prior knowledge (RFC 9113, 3.3), or inside TLS if the instance speaks that.
    H2c,
}

impl Protocol {
    /// Whether it is what has always been spoken.
    pub fn is_http1(&self) -> bool {
        *self == Self::Http1
    }
}

impl Table {
    /// Notes what each target is spoken to in.
    pub fn speak(&mut self, protocol: impl Fn(&InstanceId) -> Protocol) {
        for target in self.services.iter_mut().flat_map(|service| &mut service.targets) {
            target.protocol = protocol(&target.instance);
        }
    }

    /// Notes which targets are spoken to by TLS.
    pub fn secure(&mut self, tls: impl Fn(&InstanceId) -> Option<Box<InstanceTls>>) {
        for target in self.services.iter_mut().flat_map(|service| &mut service.targets) {
            target.tls = tls(&target.instance);
        }
    }

    /// Notes which targets listen on a unix socket.
    pub fn plug(&mut self, socket: impl Fn(&InstanceId) -> Option<PathBuf>) {
        for target in self.services.iter_mut().flat_map(|service| &mut service.targets) {
            target.socket = socket(&target.instance);
        }
    }
}

impl Target {
    /// The release it runs.
    pub fn release(&self) -> ReleaseNo {
        self.instance.release
    }

    /// Whether it takes new requests.
    pub fn serves(&self) -> bool {
        matches!(self.mode, Mode::Serving { .. })
    }
}

/// Whether a target gets traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It takes its share of new requests.
    Serving {
        /// Its share, relative to the other serving targets; 1 to 1000.
        weight: u16,
    },
    /// Known, but only a request that names it gets there.
    Registered,
    /// It gets nothing new. What it has may finish; idle connections to it are closed.
    Draining,
}

/// Requests wait up to these limits while no target may take them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// How long one request waits before it is answered with 503.
    #[serde(with = "duration")]
    pub wait: Duration,
    /// How many wait at once; one more is answered with 503.
    pub requests: u32,
}

/// Waits and sizes of one service. A zero duration means no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How long a connection to an instance may take to open.
    #[serde(with = "duration")]
    pub connect: Duration,
    /// How long an instance may take from the end of the request to the head of its answer.
    #[serde(with = "duration")]
    pub answer: Duration,
    /// How long a connection to an instance is kept idle. Below the 5 s after which common servers close theirs.
    #[serde(with = "duration")]
    pub keep_idle: Duration,
    /// Bodies up to this size are read in full before a target is claimed, so that a slow upload holds nobody.
    pub buffer_body: ByteSize,
    /// The largest body that is passed on; 413 beyond.
    pub max_body: ByteSize,
    /// How long a client may pause in the middle of its body; 408 beyond.
    #[serde(with = "duration", skip_serializing_if = "is_body_pause")]
    pub body_pause: Duration,
    /// How long the head of a request may take from its first byte to its last; 408 beyond. Of the services of one listener, the
    /// longest counts.
    #[serde(with = "duration", skip_serializing_if = "is_head")]
    pub head: Duration,
    /// How long a client's connection is kept idle between two requests. Of the services of one listener, the longest counts.
    #[serde(with = "duration", skip_serializing_if = "is_client_idle")]
    pub client_idle: Duration,
}

// What is as always is left out, so that a proxy of an earlier version can read the table.
fn is_body_pause(time: &Duration) -> bool {
    *time == Limits::default().body_pause
}

fn is_head(time: &Duration) -> bool {
    *time == Limits::default().head
}

fn is_client_idle(time: &Duration) -> bool {
    *time == Limits::default().client_idle
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(60),
            keep_idle: Duration::from_secs(4),
            buffer_body: ByteSize(16 << 10),
            max_body: ByteSize(100 << 20),
            body_pause: Duration::from_secs(60),
            head: Duration::from_secs(30),
            client_idle: Duration::from_secs(75),
        }
    }
}

impl From<Network> for String {
    fn from(network: Network) -> String {
        format!("{}/{}", network.address, network.prefix)
    }
}

impl TryFrom<String> for Network {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || format!("{text:?} is not an address range: write for example 10.0.0.0/8 or ::1");
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text.as_str(), None),
        };
        let address: std::net::IpAddr = address.parse().map_err(|_| wrong())?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), |p| p.parse().map_err(|_| wrong()))?;
        if prefix <= bits { Ok(Self { address, prefix }) } else { Err(wrong()) }
    }
}

impl Network {
    /// Whether `peer` lies in this range. An IPv4 address written as IPv6 (`::ffff:10.0.0.1`) counts as IPv4.
    pub fn contains(&self, peer: std::net::IpAddr) -> bool {
        use std::net::IpAddr::{V4, V6};
        match (self.address, peer.to_canonical()) {
            (V4(a), V4(b)) => {
                prefix_of(u128::from(a.to_bits()) << 96, self.prefix)
                    == prefix_of(u128::from(b.to_bits()) << 96, self.prefix)
            }
            (V6(a), V6(b)) => prefix_of(a.to_bits(), self.prefix) == prefix_of(b.to_bits(), self.prefix),
            _ => false,
        }
    }
}

fn prefix_of(bits: u128, prefix: u8) -> u128 {
    if prefix == 0 { 0 } else { bits >> (128 - u32::from(prefix)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_contains_its_addresses() {
        let network = |text: &str| Network::try_from(text.to_owned()).unwrap();
        assert!(network("10.0.0.0/8").contains("10.9.8.7".parse().unwrap()));
        assert!(network("10.0.0.0/8").contains("::ffff:10.9.8.7".parse().unwrap()));
        assert!(!network("10.0.0.0/8").contains("11.0.0.1".parse().unwrap()));
        assert!(network("::1").contains("::1".parse().unwrap()));
        assert!(!network("::1").contains("127.0.0.1".parse().unwrap()));
        assert!(network("0.0.0.0/0").contains("1.2.3.4".parse().unwrap()));
        for text in ["10.0.0.0/33", "10.0.0/8", "x", "::1/129"] {
            assert!(Network::try_from(text.to_owned()).is_err(), "{text} was taken for a network");
        }
    }
}
