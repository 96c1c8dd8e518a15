//! The switchboard: puts the states of all services together into the route table, and the table in force.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cutover_core::machine::{self, ServiceState};
use cutover_core::spec::RouteSpec;
use cutover_core::table::{Hold, Table};
use cutover_core::{Generation, ServiceName};
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

/// Publishes the table. One publication runs at a time, and each contains everything that was recorded before it.
pub struct Board {
    ledger: Arc<Ledger>,
    router: Arc<dyn Router>,
    identity: Identity,
    published: Mutex<Option<Table>>,
    acknowledged: std::sync::Mutex<Generation>,
}

impl Board {
    /// A switchboard that has published nothing yet.
    pub fn new(ledger: Arc<Ledger>, router: Arc<dyn Router>, identity: Identity) -> Self {
        let acknowledged = std::sync::Mutex::new(Generation(0));
        Self { ledger, router, identity, published: Mutex::new(None), acknowledged }
    }

    /// Brings the router in line with what is known. When this returns, every decision recorded before the call is in force.
    pub async fn publish(&self) -> Result<(), RouterError> {
        let mut published = self.published.lock().await;
        let table = self.table();
        if published.as_ref().is_some_and(|last| last.listeners == table.listeners && last.services == table.services) {
            return Ok(());
        }
        // Until it answers nobody knows which table is in force: not the last one, should this call fail or be given up.
        *published = None;
        self.router.publish(&table).await?;
        *self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner) = table.generation;
        *published = Some(table);
        Ok(())
    }

    /// The same, whatever was published before: the router may have lost it.
    pub async fn assert(&self) -> Result<(), RouterError> {
        *self.published.lock().await = None;
        self.publish().await
    }

    /// The table as it should be.
    pub fn table(&self) -> Table {
        let view = self.ledger.view();
        let hold = Hold { wait: Duration::from_secs(10), requests: 1000 };
        let routes: Vec<(&ServiceState, Option<&RouteSpec>)> =
            view.services.values().map(|state| (state, route(&view, state))).collect();
        let generation = Generation(view.last_seq + self.identity.starts);
        machine::table(generation, &routes, Some(&self.identity.token), &hold)
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
