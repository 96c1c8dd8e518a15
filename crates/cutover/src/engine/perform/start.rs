//! Starts instances.

use cutover_core::machine::Event;
use cutover_core::{Failure, InstanceId, ServiceName};
use futures_util::future::join_all;

use super::super::Parts;
use super::super::port::StartOrder;

impl Parts {
    /// Starts all at once. The first failure is told when all have been tried: to drop one in the middle could leave an event
    /// in the journal that nobody has taken in.
    pub(super) async fn start_all(&self, service: &ServiceName, instances: &[InstanceId]) -> Result<(), Failure> {
        let started = join_all(instances.iter().map(|instance| self.start_one(service, instance))).await;
        started.into_iter().collect()
    }

    /// Starts one, and records its address. The instance is known from the announcement of the step, so that a crash in
    /// between leaves nothing that nobody knows.
    pub(in super::super) async fn start_one(
        &self,
        service: &ServiceName,
        instance: &InstanceId,
    ) -> Result<(), Failure> {
        let release = self.release(service, instance.release)?;
        let known = self.ledger.state(service).instances.get(instance).cloned();
        let attempt = known.as_ref().map_or(0, |known| known.attempt);
        let (spec, fingerprint) = (release.spec.run.clone(), release.fingerprint.clone());
        let order = StartOrder { instance: instance.clone(), attempt, spec, fingerprint };
        let started = self.world.runtime.start(&order).await;
        let address = started.map_err(|error| error.about(format!("{instance} did not start")))?;
        if known.and_then(|known| known.address) != Some(address) {
            self.record(service, Event::InstanceStarted { instance: instance.clone(), address }).await;
        }
        Ok(())
    }
}
