//! Observes the new release after the traffic has moved, while the old one could still take it back.

use std::time::Duration;

use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};
use futures_util::future::try_join_all;

use super::super::Parts;

/// The pause between two probes of an instance that is watched.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// How many probes in a row must fail before the release counts as bad.
const FAILED_PROBES: u32 = 3;

impl Parts {
    /// Probes all until the given time. The first that dies or stays unready ends the watch.
    pub(super) async fn watch(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Result<(), Failure> {
        try_join_all(instances.iter().map(|instance| self.watch_one(service, instance, until))).await.map(drop)
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
