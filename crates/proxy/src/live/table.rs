//! The table that is served, and how the next one takes its place.
//!
//! The order of the steps in [`Live::publish`] is what makes a switch seamless: what becomes available is opened first, then
//! the new table is shown, and only then is closed what is no longer wanted. At no instant is a service without a target that
//! has one both before and after.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};

use cutover_core::listen::{ListenAddress, Peer};
use cutover_core::table::{Limits, Service, Table, Target, Traffic};
use cutover_core::tls::InstanceTls;
use cutover_core::{InstanceId, ReleaseNo, ServiceName};

use super::count::ServiceCounts;
use super::gate::Admits;
use super::service::LiveService;
use super::target::LiveTarget;
use crate::log::Logs;
use crate::route::{Router, Waits};
use crate::span::Spans;
use crate::tls::certificates::InUse;
use crate::tls::door::Door;
use crate::tls::seal::Seal;

/// One table as it is served.
#[derive(Debug)]
pub struct LiveTable {
    /// What was published.
    pub spec: Arc<Table>,
    services: HashMap<ServiceName, Arc<LiveService>>,
    listeners: Vec<LiveListener>,
}

/// One listener as it is served.
#[derive(Debug)]
pub struct LiveListener {
    /// Where it listens.
    pub address: ListenAddress,
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
        trusted: Vec<Peer>,
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
    pub fn waits(&self, address: &ListenAddress) -> Waits {
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
    pub fn listener(&self, address: &ListenAddress) -> Option<&LiveListener> {
        self.listeners.iter().find(|listener| listener.address == *address)
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
    spans: Arc<Spans>,
}

/// The targets of a service, in the order of its table.
type Targets = Vec<Arc<LiveTarget>>;

/// What outlives a table. Services are kept for ever: their counters only grow, and their names are few.
#[derive(Debug, Default)]
struct Kept {
    /// Almost always one for each instance; the one of before beside it while an instance has moved.
    targets: HashMap<InstanceId, Vec<Arc<LiveTarget>>>,
    counts: HashMap<ServiceName, Arc<ServiceCounts>>,
}

impl Live {
    /// An empty table for so many workers.
    pub fn new(workers: usize) -> Self {
        let empty = LiveTable { spec: Arc::default(), services: HashMap::new(), listeners: Vec::new() };
        let (version, current, logs) = (AtomicU64::new(1), Mutex::new(Arc::new(empty)), Arc::new(Logs::new(workers)));
        Self { version, current, kept: Mutex::default(), workers, logs, spans: Arc::new(Spans::new(workers)) }
    }

    /// The spans on their way out.
    pub fn spans(&self) -> &Arc<Spans> {
        &self.spans
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
    pub fn publish(&self, spec: Arc<Table>, secured: &InUse, now: u64) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut modes = HashMap::new();
        let mut open = |target: &Target| {
            let (live, admits) = (kept.target(target, secured), LiveTarget::admits(target.mode));
            live.serves(admits == Admits::All, now);
            if admits == Admits::All {
                live.gate.set(admits);
            }
            modes.insert(live.serial, admits);
            live
        };
        let of = |service: &Service| service.targets.iter().map(&mut open).collect();
        let targets: Vec<Targets> = spec.services.iter().map(of).collect();
        let table = Arc::new(self.join(spec, targets, secured, &mut kept.counts));
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = table;
        self.version.fetch_add(1, SeqCst);
        kept.retain(|target| {
            let mode = modes.get(&target.serial);
            target.gate.set(mode.copied().unwrap_or(Admits::Nothing));
            mode.is_some() || target.busy()
        });
    }

    /// A service of which nothing has changed is taken over as it is: a table of a thousand services differs from the one before in
    /// one of them.
    fn join(
        &self,
        spec: Arc<Table>,
        targets: Vec<Targets>,
        secured: &InUse,
        counts: &mut HashMap<ServiceName, Arc<ServiceCounts>>,
    ) -> LiveTable {
        let (before, mut services) = (self.table(), HashMap::with_capacity(spec.services.len()));
        for (service, targets) in spec.services.iter().zip(targets) {
            let log = service.trail.log.as_ref().map(|log| self.logs.number(log));
            let spans = service.trail.spans.as_ref().map(|spans| self.spans.number(spans));
            let same = before.service(&service.name).filter(|live| live.is(service, log, spans));
            let live = same.cloned().unwrap_or_else(|| {
                let counts = counts.entry(service.name.clone());
                let counts = counts.or_insert_with(|| Arc::new(ServiceCounts::new(self.workers))).clone();
                Arc::new(LiveService::new(service.clone(), counts, targets).noted(log, spans))
            });
            services.insert(service.name.clone(), live);
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
            let door = secured.doors.get(&listener.address).cloned();
            Some(LiveListener { address: listener.address.clone(), traffic, door })
        });
        LiveTable { listeners: listeners.collect(), services, spec: spec.clone() }
    }

    /// All targets that are in the table or not finished.
    pub fn targets(&self) -> Vec<Arc<LiveTarget>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let table = self.table();
        let listed = |target: &LiveTarget| {
            table.service(&target.instance.service).is_some_and(|s| s.targets.iter().any(|t| t.serial == target.serial))
        };
        kept.retain(|target| listed(target) || target.busy());
        kept.targets.values().flatten().cloned().collect()
    }

    /// All services of the table.
    pub fn services(&self) -> Vec<Arc<LiveService>> {
        let table = self.table();
        table.spec.services.iter().filter_map(|service| table.service(&service.name).cloned()).collect()
    }
}

impl Kept {
    fn target(&mut self, target: &Target, secured: &InUse) -> Arc<LiveTarget> {
        let Target { instance, address, protocol, tls, socket, .. } = target;
        let same = |known: &&Arc<LiveTarget>| {
            let seal = known.seal.as_ref().map(|seal| &seal.spec);
            known.address == *address
                && known.protocol == *protocol
                && seal == tls.as_deref()
                && known.socket.as_deref() == socket.as_deref()
        };
        if let Some(known) = self.targets.get(instance).and_then(|known| known.iter().find(same)) {
            return known.clone();
        }
        // Never in the clear, whatever is missing.
        let seal = |tls: &InstanceTls| secured.seals.get(tls).cloned().unwrap_or_else(|| Arc::new(Seal::read(tls)));
        let seal = tls.as_deref().map(seal);
        let new = LiveTarget::new(instance.clone(), *address).speaking(*protocol, seal);
        let new = Arc::new(new.plugged(socket.as_deref()));
        self.targets.entry(instance.clone()).or_default().push(new.clone());
        new
    }

    fn retain(&mut self, stays: impl Fn(&LiveTarget) -> bool) {
        self.targets.retain(|_, targets| {
            targets.retain(|target| stays(target));
            !targets.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(generation: u64, web: &str, api: &str) -> Arc<Table> {
        let service = |name: &str, address: &str| {
            format!(
                r#"{{"name": "{name}", "balance": "round_robin", "hold": null, "limits": {{}}, "token": null, "targets": [
                    {{"instance": "{name}.r1.i1", "address": "{address}", "mode": {{"serving": {{"weight": 1}}}}}}]}}"#
            )
        };
        let services = format!("{}, {}", service("web", web), service("api", api));
        let json = format!(r#"{{"generation": {generation}, "listeners": [], "services": [{services}]}}"#);
        Arc::new(serde_json::from_str(&json).unwrap())
    }

    /// Seen to fail with the spec left out of the comparison, and with nothing taken over.
    #[test]
    fn only_what_has_changed_is_made_anew() {
        let (live, secured) = (Live::new(1), InUse::default());
        let show = |table| {
            live.publish(table, &secured, 1);
            ["web", "api"].map(|name| live.table().service(&ServiceName::new(name).unwrap()).unwrap().clone())
        };
        let [web, api] = show(table(1, "127.0.0.1:1", "127.0.0.1:2"));
        let [same, moved] = show(table(2, "127.0.0.1:1", "127.0.0.1:3"));
        assert!(Arc::ptr_eq(&web, &same) && !Arc::ptr_eq(&api, &moved));
        assert_ne!(api.targets[0].serial, moved.targets[0].serial);
        assert!(!api.targets[0].gate.admits(Admits::All) && moved.targets[0].gate.admits(Admits::All));
        // Nobody is there any more: what was known of it is forgotten, and who comes back is somebody new.
        let gone = Table { generation: cutover_core::Generation(3), ..Table::default() };
        live.publish(Arc::new(gone), &secured, 1);
        assert!(live.targets().is_empty() && !web.targets[0].gate.admits(Admits::All));
        let [back, _] = show(table(4, "127.0.0.1:1", "127.0.0.1:2"));
        assert_ne!(back.targets[0].serial, web.targets[0].serial);
    }
}
