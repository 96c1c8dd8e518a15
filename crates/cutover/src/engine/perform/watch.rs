//! Observes the new release after the traffic has moved, while the old one could still take it back.

use std::time::Duration;

use cutover_core::machine::{Duty, Progress, ServiceState};
use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};
use futures_util::future::try_join_all;

use super::super::{LONGEST_PAUSE, Parts};

/// The pause between two probes of an instance that is watched.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// How many probes in a row must fail before the release counts as bad.
const FAILED_PROBES: u32 = 3;

impl Parts {
    /// Probes all until the given time, and for as long as the deployment is paused. The first that dies or stays unready ends the
    /// watch; somebody who promotes the release ends the holds of a canary.
    pub(super) async fn watch(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Result<(), Failure> {
        loop {
            let until = until + self.extended(service);
            let passed_over = self.ledger.until(service, passes_over);
            tokio::select! {
                biased;
                _ = passed_over => return self.watch_all(service, instances, self.now()).await,
                failure = self.found_worse(service, instances, until) => return Err(failure),
                failure = self.found_outside(service, instances) => return Err(failure),
                watched = self.watch_all(service, instances, until.max(self.now())) => watched?,
            }
            match self.ledger.state(service).deployment.and_then(|deployment| deployment.paused) {
                None if self.conclude(service, instances, until).await? => {
                    return self.await_others(service, instances, until).await;
                }
                None => tokio::time::sleep(PROBE_EVERY).await,
                Some((since, by)) if self.now() >= since + LONGEST_PAUSE => {
                    return Err(Failure::new(format!("{by} paused it a day ago, and nobody took it up again")));
                }
                Some(_) => tokio::time::sleep(PROBE_EVERY).await,
            }
        }
    }

    pub(in super::super) async fn watch_all(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Result<(), Failure> {
        try_join_all(instances.iter().map(|instance| self.watch_one(service, instance, until))).await.map(drop)
    }

    /// Waits for something, while those new ones that have traffic by now are observed: that a release is bad must be noticed
    /// although a slow request still holds the old one, or others are about to start.
    pub(super) async fn while_watched<T>(
        &self,
        service: &ServiceName,
        until: Timestamp,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        let state = self.ledger.state(service);
        let new = state.deployment.as_ref().map_or_else(Vec::new, |deployment| deployment.plan.starts());
        let has_traffic =
            |id: &InstanceId| state.instances.get(id).is_some_and(|i| i.duty == Duty::Serving || i.is_canary());
        let new: Vec<InstanceId> = new.into_iter().filter(has_traffic).collect();
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return Ok(done),
            watched = self.watch_all(service, &new, until) => watched?,
        }
        Ok(work.await)
    }

    async fn watch_one(&self, service: &ServiceName, instance: &InstanceId, until: Timestamp) -> Result<(), Failure> {
        tokio::select! {
            biased;
            exit = self.world.runtime.exited(instance) => {
                let failure = Failure::new(format!("{instance} {exit} while it was watched"));
                Err(self.with_evidence(failure, instance).await)
            }
            failure = self.fails_probes(service, instance) => Err(self.with_evidence(failure, instance).await),
            () = self.sleep_until(until) => self.probe_once(service, instance).await,
        }
    }

    /// Ends when the instance has failed several probes in a row.
    async fn fails_probes(&self, service: &ServiceName, instance: &InstanceId) -> Failure {
        let mut failed = 0;
        loop {
            match self.probe_once(service, instance).await {
                Ok(()) => failed = 0,
                Err(failure) if failed + 1 >= FAILED_PROBES => return failure,
                Err(_) => failed += 1,
            }
            tokio::time::sleep(PROBE_EVERY).await;
        }
    }

    pub(in super::super) async fn probe_once(
        &self,
        service: &ServiceName,
        instance: &InstanceId,
    ) -> Result<(), Failure> {
        let release = self.release(service, instance.release)?;
        let at = self.target(service, instance)?;
        let ready = &release.spec.ready;
        let outcome = self.probe(&ready.check, &at, ready.timeout).await;
        outcome.map_err(|came_back| Failure::new(format!("{instance} fails its probe: {came_back}")))
    }
}

/// Whether the step at work is a hold that somebody wants passed over.
fn passes_over(state: &ServiceState) -> bool {
    state.deployment.as_ref().is_some_and(|deployment| match deployment.progress {
        Progress::Forward { step, .. } => deployment.passes_over(step),
        _ => false,
    })
}
