//! The table that is served, and how the next one takes its place.
//!
//! The order of the steps in [`Live::publish`] is what makes a switch seamless: what becomes available is opened first, then
//! the new table is shown, and only then is closed what is no longer wanted. At no instant is a service without a target that
//! has one both before and after.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use cutover_core::table::{Limits, Network, Table, Traffic};
use cutover_core::{InstanceId, ReleaseNo, ServiceName};

use super::count::ServiceCounts;
use super::gate::Admits;
use super::service::LiveService;
use super::target::LiveTarget;
use crate::log::Logs;
use crate::route::{Router, Waits};
use crate::tls::certificates::Doors;
use crate::tls::door::Door;

/// One table as it is served.
#[derive(Debug)]
pub struct LiveTable {
    /// What was published.
    pub spec: Table,
    services: HashMap<ServiceName, Arc<LiveService>>,
    listeners: Vec<LiveListener>,
}

/// One listener as it is served.
#[derive(Debug)]
pub struct LiveListener {
    /// Where it listens.
    pub address: SocketAddr,
    /// What arrives there.
    pub traffic: LiveTraffic,
    /// Its TLS, if it speaks it.
    pub door: Option<Arc<Door>>,
}

/// What arrives at a listener, joined with where it goes.
#[derive(Debug)]
pub enum LiveTraffic {
    /// HTTP, by host and path.
    Http(Router),
    /// HTTP, to what is being deployed.
    Preview {
        /// The service.
        service: Arc<LiveService>,
        /// The release, if there is one to look at.
        release: Option<ReleaseNo>,
        /// Peers whose forwarding fields are believed.
        trusted: Vec<Network>,
    },
    /// Connections, all to one service.
    Tcp(Arc<LiveService>),
}

impl LiveTable {
    /// The service of this name.
    pub fn service(&self, name: &ServiceName) -> Option<&Arc<LiveService>> {
        self.services.get(name)
    }

    /// How long clients of a listener may take for a head, and be idle: the longest of its services.
    pub fn waits(&self, address: SocketAddr) -> Waits {
        let of = |services: &mut dyn Iterator<Item = &Arc<LiveService>>| {
            let waits = services.map(|service| Waits::of(service.limits()));
            waits.reduce(Waits::longer).unwrap_or_else(|| Waits::of(&Limits::default()))
        };
        match self.listener(address).map(|listener| &listener.traffic) {
            Some(LiveTraffic::Http(router)) => router.waits.unwrap_or_else(|| of(&mut std::iter::empty())),
            Some(LiveTraffic::Preview { service, .. } | LiveTraffic::Tcp(service)) => of(&mut std::iter::once(service)),
            None => of(&mut std::iter::empty()),
        }
    }

    /// The listener at this address.
    #[inline]
    pub fn listener(&self, address: SocketAddr) -> Option<&LiveListener> {
        self.listeners.iter().find(|listener| listener.address == address)
    }
}

/// The served table, shared by all workers.
#[derive(Debug)]
pub struct Live {
    version: AtomicU64,
    current: Mutex<Arc<LiveTable>>,
    kept: Mutex<Kept>,
    workers: usize,
    logs: Arc<Logs>,
}

/// What outlives a table. Services are kept for ever: their counters only grow, and their names are few.
#[derive(Debug, Default)]
struct Kept {
    targets: Vec<Arc<LiveTarget>>,
    counts: HashMap<ServiceName, Arc<ServiceCounts>>,
}

impl Live {
    /// An empty table for so many workers.
    pub fn new(workers: usize) -> Self {
        let empty = LiveTable { spec: Table::default(), services: HashMap::new(), listeners: Vec::new() };
        let (version, current, logs) = (AtomicU64::new(1), Mutex::new(Arc::new(empty)), Arc::new(Logs::new(workers)));
        Self { version, current, kept: Mutex::default(), workers, logs }
    }

    /// The access logs.
    pub fn logs(&self) -> &Arc<Logs> {
        &self.logs
    }

    /// Changes whenever the table does. A worker compares it with what it saw last.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(SeqCst)
    }

    /// The table that is served.
    pub fn table(&self) -> Arc<LiveTable> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves another table, which was checked before, at a time in milliseconds. Workers see it at their next request.
    pub fn publish(&self, spec: Table, doors: &Doors, now: u64) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let modes: Vec<(Arc<LiveTarget>, Admits)> = spec
            .services
            .iter()
            .flat_map(|service| &service.targets)
            .map(|target| (kept.target(&target.instance, target.address), LiveTarget::admits(target.mode)))
            .collect();
        modes.iter().for_each(|(target, admits)| target.serves(*admits == Admits::All, now));
        for (target, admits) in modes.iter().filter(|(_, admits)| *admits == Admits::All) {
            target.gate.set(*admits);
        }
        let table = Arc::new(kept.join(spec, doors, self.workers, &self.logs));
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = table;
        self.version.fetch_add(1, SeqCst);
        let mode = |target: &Arc<LiveTarget>| modes.iter().find(|(t, _)| t.serial == target.serial).map(|m| m.1);
        for target in &kept.targets {
            target.gate.set(mode(target).unwrap_or(Admits::Nothing));
        }
        kept.targets.retain(|target| mode(target).is_some() || target.busy());
    }

    /// All targets that are in the table or not finished.
    pub fn targets(&self) -> Vec<Arc<LiveTarget>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let table = self.table();
        let listed = |target: &LiveTarget| {
            table.service(&target.instance.service).is_some_and(|s| s.targets.iter().any(|t| t.serial == target.serial))
        };
        kept.targets.retain(|target| listed(target) || target.busy());
        kept.targets.clone()
    }

    /// All services of the table.
    pub fn services(&self) -> Vec<Arc<LiveService>> {
        let table = self.table();
        table.spec.services.iter().filter_map(|service| table.service(&service.name).cloned()).collect()
    }
}

impl Kept {
    fn target(&mut self, instance: &InstanceId, address: SocketAddr) -> Arc<LiveTarget> {
        let same = |target: &&Arc<LiveTarget>| target.instance == *instance && target.address == address;
        if let Some(known) = self.targets.iter().find(same) {
            return known.clone();
        }
        let new = Arc::new(LiveTarget::new(instance.clone(), address));
        self.targets.push(new.clone());
        new
    }

    fn join(&mut self, spec: Table, doors: &Doors, workers: usize, logs: &Logs) -> LiveTable {
        let mut services = HashMap::new();
        for service in &spec.services {
            let counts = self.counts.entry(service.name.clone());
            let counts = counts.or_insert_with(|| Arc::new(ServiceCounts::new(workers))).clone();
            let targets = service.targets.iter().map(|t| self.target(&t.instance, t.address)).collect();
            let log = service.trail.log.as_ref().map(|log| logs.number(log));
            let live = LiveService::new(service.clone(), counts, targets).logged(log);
            services.insert(service.name.clone(), Arc::new(live));
        }
        let listeners = spec.listeners.iter().filter_map(|listener| {
            let traffic = match &listener.traffic {
                // The control side answers there.
                Traffic::Metrics { .. } => return None,
                Traffic::Http { routes, trusted } => LiveTraffic::Http(Router::new(routes, trusted, &services)),
                Traffic::Preview { service, release, trusted } => LiveTraffic::Preview {
                    service: services.get(service)?.clone(),
                    release: *release,
                    trusted: trusted.clone(),
                },
                Traffic::Tcp { service } => LiveTraffic::Tcp(services.get(service)?.clone()),
            };
            let door = doors.get(&listener.address).cloned();
            Some(LiveListener { address: listener.address, traffic, door })
        });
        LiveTable { listeners: listeners.collect(), services, spec: spec.clone() }
    }
}
