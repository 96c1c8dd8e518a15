//! Makes instances known to the router, and moves the traffic: each time published first, then looked at through the router.

use std::time::Duration;

use cutover_core::spec::{Check, RouteSpec};
use cutover_core::{Failure, InstanceId, ReleaseNo, ServiceName, Timestamp};

use super::super::Parts;
use super::super::port::{Glance, RouterError};

/// The pause between two looks through the router.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

impl Parts {
    /// Publishes the instances without traffic, and asks each through the router.
    pub(super) async fn register(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Result<(), Failure> {
        self.publish_by(service, until).await?;
        for instance in instances {
            self.see(service, Some(instance), &[], until).await?;
        }
        Ok(())
    }

    /// Publishes that these serve and no others, and asks the router until one of them answers. An empty list means that
    /// nobody is to take over: the service stops, or only loses some of its instances.
    pub(in super::super) async fn shift(
        &self,
        service: &ServiceName,
        to: &[InstanceId],
        until: Timestamp,
    ) -> Result<(), Failure> {
        self.publish_by(service, until).await?;
        self.note_shifted(service);
        if to.is_empty() {
            return Ok(());
        }
        let serving = self.ledger.state(service).serving();
        self.see(service, None, &serving, until).await
    }

    /// Publishes what is known of a service; fails when the router refuses it, or does not answer in time.
    pub(in super::super) async fn publish_by(&self, service: &ServiceName, until: Timestamp) -> Result<(), Failure> {
        loop {
            let error = match self.board.publish(service).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if matches!(error, RouterError::Refused(_)) || self.now() >= until {
                return Err(error.into());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Looks through the router until the right one answers: the one named, or one of those that serve.
    async fn see(
        &self,
        service: &ServiceName,
        instance: Option<&InstanceId>,
        serving: &[InstanceId],
        until: Timestamp,
    ) -> Result<(), Failure> {
        let Some(route) = self.board.route_of(service) else { return Ok(()) };
        let path = self.path_to_ask(service, instance.or(serving.first()).map(|id| id.release));
        loop {
            let seen = self.glance(&route, &path, instance).await;
            let wrong = match seen {
                Ok(None) => return Ok(()),
                Ok(Some(who)) if Some(&who) == instance || serving.contains(&who) => return Ok(()),
                Ok(Some(who)) => Failure::new(format!("{service} was answered by {who} through the router")),
                Err(failure) => failure,
            };
            if self.now() >= until {
                return Err(wrong);
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    async fn glance(
        &self,
        route: &RouteSpec,
        path: &str,
        instance: Option<&InstanceId>,
    ) -> Result<Option<InstanceId>, Failure> {
        let glance = Glance { route, path, instance, token: self.board.token() };
        self.world.router.look(&glance).await.map_err(Failure::from)
    }

    /// The path to ask for through the router: the one that readiness is asked by, if it is.
    fn path_to_ask(&self, service: &ServiceName, release: Option<ReleaseNo>) -> String {
        let release = release.and_then(|no| self.release(service, no).ok());
        match release.map(|release| release.spec.ready.check.clone()) {
            Some(Check::Http { path, .. }) => path,
            _ => "/".to_owned(),
        }
    }
}
