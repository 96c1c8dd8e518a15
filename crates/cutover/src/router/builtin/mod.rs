//! cutover's own proxy as the router: a process of its own, spoken to over its socket.
//!
//! The agent starts it, and starts it again when it dies; it never ends it. A proxy that runs already, started by an earlier
//! agent, is taken over as it is. One that was replaced by another process (`cutover proxy upgrade`) is not missed.

mod keeper;
mod look;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use cutover_core::listen::ListenAddress;
use cutover_core::spec::RouteSpec;
use cutover_core::stats::{ServiceStats, Stats};
use cutover_core::table::Table;
use cutover_core::tls::CertificateFrom;
use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};
use cutover_proxy::client::{Client, ClientError, Info};
use cutover_proxy::tls::Pair;
use tokio::sync::{Mutex, mpsc};

use crate::engine::port::{Glance, Return, Router, RouterError};
use crate::runtime::sockets;

/// The proxy process, seen from the agent.
pub struct BuiltinRouter {
    directory: PathBuf,
    executable: PathBuf,
    client: Client,
    /// Requests and streams in hand when it was last asked.
    in_hand: AtomicU64,
    /// Whether a service manager starts it again.
    supervised: AtomicBool,
    returns: Mutex<mpsc::UnboundedReceiver<Return>>,
}

impl BuiltinRouter {
    /// Takes over the proxy of this directory, or starts one, and keeps it running from here on.
    pub async fn start(directory: PathBuf, executable: PathBuf) -> Result<Arc<Self>, Failure> {
        let (to, returns) = mpsc::unbounded_channel();
        let client = Client::new(directory.join("proxy.sock"));
        let (in_hand, returns) = (AtomicU64::new(0), Mutex::new(returns));
        let supervised = AtomicBool::new(false);
        let router = Arc::new(Self { directory, executable, client, in_hand, supervised, returns });
        let process = router.find_or_start().await?;
        tokio::spawn(keeper::keep(Arc::downgrade(&router), process, to));
        Ok(router)
    }

    /// Who the proxy is; `None` if it does not answer.
    pub async fn info(&self) -> Option<Info> {
        let info = self.client.info().await.ok()?;
        self.supervised.store(info.supervised, Ordering::Relaxed);
        Some(info)
    }
}

#[async_trait]
impl Router for BuiltinRouter {
    async fn can_route(&self, route: &RouteSpec) -> Result<(), Failure> {
        let address = match route.proxy().map(|route| &route.listen) {
            Some(ListenAddress::Tcp(address)) => *address,
            Some(ListenAddress::Unix(path)) => {
                return cutover_proxy::unix_socket_is_free(path)
                    .map_err(|error| Failure::new(format!("the proxy {error}")));
            }
            None => return Ok(()),
        };
        let Err(error) = std::net::TcpListener::bind(address) else { return Ok(()) };
        let failure = Failure::because(format!("the proxy could not listen on {address}"), &error);
        Err(match (error.kind(), sockets::holder(address.port())) {
            // Docker's own stand-in for a container that publishes the port.
            (std::io::ErrorKind::AddrInUse, Some(holder)) if holder.starts_with("docker-proxy") => failure.hint(format!(
                "a container publishes this port (`docker ps --filter publish={port}` names it), and only when it lets go of the \
                 port can the proxy have it: listen on another one and let nginx pass to that, or stop the container first",
                port = address.port()
            )),
            (std::io::ErrorKind::AddrInUse, Some(holder)) => failure.hint(format!("{holder} listens there")),
            (std::io::ErrorKind::PermissionDenied, _) => {
                failure.hint("ports below 1024 need an agent that runs as root, or the capability to bind them")
            }
            _ => failure,
        })
    }

    async fn can_serve(&self, route: &RouteSpec) -> Result<(), Failure> {
        let Some(tls) = route.proxy().and_then(|route| route.tls.as_ref()) else { return Ok(()) };
        // One that is ordered may come after the deployment.
        let CertificateFrom::Files { certificate, key } = &tls.from else { return Ok(()) };
        Pair::read(certificate, key)
            .map(drop)
            .map_err(|error| Failure::because("the proxy could not use the certificate", &error))
    }

    async fn notes(&self) -> BTreeMap<ServiceName, Vec<String>> {
        let stats = self.client.stats().await.unwrap_or_default();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Timestamp(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let mut notes: BTreeMap<ServiceName, Vec<String>> = BTreeMap::new();
        for certificate in &stats.certificates {
            notes.entry(certificate.service.clone()).or_default().extend(certificate.trouble(now));
        }
        notes
    }

    async fn publish(&self, table: &Table) -> Result<(), RouterError> {
        self.client.publish(table).await.map_err(told).map(drop)
    }

    async fn stats(&self) -> Result<Stats, RouterError> {
        let stats = self.client.stats().await.map_err(told)?;
        let in_hand = stats.targets.iter().map(|target| target.in_flight + target.streams).sum();
        self.in_hand.store(in_hand, Ordering::Relaxed);
        Ok(stats)
    }

    async fn mark(&self, service: &ServiceName) -> Result<Option<ServiceStats>, RouterError> {
        match self.client.mark(service).await {
            Ok(stats) => Ok(Some(stats)),
            // It does not know the service yet.
            Err(ClientError::Refused(_)) => Ok(None),
            Err(error) => Err(told(error)),
        }
    }

    async fn look(&self, glance: &Glance<'_>) -> Result<Option<InstanceId>, RouterError> {
        look::look(glance).await.map_err(RouterError::Unreachable)
    }

    async fn close_streams(&self, instance: &InstanceId, over: Duration) -> Result<(), RouterError> {
        self.client.close_streams(instance, over).await.map_err(told)
    }

    async fn returned(&self) -> Return {
        match self.returns.lock().await.recv().await {
            Some(gone) => gone,
            None => std::future::pending().await,
        }
    }
}

fn told(error: ClientError) -> RouterError {
    let failure = Failure::because("the proxy did not do as asked", &error);
    match error {
        ClientError::NotReachable { .. } | ClientError::Garbled(_) => RouterError::Unreachable(failure),
        _ => RouterError::Refused(failure),
    }
}
