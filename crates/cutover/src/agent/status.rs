//! Puts the status together: what is known, beside what the proxy and the machine say right now.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cutover_core::listen::ListenAddress;
use cutover_core::machine::{Down, Duty, Instance, ServiceState};
use cutover_core::spec::{ProxyRoute, RouteKind, RouteSpec};
use cutover_core::stats::Stats;
use cutover_core::table::Mode;
use cutover_core::{DeploymentId, InstanceId, ServiceName, Timestamp};
use cutover_proxy::client::Info;

use super::Agent;
use super::api::{AgentStatus, InstanceStatus, ProxyStatus, ServiceStatus, Status};
use crate::store::{Entry, State};

/// How long a look at the files that lead to services may take.
const LONGEST_LOOK: Duration = Duration::from_secs(3);

impl Agent {
    /// Everything at a glance.
    pub async fn status(&self) -> Status {
        let world = self.engine.world();
        let stats = world.router.stats().await.unwrap_or_default();
        let pids = self.pids().await;
        // An nginx may be far away, and not answer.
        let notes = tokio::time::timeout(LONGEST_LOOK, world.router.notes()).await.unwrap_or_default();
        let untold = self.untold().await;
        let now = world.clock.now();
        let states: Vec<ServiceState> = {
            let view = self.engine.ledger().view();
            view.services.values().filter(|state| !state.removed).cloned().collect()
        };
        Status {
            agent: self.agent_status(),
            proxy: self.proxy_status(&stats).await,
            services: states
                .iter()
                .map(|state| ServiceStatus {
                    notes: [&notes, &untold]
                        .into_iter()
                        .filter_map(|of| of.get(&state.name))
                        .flatten()
                        .cloned()
                        .chain(preview(state))
                        .collect(),
                    ..self.service_status(state, &stats, &pids, now)
                })
                .collect(),
        }
    }

    /// Who could not be told of the newest deployment of a service.
    async fn untold(&self) -> BTreeMap<ServiceName, Vec<String>> {
        let newest: Vec<(ServiceName, DeploymentId)> = {
            let view = self.engine.ledger().view();
            let newest = |state: &ServiceState| {
                let running = state.deployment.as_ref().map(|deployment| deployment.id);
                Some((state.name.clone(), running.or(state.last.as_ref().map(|last| last.deployment))?))
            };
            view.services.values().filter_map(newest).collect()
        };
        let mut notes: BTreeMap<ServiceName, Vec<String>> = BTreeMap::new();
        for (service, deployment) in newest {
            let entries = self.journal.notifications(deployment).await.unwrap_or_default();
            let given_up = entries.into_iter().filter(|entry| entry.state == State::GivenUp);
            notes.entry(service).or_default().extend(given_up.map(|entry| note(&entry)));
        }
        notes
    }

    fn agent_status(&self) -> AgentStatus {
        AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: self.started,
            state: self.state.path().to_owned(),
            trouble: self.engine.ledger().view().trouble.clone(),
            memory: resident(std::process::id()),
        }
    }

    async fn proxy_status(&self, stats: &Stats) -> Option<ProxyStatus> {
        let info = self.router.info().await?;
        Some(ProxyStatus {
            pid: info.pid,
            outdated: outdated(&info, self.state.path()),
            version: info.version,
            leaving: info.leaving,
            started: info.started,
            generation: info.generation,
            wanted: self.engine.board().acknowledged(),
            connections: stats.connections,
            memory: resident(info.pid),
        })
    }

    async fn pids(&self) -> BTreeMap<InstanceId, u32> {
        let seen = self.engine.world().runtime.observe().await.unwrap_or_default();
        seen.into_iter().filter_map(|seen| Some((seen.instance, seen.pid?))).collect()
    }

    /// The step that is at work, and whether nothing is left in it but to wait.
    fn at_work(&self, state: &ServiceState) -> Option<String> {
        let waits = "; it is over, and waits for those that it is deployed together with";
        let waits = if self.engine.awaits_others(&state.name) { waits } else { "" };
        Some(state.at_work()? + waits)
    }

    fn socket_of(&self, instance: &InstanceId) -> Option<PathBuf> {
        let release = self.engine.ledger().view().release(&instance.service, instance.release)?;
        release.spec.run.process()?.socket_of(instance)
    }

    fn service_status(
        &self,
        state: &ServiceState,
        stats: &Stats,
        pids: &BTreeMap<InstanceId, u32>,
        now: Timestamp,
    ) -> ServiceStatus {
        let release = {
            let view = self.engine.ledger().view();
            let newest = state.routed.or(state.live).or_else(|| state.releases.keys().next_back().copied());
            newest.and_then(|no| view.release(&state.name, no))
        };
        let counters = stats.service(&state.name);
        ServiceStatus {
            name: state.name.clone(),
            project: release.as_ref().map(|release| release.spec.project.clone()).unwrap_or_default(),
            live: state.live,
            address: release.and_then(|release| release.spec.route.as_ref().map(address)),
            instances: instances(state, stats, pids, |id| self.socket_of(id)),
            deployment: state.deployment.clone(),
            at_work: self.at_work(state),
            progress: self.engine.progress(&state.name),
            lock: state.lock_at(now).cloned(),
            maintenance: state.maintenance.clone().map(without_page),
            last: state.last.clone(),
            served: counters.map_or(0, |c| c.served),
            failed: counters.map_or(0, |c| c.failed),
            notes: Vec::new(),
        }
    }
}

/// Whether the proxy that runs is of another version than this agent, or its file was replaced since it began.
fn outdated(proxy: &Info, state: &Path) -> Option<String> {
    let own = env!("CARGO_PKG_VERSION");
    let why = if proxy.version != own {
        format!("the proxy is version {}, and this agent {own}", proxy.version)
    } else {
        let file = std::fs::read_link(format!("/proc/{}/exe", proxy.pid)).ok()?;
        let file = file.to_str()?.strip_suffix(" (deleted)")?.to_owned();
        format!("the file of the proxy, {file}, was replaced since it began")
    };
    Some(format!("{why}: `cutover --state {} proxy upgrade` replaces it while it runs", state.display()))
}

/// A page may be long, and says nothing to whoever asks how things are.
fn without_page(mut down: Down) -> Down {
    down.settings.page = None;
    down
}

/// Where the release that is being deployed can be looked at, once the proxy knows an instance of it.
fn preview(state: &ServiceState) -> Option<String> {
    let (address, release) = state.previewed()?;
    let known = |(id, found): (&InstanceId, &Instance)| {
        id.release == release && matches!(found.mode(), Some(Mode::Registered | Mode::Serving { .. }))
    };
    let known = state.instances.iter().any(known);
    known.then(|| format!("release {release} can be looked at on http://{address}/"))
}

fn note(entry: &Entry) -> String {
    let Entry { sink, deployment, said, .. } = entry;
    let said = said.as_deref().unwrap_or("nothing came back");
    format!(
        "{sink} could not be notified of deployment {deployment}: {said}; `cutover show {deployment}` tells all of it"
    )
}

fn instances(
    state: &ServiceState,
    stats: &Stats,
    pids: &BTreeMap<InstanceId, u32>,
    socket_of: impl Fn(&InstanceId) -> Option<PathBuf>,
) -> Vec<InstanceStatus> {
    let weight = |mode: Option<Mode>| if let Some(Mode::Serving { weight }) = mode { f64::from(weight) } else { 0.0 };
    let total: f64 = state.instances.values().map(|instance| weight(instance.mode())).sum();
    let present = state.instances.iter().filter(|(_, instance)| instance.duty != Duty::Gone);
    present
        .map(|(id, instance)| {
            let counters = stats.target(id);
            InstanceStatus {
                instance: id.clone(),
                duty: instance.duty,
                down: instance.down.clone(),
                restarts: instance.attempt,
                address: instance.address,
                socket: socket_of(id),
                pid: pids.get(id).copied(),
                share: if total > 0.0 { weight(instance.mode()) / total * 100.0 } else { 0.0 },
                in_flight: counters.map_or(0, |c| c.in_flight),
                streams: counters.map_or(0, |c| c.streams),
                ejected: counters.is_some_and(|c| c.ejected),
            }
        })
        .collect()
}

/// Where a route can be reached from this machine, for people.
pub fn address(route: &RouteSpec) -> String {
    let route = match route {
        RouteSpec::Proxy(route) => route,
        RouteSpec::Nginx(nginx) => {
            return nginx.url.clone().unwrap_or_else(|| format!("nginx ({})", nginx.file.display()));
        }
    };
    let here = |ip: std::net::IpAddr| if ip.is_unspecified() { "127.0.0.1".to_owned() } else { ip.to_string() };
    let ListenAddress::Tcp(listen) = &route.listen else { return by_socket(route) };
    let port = listen.port();
    match &route.kind {
        RouteKind::Tcp => format!("tcp://{}:{port}", here(listen.ip())),
        RouteKind::Http { hosts, path, .. } => {
            let host = hosts.first().cloned().unwrap_or_else(|| here(listen.ip()));
            let (scheme, usual) = if route.tls.is_some() { ("https", 443) } else { ("http", 80) };
            let port = if port == usual { String::new() } else { format!(":{port}") };
            format!("{scheme}://{host}{port}{path}")
        }
    }
}

/// The socket, and what is to be asked for there.
fn by_socket(route: &ProxyRoute) -> String {
    let (socket, scheme) = (&route.listen, if route.tls.is_some() { "https" } else { "http" });
    match &route.kind {
        RouteKind::Http { hosts, path, .. } if !hosts.is_empty() || path != "/" => {
            let host = hosts.first().map_or("localhost", String::as_str);
            format!("{socket} ({scheme}://{host}{path})")
        }
        RouteKind::Http { .. } | RouteKind::Tcp => socket.to_string(),
    }
}

/// Resident memory of a process in bytes; 0 if it cannot be read.
pub(super) fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: Option<u64> = line.and_then(|line| line.trim().trim_end_matches(" kB").trim().parse().ok());
    kib.unwrap_or(0) * 1024
}
