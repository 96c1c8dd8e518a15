//! An nginx that is there already, as the router of a service: on this host, in a container, or on another host.
//!
//! Each service has one file (or the `server` lines of one upstream), and the file is a function of who is to serve: nothing is
//! written, and nothing reloaded, unless that changes. `render` makes the content, `place` reaches the machine, `switch` brings
//! both together and waits until nginx has acknowledged, `count` tells what is still in hand.
//!
//! What proves that a new state is in force: the worker processes always; with a `url`, also an answer through nginx, which for
//! files of ours names the state. See docs/nginx.md.
//!
//! When a service gets another route, its old file goes on being kept true, until the file or the service is removed: whoever
//! reads it must never find instances that are gone.
//!
//! Deliberately absent: a change of anything in nginx's configuration but that file, starting or stopping nginx, and its
//! certificates.

mod count;
pub mod dump;
mod front;
mod log;
pub mod place;
mod preflight;
mod probe;
pub mod program;
mod record;
pub mod render;
mod switch;
pub mod syntax;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use cutover_core::spec::{NginxRoute, NginxShape};
use cutover_core::stats::TargetStats;
use cutover_core::table::{Service, Table};
use cutover_core::{Failure, InstanceId, ServiceName};

use crate::engine::port::{Glance, RouterError, Runtime};
use front::{Front, serving};
use probe::{Said, ask, first_named};
use record::{Records, digest};

/// All nginxes that send traffic to services.
pub struct Nginx {
    records: Records,
    runtime: Arc<dyn Runtime>,
    fronts: Mutex<Vec<Arc<Front>>>,
    /// The table that was last to be put in force; `None` before the first.
    table: Mutex<Option<Table>>,
}

impl Nginx {
    /// Remembers things in this folder.
    pub fn new(folder: PathBuf, runtime: Arc<dyn Runtime>) -> Self {
        let records = Records::new(folder);
        let known = records.all();
        let fronts = known.iter().map(|record| Arc::new(Front::new(&record.service, &record.route, &records)));
        Self { fronts: Mutex::new(fronts.collect()), records, runtime, table: Mutex::new(None) }
    }

    /// Takes note of a table that is about to be put in force.
    pub fn expect(&self, table: &Table) {
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = Some(table.clone());
    }

    /// Whether a switch could be made by this route.
    pub async fn can_route(&self, route: &NginxRoute) -> Result<(), Failure> {
        let nobody = ServiceName::new("preflight").map_err(|error| Failure::because("no name", &error))?;
        Front::new(&nobody, route, &self.records).check().await?;
        if let Some(front) = self.known(route) {
            front.place.expect_turn().await;
        }
        Ok(())
    }

    /// Puts in force what a table says about one service.
    pub async fn publish(&self, name: &ServiceName, table: &Table) -> Result<(), RouterError> {
        let Some(service) = table.services.iter().find(|service| service.name == *name) else { return Ok(()) };
        let wanted = table.fronts.iter().find(|front| front.service == *name);
        let current = wanted.map(|wanted| (wanted, self.front(name, &wanted.nginx)));
        if let Some((wanted, front)) = &current {
            let asked = front.wanted(&serving(wanted), service);
            front.publish(&asked, service.token.as_deref()).await?;
        }
        for front in self.fronts_of(name) {
            if current.as_ref().is_none_or(|(_, current)| !Arc::ptr_eq(current, &front)) {
                self.keep_true(&front, service).await?;
            }
        }
        Ok(())
    }

    /// A file by which the service was reached before, and perhaps still is.
    async fn keep_true(&self, front: &Arc<Front>, service: &Service) -> Result<(), RouterError> {
        let record = self.records.of(&front.service, &front.route);
        let there = front.read(&front.route.file).await.map_err(RouterError::Unreachable)?;
        let is_ours = |now: &Vec<u8>| match &front.route.shape {
            NginxShape::Upstream { .. } | NginxShape::Variable { .. } => render::is_of(now, &front.service),
            NginxShape::Site { .. } => record.owed || record.acknowledged == Some(digest(now)),
            NginxShape::Down { .. } => true,
        };
        if !there.as_ref().is_some_and(is_ours) {
            // It was removed, or is somebody else's by now.
            tracing::info!("{} does not lead to {} any more", front.title(), front.service);
            self.records.forget(&record);
            let mut fronts = self.fronts.lock().unwrap_or_else(PoisonError::into_inner);
            fronts.retain(|known| !Arc::ptr_eq(known, front));
            return Ok(());
        }
        let asked = front.wanted(&BTreeSet::new(), service);
        front.publish(&asked, service.token.as_deref()).await.map_err(|error| with_way_out(error, front))
    }

    /// The counters of every instance that an nginx may send requests to. An error before the first table of this agent: until
    /// then nobody knows whose they are.
    pub async fn count(&self) -> Result<Vec<TargetStats>, Failure> {
        if self.fronts.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(Vec::new());
        }
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let table = table.ok_or_else(|| Failure::new("nginx was not yet asked what it does"))?;
        let mut counted: BTreeMap<InstanceId, TargetStats> = BTreeMap::new();
        for service in &table.services {
            for front in self.fronts_of(&service.name) {
                for target in front.count(&service.targets, self.runtime.as_ref()).await {
                    let known = counted.entry(target.instance.clone()).or_insert_with(|| target.clone());
                    known.in_flight = known.in_flight.max(target.in_flight);
                    known.streams = known.streams.max(target.streams);
                    known.served = known.served.max(target.served);
                    known.errors = known.errors.max(target.errors);
                }
            }
        }
        Ok(counted.into_values().collect())
    }

    /// Who answers through nginx, as far as nginx tells.
    pub async fn look(&self, route: &NginxRoute, glance: &Glance<'_>) -> Result<Option<InstanceId>, RouterError> {
        if glance.instance.is_some() {
            // There is no way through nginx to one that gets no traffic.
            return Ok(None);
        }
        let front = self.known(route);
        let Some((at, secret)) = front.and_then(|front| front.question(Some(glance.token))) else { return Ok(None) };
        match ask(&at, &secret).await {
            Said::State(state) => Ok(first_named(&state)),
            Said::Status(_) => Ok(None),
            Said::Nothing(why) => {
                let url = route.url.as_deref().unwrap_or_default();
                Err(RouterError::Unreachable(Failure::new(format!("{url} does not answer: {why}"))))
            }
        }
    }

    /// What a person should know about the files of a service: that one was edited, removed, or is not in force yet.
    pub async fn notes(&self) -> BTreeMap<ServiceName, Vec<String>> {
        let mut notes: BTreeMap<ServiceName, Vec<String>> = BTreeMap::new();
        let fronts = self.fronts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for front in fronts {
            if let Some(note) = self.note(&front).await {
                notes.entry(front.service.clone()).or_default().push(note);
            }
        }
        notes
    }

    async fn note(&self, front: &Front) -> Option<String> {
        let record = self.records.of(&front.service, &front.route);
        let acknowledged = record.acknowledged?;
        if record.owed {
            return Some(format!("{} was written, and nginx has not acknowledged it yet", front.title()));
        }
        match front.read(&front.route.file).await {
            Err(failure) => Some(failure.summary),
            Ok(None) => Some(format!("{} was removed; the next change of who serves writes it again", front.title())),
            Ok(Some(now)) if digest(&now) == acknowledged => None,
            // The user's own file may change as it likes; who is `down` in it is put right at the next change.
            Ok(Some(_)) if matches!(front.route.shape, NginxShape::Down { .. }) => None,
            Ok(Some(_)) => Some(format!(
                "{} was edited since cutover wrote it; the next change of who serves overwrites it and keeps the edited \
                 content",
                front.title()
            )),
        }
    }

    fn fronts_of(&self, service: &ServiceName) -> Vec<Arc<Front>> {
        let fronts = self.fronts.lock().unwrap_or_else(PoisonError::into_inner);
        fronts.iter().filter(|front| front.service == *service).cloned().collect()
    }

    fn known(&self, route: &NginxRoute) -> Option<Arc<Front>> {
        let fronts = self.fronts.lock().unwrap_or_else(PoisonError::into_inner);
        fronts.iter().find(|front| front.route == *route).cloned()
    }

    /// The front of a route; one for the same file by another shape or address takes the place of the old one.
    fn front(&self, service: &ServiceName, route: &NginxRoute) -> Arc<Front> {
        let mut fronts = self.fronts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = fronts.iter().find(|front| front.service == *service && front.route == *route) {
            return found.clone();
        }
        let same_file = |front: &Arc<Front>| front.route.at == route.at && front.route.file == route.file;
        fronts.retain(|front| front.service != *service || !same_file(front));
        let front = Arc::new(Front::new(service, route, &self.records));
        fronts.push(front.clone());
        front
    }
}

fn with_way_out(error: RouterError, front: &Front) -> RouterError {
    let hint = format!("if nginx does not read {} any more, remove that file", front.title());
    let told = |failure: Failure| if failure.hint.is_none() { failure.hint(hint.clone()) } else { failure };
    match error {
        RouterError::Unreachable(failure) => RouterError::Unreachable(told(failure)),
        RouterError::Refused(failure) => RouterError::Refused(told(failure)),
    }
}
