//! What the engine asks of whatever sends traffic to instances.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use cutover_core::spec::RouteSpec;
use cutover_core::stats::{ServiceStats, Stats};
use cutover_core::table::Table;
use cutover_core::{Failure, InstanceId, ServiceName};

/// Sends traffic to instances, as the table says.
#[async_trait]
pub trait Router: Send + Sync {
    /// Whether traffic could be sent by this route, which is not in force yet: nobody else listens on its address; the
    /// configuration that is to be written can be, and is good as it is.
    async fn can_route(&self, route: &RouteSpec) -> Result<(), Failure>;

    /// Whether everything that a new release's route names can be used, wherever it listens: its certificate.
    async fn can_serve(&self, route: &RouteSpec) -> Result<(), Failure> {
        let _ = route;
        Ok(())
    }

    /// Puts a table in force, as far as our proxy carries it. When this returns, no request that comes in later through the
    /// proxy is treated by an older one.
    async fn publish(&self, table: &Table) -> Result<(), RouterError>;

    /// Puts in force what a table says about one service that something else than our proxy sends traffic to. It was given to
    /// [`Router::publish`] before. Services do not wait for each other here: one may have trouble that is its own.
    async fn publish_front(&self, service: &ServiceName, table: &Table) -> Result<(), RouterError> {
        let _ = (service, table);
        Ok(())
    }

    /// What a person should know about how services are reached, by service: a file that somebody edited.
    async fn notes(&self) -> BTreeMap<ServiceName, Vec<String>> {
        BTreeMap::new()
    }

    /// All counters.
    async fn stats(&self) -> Result<Stats, RouterError>;

    /// The counters of one service, whose longest gap begins anew. `None` if the router does not know it.
    async fn mark(&self, service: &ServiceName) -> Result<Option<ServiceStats>, RouterError>;

    /// Makes a request through the router as a client would, to one instance or to whichever gets it, and tells who answered.
    /// `None` if the traffic is not of a kind in which that can be seen.
    async fn look(&self, glance: &Glance<'_>) -> Result<Option<InstanceId>, RouterError>;

    /// Ends the streams of an instance, spread over this time.
    async fn close_streams(&self, instance: &InstanceId, over: Duration) -> Result<(), RouterError>;

    /// Waits until the router was gone and has come back.
    async fn returned(&self) -> Return;
}

/// A look through the router.
#[derive(Debug)]
pub struct Glance<'a> {
    /// The route to go by.
    pub route: &'a RouteSpec,
    /// The path to ask for.
    pub path: &'a str,
    /// The instance to ask, or any.
    pub instance: Option<&'a InstanceId>,
    /// The secret that makes the answer name its instance.
    pub token: &'a str,
}

/// The router came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Return {
    /// How long it was gone.
    pub down: Duration,
    /// What it had in hand when it was last asked: requests and streams that may have been cut.
    pub in_hand: u64,
}

/// What the router could not do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RouterError {
    /// It does not answer.
    #[error("{}", .0.summary)]
    Unreachable(Failure),
    /// It refused, and nothing has changed.
    #[error("{}", .0.summary)]
    Refused(Failure),
}

impl From<RouterError> for Failure {
    fn from(error: RouterError) -> Self {
        match error {
            RouterError::Unreachable(failure) | RouterError::Refused(failure) => failure,
        }
    }
}
