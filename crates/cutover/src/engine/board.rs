//! The switchboard: puts the states of all services together into the route table, and the table in force.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cutover_core::machine::{self, ServiceState};
use cutover_core::spec::{ProxyRoute, RouteSpec};
use cutover_core::table::{Front, Hold, Service, Table};
use cutover_core::{Generation, InstanceId, Release, ServiceName};
use tokio::sync::Mutex;

use super::ledger::{Ledger, View};
use super::port::{Router, RouterError};

/// What the engine shows to the router.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The secret that lets it look through the router.
    pub token: String,
    /// How often the agent was started. Added to each generation, so that what a newer agent makes of the same journal
    /// counts as a newer table.
    pub starts: u64,
}

impl From<String> for Identity {
    fn from(token: String) -> Self {
        Self { token, starts: 0 }
    }
}

/// Publishes the table. To our proxy, one publication runs at a time, and each contains everything that was recorded before it.
/// To anything else that sends traffic, one runs at a time for each service: the trouble of one does not hold up another.
pub struct Board {
    ledger: Arc<Ledger>,
    router: Arc<dyn Router>,
    identity: Identity,
    published: Mutex<Option<Table>>,
    fronts: std::sync::Mutex<BTreeMap<ServiceName, Arc<Mutex<Option<InFront>>>>>,
    acknowledged: std::sync::Mutex<Generation>,
}

/// What a front was last given: the service, and how it is reached.
type InFront = (Option<Service>, Option<Front>);

impl Board {
    /// A switchboard that has published nothing yet.
    pub fn new(ledger: Arc<Ledger>, router: Arc<dyn Router>, identity: Identity) -> Self {
        let acknowledged = std::sync::Mutex::new(Generation(0));
        Self { ledger, router, identity, published: Mutex::new(None), fronts: Default::default(), acknowledged }
    }

    /// Brings the router in line with what is known of a service. When this returns, every decision about it that was recorded
    /// before the call is in force, and so is every decision about a service behind our proxy.
    pub async fn publish(&self, service: &ServiceName) -> Result<(), RouterError> {
        self.publish_own().await?;
        self.publish_front(service).await
    }

    async fn publish_front(&self, service: &ServiceName) -> Result<(), RouterError> {
        let known =
            self.fronts.lock().unwrap_or_else(PoisonError::into_inner).entry(service.clone()).or_default().clone();
        let mut known = known.lock().await;
        let table = self.table();
        let wanted = (
            table.services.iter().find(|found| found.name == *service).cloned(),
            table.fronts.iter().find(|front| front.service == *service).cloned(),
        );
        if known.as_ref() == Some(&wanted) {
            return Ok(());
        }
        *known = None;
        self.router.publish_front(service, &table).await?;
        *known = Some(wanted);
        Ok(())
    }

    /// Brings our proxy in line.
    pub async fn publish_own(&self) -> Result<(), RouterError> {
        let mut published = self.published.lock().await;
        let table = self.table();
        let is_like = |last: &Table| {
            last.listeners == table.listeners && last.services == table.services && last.fronts == table.fronts
        };
        if published.as_ref().is_some_and(is_like) {
            return Ok(());
        }
        // Until it answers nobody knows which table is in force: not the last one, should this call fail or be given up.
        *published = None;
        self.router.publish(&table).await?;
        *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner) = table.generation;
        *published = Some(table);
        Ok(())
    }

    /// The same, whatever was published before: the proxy may have lost it.
    pub async fn assert(&self) -> Result<(), RouterError> {
        *self.published.lock().await = None;
        self.publish_own().await
    }

    /// The table as it should be.
    pub fn table(&self) -> Table {
        let view = self.ledger.view();
        let hold = Hold { wait: Duration::from_secs(10), requests: 1000 };
        let routes: Vec<(&ServiceState, Option<&RouteSpec>)> =
            view.services.values().map(|state| (state, route(&view, state))).collect();
        let generation = Generation(view.last_seq + self.identity.starts);
        let mut table = machine::table(generation, &routes, Some(&self.identity.token), &hold);
        table.speak(|instance| own_route(&view, instance).map(|route| route.protocol).unwrap_or_default());
        table.plug(|instance| own_release(&view, instance)?.spec.run.process()?.socket_of(instance));
        table.secure(|instance| own_route(&view, instance)?.instance_tls.clone());
        table
    }

    /// The generation that the router last acknowledged to us.
    pub fn acknowledged(&self) -> Generation {
        *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The secret for looking through the router.
    pub fn token(&self) -> &str {
        &self.identity.token
    }

    /// The route in force for a service.
    pub fn route_of(&self, service: &ServiceName) -> Option<RouteSpec> {
        let view = self.ledger.view();
        route(&view, &view.state(service)).cloned()
    }
}

fn route<'a>(view: &'a View, state: &ServiceState) -> Option<&'a RouteSpec> {
    let release = view.releases.get(&(state.name.clone(), state.routed?))?;
    release.spec.route.as_ref()
}

/// The route of an instance's own release, whichever release's is in force: it says how the instance is spoken to.
fn own_route<'a>(view: &'a View, instance: &InstanceId) -> Option<&'a ProxyRoute> {
    own_release(view, instance)?.spec.route.as_ref()?.proxy()
}

fn own_release<'a>(view: &'a View, instance: &InstanceId) -> Option<&'a Release> {
    view.releases.get(&(instance.service.clone(), instance.release)).map(|release| &**release)
}
