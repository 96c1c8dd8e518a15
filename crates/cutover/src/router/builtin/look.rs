//! Looks through the proxy, as a client would: on its public address, by the service's own route.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use cutover_core::spec::RouteKind;
use cutover_core::{Failure, InstanceId};
use http_body_util::Empty;
use hyper::Request;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::engine::port::Glance;

/// How long one look may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Makes the request. An answer that names no instance is the proxy's own: nobody could take it.
pub(super) async fn look(glance: &Glance<'_>) -> Result<Option<InstanceId>, Failure> {
    let Some(route) = glance.route.proxy() else { return Ok(None) };
    let RouteKind::Http { hosts, path, more } = &route.kind else { return Ok(None) };
    let address = reachable(route.listen);
    // Any name below a wildcard will do.
    let host = hosts.first().map_or_else(|| address.to_string(), |host| host.replacen('*', "cutover", 1));
    let is_ours = std::iter::once(path).chain(more).any(|path| glance.path.starts_with(path.as_str()));
    let path = if is_ours { glance.path } else { path };
    let summary = || format!("a request through the proxy ({host}{path} at {address}) was not answered as it should");
    let asked = tokio::time::timeout(PATIENCE, ask(glance, address, &host, path)).await;
    match asked {
        Ok(Ok(Some(instance))) => Ok(Some(instance)),
        Ok(Ok(None)) => Err(Failure::new(format!("{}: no instance answered", summary()))),
        Ok(Err(error)) => Err(Failure::because(summary(), error.as_ref())),
        Err(_) => Err(Failure::new(format!("{}: nothing came within 5s", summary()))),
    }
}

async fn ask(
    glance: &Glance<'_>,
    address: SocketAddr,
    host: &str,
    path: &str,
) -> Result<Option<InstanceId>, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::get(path).header("host", host).header("cutover-token", glance.token);
    if let Some(instance) = glance.instance {
        request = request.header("cutover-instance", instance.to_string());
    }
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    driver.abort();
    let named = answer.headers().get("cutover-instance").and_then(|name| name.to_str().ok());
    Ok(named.and_then(|name| name.parse().ok()))
}

/// An address that listens everywhere is reached here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}
