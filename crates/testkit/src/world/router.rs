//! The simulated router: a table in force, its copy on disk, and counters.

use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use cutover::engine::port::{Glance, Return, Router, RouterError};
use cutover_core::histogram::Histogram;
use cutover_core::spec::{ProxyRoute, RouteSpec};
use cutover_core::stats::{ServiceStats, Stats, TargetStats};
use cutover_core::table::{Mode, Table};
use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};

use super::{Call, Inner, Port};

/// The router's state.
#[derive(Debug, Clone, Default)]
pub struct SimRouter {
    /// The table it was last given; in force unless it is gone.
    pub table: Table,
    before: Table,
    /// Whether it has come back with an older table than it had, and got none since.
    pub forgot: Option<Timestamp>,
    gone: Option<Timestamp>,
    pub(super) back_at: Option<Timestamp>,
    returns: Vec<Return>,
}

impl SimRouter {
    /// Whether it answers.
    pub fn is_up(&self) -> bool {
        self.gone.is_none()
    }

    /// What the table says about an instance.
    pub fn mode(&self, instance: &InstanceId) -> Option<Mode> {
        let service = self.table.services.iter().find(|service| service.name == instance.service)?;
        service.targets.iter().find(|target| target.instance == *instance).map(|target| target.mode)
    }

    /// The instances of a service that get traffic.
    pub fn serving(&self, service: &ServiceName) -> Vec<InstanceId> {
        let service = self.table.services.iter().find(|found| found.name == *service);
        let targets = service.into_iter().flat_map(|service| &service.targets);
        targets.filter(|t| t.serves()).map(|t| t.instance.clone()).collect()
    }
}

pub(super) struct SimRouterPort {
    port: Port,
    told: Mutex<usize>,
}

impl SimRouterPort {
    /// A new agent is not told of what happened before it.
    pub(super) fn new(port: Port) -> Self {
        let told = Mutex::new(port.world.lock().router.returns.len());
        Self { port, told }
    }
}

fn unreachable(why: String) -> RouterError {
    RouterError::Unreachable(Failure::new(why))
}

fn nothing() -> String {
    String::new()
}

#[async_trait]
impl Router for SimRouterPort {
    async fn can_route(&self, route: &RouteSpec) -> Result<(), Failure> {
        self.port.call(Call::CanRoute, &|| format!("{route:?}"), Failure::new, |_| Ok(())).await
    }

    async fn publish(&self, table: &Table) -> Result<(), RouterError> {
        let about = || describe(table);
        self.port.call(Call::Publish, &about, unreachable, |inner| inner.publish(table)).await
    }

    async fn stats(&self) -> Result<Stats, RouterError> {
        let read = |inner: &mut Inner| {
            inner.must_be_up()?;
            Ok(inner.stats())
        };
        self.port.call(Call::Stats, &nothing, unreachable, read).await
    }

    async fn mark(&self, service: &ServiceName) -> Result<Option<ServiceStats>, RouterError> {
        let read = |inner: &mut Inner| {
            inner.must_be_up()?;
            Ok(inner.stats().service(service).cloned())
        };
        self.port.call(Call::Mark, &|| service.to_string(), unreachable, read).await
    }

    async fn look(&self, glance: &Glance<'_>) -> Result<Option<InstanceId>, RouterError> {
        let about = || format!("at {:?}", glance.instance.map(ToString::to_string));
        self.port.call(Call::Look, &about, unreachable, |inner| inner.look(glance)).await
    }

    async fn close_streams(&self, instance: &InstanceId, over: Duration) -> Result<(), RouterError> {
        let close = |inner: &mut Inner| {
            inner.must_be_up()?;
            inner.check_close(instance);
            let last = inner.now() + over;
            if let Some(found) = inner.instances.get_mut(instance) {
                found.requests.iter_mut().filter(|r| r.stream).for_each(|r| r.ends = r.ends.min(last));
            }
            Ok(())
        };
        self.port.call(Call::CloseStreams, &|| instance.to_string(), unreachable, close).await
    }

    async fn returned(&self) -> Return {
        let epoch = self.port.epoch;
        let told = *self.told.lock().expect("nobody panics with it");
        let next = |inner: &mut Inner| {
            let lives = inner.epoch == epoch && !inner.crashed;
            inner.router.returns.get(told).copied().filter(|_| lives)
        };
        let returned = self.port.world.until(next).await;
        *self.told.lock().expect("nobody panics with it") += 1;
        returned
    }
}

impl Inner {
    fn must_be_up(&self) -> Result<(), RouterError> {
        if self.router.is_up() { Ok(()) } else { Err(unreachable("the router is gone".to_owned())) }
    }

    fn publish(&mut self, table: &Table) -> Result<(), RouterError> {
        self.must_be_up()?;
        self.check_publish(table);
        if table.generation < self.router.table.generation {
            return Err(RouterError::Refused(Failure::new("a newer table is in force")));
        }
        self.router.before = std::mem::replace(&mut self.router.table, table.clone());
        self.router.forgot = None;
        self.note_who_idles();
        self.traffic();
        Ok(())
    }

    fn note_who_idles(&mut self) {
        let now = self.now();
        for (id, found) in &mut self.instances {
            if matches!(self.router.mode(id), Some(Mode::Serving { .. })) {
                found.idle_since = None;
            } else {
                found.idle_since.get_or_insert(now);
            }
        }
    }

    fn look(&mut self, glance: &Glance<'_>) -> Result<Option<InstanceId>, RouterError> {
        self.must_be_up()?;
        let table = &self.router.table;
        let route = glance.route.proxy().expect("simulated services are behind the proxy");
        let service = table.services.iter().find(|service| {
            let routes = table.listeners.iter().filter(|listener| listener.address == route.listen);
            routes.clone().count() > 0
                && glance.instance.is_none_or(|id| id.service == service.name)
                && table_routes(table, route, &service.name)
        });
        let service = service.ok_or_else(|| unreachable("404 from the router".to_owned()))?;
        let wanted = |id: &InstanceId, mode: Mode| match glance.instance {
            Some(wanted) => wanted == id,
            None => matches!(mode, Mode::Serving { .. }),
        };
        let now = self.now();
        let found: Vec<&InstanceId> =
            service.targets.iter().filter(|t| wanted(&t.instance, t.mode)).map(|t| &t.instance).collect();
        if found.is_empty() {
            return Err(unreachable("503 from the router".to_owned()));
        }
        let id = (*self.seed.pick(&found)).clone();
        let answers = self.instances.get(&id).is_some_and(|found| found.answers(now));
        if answers { Ok(Some(id)) } else { Err(unreachable(format!("502 from the router: {id} does not answer"))) }
    }

    fn stats(&mut self) -> Stats {
        let now = self.now();
        self.finish_requests(now);
        let known = |id: &InstanceId| self.router.mode(id).is_some();
        let targets = self.instances.iter().filter(|(id, found)| known(id) || !found.requests.is_empty());
        let count =
            |found: &super::SimInstance, stream| found.requests.iter().filter(|r| r.stream == stream).count() as u64;
        let targets = targets.map(|(id, found)| TargetStats {
            instance: id.clone(),
            in_flight: count(found, false),
            streams: count(found, true),
            idle: 0,
            served: found.served,
            failed: 0,
            errors: 0,
            latency: None,
            ejected: false,
        });
        Stats {
            started: super::EPOCH,
            generation: self.router.table.generation,
            connections: 0,
            certificates: Vec::new(),
            further: None,
            targets: targets.collect(),
            services: self
                .router
                .table
                .services
                .iter()
                .map(|service| counters(&service.name, self.coverage.served))
                .collect(),
        }
    }

    /// The router dies, and all that goes through it.
    pub(super) fn lose_router(&mut self, time: u64, forgets: bool) {
        if !self.router.is_up() {
            return;
        }
        let now = self.now();
        self.coverage.count(if forgets { "fault: router gone, forgets" } else { "fault: router gone" });
        self.finish_requests(now);
        for found in self.instances.values_mut() {
            self.coverage.excused += found.requests.len() as u64;
            found.requests.clear();
        }
        self.router.gone = Some(now);
        self.router.back_at = Some(now + Duration::from_millis(time));
        if forgets {
            self.router.table = self.router.before.clone();
            self.router.forgot = Some(now + Duration::from_millis(time));
        }
    }

    pub(super) fn return_router(&mut self) {
        self.router.back_at = None;
        if let Some(gone) = self.router.gone.take() {
            let down = self.now().since(gone);
            self.note(format!("the router is back after {down:?}"));
            self.router.returns.push(Return { down, in_hand: 0 });
            self.note_who_idles();
        }
    }
}

fn table_routes(table: &Table, route: &ProxyRoute, service: &ServiceName) -> bool {
    use cutover_core::spec::RouteKind;
    use cutover_core::table::Traffic;
    let wanted = match &route.kind {
        RouteKind::Http { hosts, .. } => hosts.clone(),
        RouteKind::Tcp => Vec::new(),
    };
    table.listeners.iter().filter(|l| l.address == route.listen).any(|listener| match &listener.traffic {
        Traffic::Tcp { service: owner } => owner == service,
        Traffic::Preview { .. } | Traffic::Metrics { .. } => false,
        Traffic::Http { routes, .. } => routes.iter().any(|r| r.hosts == wanted && r.service == *service),
    })
}

fn counters(name: &ServiceName, served: u64) -> ServiceStats {
    ServiceStats {
        name: name.clone(),
        served,
        failed: 0,
        errors: 0,
        retried: 0,
        held: 0,
        longest_gap_us: 0,
        latency: Histogram::default(),
    }
}

fn describe(table: &Table) -> String {
    let targets = table.services.iter().flat_map(|service| &service.targets);
    let targets: Vec<String> = targets.map(|t| format!("{}:{:?}", t.instance, t.mode)).collect();
    format!("generation {} {} services [{}]", table.generation, table.services.len(), targets.join(" "))
}
