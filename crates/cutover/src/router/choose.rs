//! Which router a service's traffic goes through.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use cutover_core::spec::RouteSpec;
use cutover_core::stats::{ServiceStats, Stats};
use cutover_core::table::Table;
use cutover_core::{Failure, InstanceId, ServiceName};

use super::BuiltinRouter;
use super::nginx::Nginx;
use crate::engine::port::{Glance, Return, Router, RouterError, Runtime};

/// All routers as one: our proxy gets the table without the services that another router has.
pub struct Routers {
    proxy: Arc<BuiltinRouter>,
    nginx: Nginx,
}

impl Routers {
    /// With this proxy. What is remembered of nginx lies in a folder below `state`; the runtime tells the connections that are
    /// open at an instance, for nginx does not.
    pub fn new(proxy: Arc<BuiltinRouter>, state: &Path, runtime: Arc<dyn Runtime>) -> Self {
        Self { proxy, nginx: Nginx::new(state.join("nginx"), runtime) }
    }
}

#[async_trait]
impl Router for Routers {
    async fn can_route(&self, route: &RouteSpec) -> Result<(), Failure> {
        match route {
            RouteSpec::Proxy(_) => self.proxy.can_route(route).await,
            RouteSpec::Nginx(route) => self.nginx.can_route(route).await,
        }
    }

    async fn can_serve(&self, route: &RouteSpec) -> Result<(), Failure> {
        self.proxy.can_serve(route).await
    }

    async fn publish(&self, table: &Table) -> Result<(), RouterError> {
        let mut own = table.clone();
        own.services.retain(|service| !table.fronts.iter().any(|front| front.service == service.name));
        own.fronts.clear();
        self.nginx.expect(table);
        self.proxy.publish(&own).await
    }

    async fn publish_front(&self, service: &ServiceName, table: &Table) -> Result<(), RouterError> {
        self.nginx.publish(service, table).await
    }

    async fn notes(&self) -> BTreeMap<ServiceName, Vec<String>> {
        let mut notes = self.nginx.notes().await;
        for (service, told) in self.proxy.notes().await {
            notes.entry(service).or_default().extend(told);
        }
        notes
    }

    /// What both count for an instance is added up: it may be reached by both while its service changes from one to the other.
    async fn stats(&self) -> Result<Stats, RouterError> {
        let mut stats = self.proxy.stats().await?;
        for counted in self.nginx.count().await.map_err(RouterError::Unreachable)? {
            match stats.targets.iter_mut().find(|target| target.instance == counted.instance) {
                Some(target) => {
                    target.in_flight += counted.in_flight;
                    target.streams += counted.streams;
                }
                None => stats.targets.push(counted),
            }
        }
        Ok(stats)
    }

    async fn mark(&self, service: &ServiceName) -> Result<Option<ServiceStats>, RouterError> {
        self.proxy.mark(service).await
    }

    async fn look(&self, glance: &Glance<'_>) -> Result<Option<InstanceId>, RouterError> {
        match glance.route {
            RouteSpec::Proxy(_) => self.proxy.look(glance).await,
            RouteSpec::Nginx(route) => self.nginx.look(route, glance).await,
        }
    }

    async fn close_streams(&self, instance: &InstanceId, over: Duration) -> Result<(), RouterError> {
        self.proxy.close_streams(instance, over).await
    }

    async fn returned(&self) -> Return {
        self.proxy.returned().await
    }
}
