//! Which traffic a service gets.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::NginxRoute;
use crate::listen::{ListenAddress, Peer};
use crate::rules::Rules;
use crate::spread::Spread;
use crate::table::{Balance, Limits, Protocol};
use crate::tls::{InstanceTls, TlsSpec};
use crate::trail::Trail;

/// Who sends traffic to a service, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "there is one for each service")]
pub enum RouteSpec {
    /// Our own proxy.
    Proxy(ProxyRoute),
    /// An nginx that is there already.
    Nginx(Box<NginxRoute>),
}

/// Where our proxy listens for a service, and what it takes there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyRoute {
    /// The listening address, or a unix socket. Several HTTP services may share one.
    pub listen: ListenAddress,
    /// HTTP or any protocol.
    pub kind: RouteKind,
    /// How an instance is chosen.
    pub balance: Balance,
    /// Peers whose forwarding headers are believed; HTTP only. Belongs to the listener: services that share one must agree.
    pub trusted: Vec<Peer>,
    /// Waits and sizes.
    pub limits: Limits,
    /// Another address, where a release can be looked at while it is being deployed; HTTP only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<SocketAddr>,
    /// TLS at the listening address; the preview has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Box<TlsSpec>>,
    /// What is done with the requests besides passing them on; HTTP only.
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub rules: Box<Rules>,
    /// Peers that begin each connection with a header of the PROXY protocol. Belongs to the listener, like `trusted`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub introduced: Vec<Peer>,
    /// Where its counters can be read. Services may share the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<SocketAddr>,
    /// What is noted of its requests.
    #[serde(default, skip_serializing_if = "Trail::is_empty")]
    pub trail: Trail,
    /// How its requests are spread, beyond `balance`.
    #[serde(default, skip_serializing_if = "Spread::is_plain")]
    pub spread: Spread,
    /// What the instances are spoken to in; HTTP only.
    #[serde(default, skip_serializing_if = "Protocol::is_http1")]
    pub protocol: Protocol,
    /// How the instances are spoken to by TLS, if they are; HTTP only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_tls: Option<Box<InstanceTls>>,
}

/// What a route carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteKind {
    /// HTTP, by host and path.
    Http {
        /// Host names, lower case, also wildcards such as `*.example.com`; empty for any.
        hosts: Vec<String>,
        /// Path prefix, beginning with `/`.
        path: String,
        /// More of them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        more: Vec<String>,
    },
    /// Any protocol, by connection.
    Tcp,
}

impl RouteSpec {
    /// The route of our own proxy, if it is one.
    pub fn proxy(&self) -> Option<&ProxyRoute> {
        match self {
            Self::Proxy(route) => Some(route),
            Self::Nginx(_) => None,
        }
    }

    /// Whether whoever sends the traffic knows how it was answered.
    pub fn counts_answers(&self) -> bool {
        self.nginx().is_none_or(|route| route.access_log.is_some())
    }

    /// The route of an nginx, if it is one.
    pub fn nginx(&self) -> Option<&NginxRoute> {
        match self {
            Self::Proxy(_) => None,
            Self::Nginx(route) => Some(route),
        }
    }
}
