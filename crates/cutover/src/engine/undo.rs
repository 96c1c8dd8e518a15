//! Undoes steps, in the reverse order of the plan.
//!
//! What an undo changes at the router and which instances it ends has been announced by then, and is known from the state; so
//! to undo is to bring the world in line with the state, and to wait until it is.

use std::sync::Arc;
use std::time::Duration;

use cutover_core::machine::{Duty, ServiceState};
use cutover_core::plan::Step;
use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};

use super::Parts;

/// How long the old instances may take to be ready for the traffic's return, started again if need be.
const READY_TO_RETURN: Duration = Duration::from_secs(60);

/// The pause between two looks at them.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

impl Parts {
    /// Undoes a step.
    pub(super) async fn undo(
        self: &Arc<Self>,
        service: &ServiceName,
        step: &Step,
        until: Timestamp,
    ) -> Result<(), Failure> {
        match step {
            Step::Shift { to, from } => {
                self.shift(service, from, until).await?;
                // Requests have their time from when the router gives out no more, also if the agent was away meanwhile.
                let limit = until.max(self.now() + self.drain_time(service, to));
                self.drain(service, to, limit).await;
                Ok(())
            }
            Step::Weigh { instances, .. } => {
                self.publish_by(service, until).await?;
                let limit = until.max(self.now() + self.drain_time(service, instances));
                self.drain(service, instances, limit).await;
                Ok(())
            }
            Step::Register { .. } => self.publish_by(service, until).await,
            Step::Start { instances } => {
                self.publish_by(service, until).await?;
                self.retire_now(service, instances).await;
                self.leave_room(service, instances, until).await
            }
            Step::Rest { instances, .. } => self.wake(service, instances).await,
            Step::Hook { hook, .. } => {
                self.end_hook(&self.ledger.state(service), *hook).await;
                Ok(())
            }
            Step::Adopt { instances } => {
                self.publish_by(service, until).await?;
                for instance in instances {
                    self.world.runtime.let_go(instance).await.map_err(|error| {
                        error.about(format!("could not let go of {instance}, which was there before us"))
                    })?;
                }
                Ok(())
            }
            // The copy of a release that failed is kept for inspection; pruning removes it.
            _ => Ok(()),
        }
    }

    /// If others wait for their room, they must be gone before those are started again.
    async fn leave_room(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Result<(), Failure> {
        let state = self.ledger.state(service);
        if !state.deployment.as_ref().is_some_and(|deployment| deployment.plan.makes_room()) {
            return Ok(());
        }
        let release = instances.first().and_then(|instance| self.release(service, instance.release).ok());
        let grace = release.map(|release| release.spec.run.stop().grace).unwrap_or_default();
        let gone = |state: &ServiceState| {
            instances.iter().all(|id| state.instances.get(id).is_none_or(|found| found.duty == Duty::Gone))
        };
        tokio::select! {
            biased;
            _ = self.ledger.until(service, gone) => Ok(()),
            () = self.sleep_until(until + grace) => {
                Err(Failure::new(format!("the new instances of {service} do not end, and the old ones need their room")))
            }
        }
    }

    /// Waits until those that rested are up and ready again. Whoever cares for instances starts them.
    async fn wake(&self, service: &ServiceName, instances: &[InstanceId]) -> Result<(), Failure> {
        let awake = |state: &ServiceState| {
            instances.iter().all(|id| state.instances.get(id).is_none_or(|found| found.down.is_none()))
        };
        let limit = self.now() + READY_TO_RETURN;
        tokio::select! {
            biased;
            _ = self.ledger.until(service, awake) => Ok(()),
            () = self.sleep_until(limit) => {
                let state = self.ledger.state(service);
                let down = instances.iter().find_map(|id| Some((id, state.instances.get(id)?.down.as_ref()?)));
                let why = down.map(|(id, (_, why))| format!("{id} does not come back: {why}")).unwrap_or_default();
                Err(Failure::new(why))
            }
        }
    }

    /// Waits until at least one of those who get the traffic back passes its probe. They are started again meanwhile if they
    /// died. With nobody to give it back to (a first release), there is nothing to wait for.
    pub(super) async fn ready_to_return(&self, service: &ServiceName, old: &[InstanceId]) -> Result<(), Failure> {
        let limit = self.now() + READY_TO_RETURN;
        loop {
            let mut failure = None;
            for instance in self.up_among(service, old) {
                match self.probe_once(service, &instance).await {
                    Ok(()) => return Ok(()),
                    Err(why) => failure = Some(why),
                }
            }
            if old.is_empty() {
                return Ok(());
            }
            if self.now() >= limit {
                let why = failure.unwrap_or_else(|| Failure::new(format!("no old instance of {service} is running")));
                return Err(
                    why.hint(format!("the new release keeps the traffic; `cutover abort {service}` tries again"))
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn up_among(&self, service: &ServiceName, instances: &[InstanceId]) -> Vec<InstanceId> {
        let state = self.ledger.state(service);
        let up = |id: &&InstanceId| state.instances.get(*id).is_some_and(|instance| instance.down.is_none());
        instances.iter().filter(up).cloned().collect()
    }
}
