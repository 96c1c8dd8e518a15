//! Deployments that count together or not at all.
//!
//! Each is a deployment of its own, up to the end of its watch. There it waits, observed on and with its old release beside it,
//! until whoever began them says that all of them have come so far. That is one entry in the journal: whatever is killed at
//! whatever moment, all of them have committed or none.

use std::sync::PoisonError;
use std::time::Duration;

use cutover_core::machine::{Event, ServiceState};
use cutover_core::plan::Refusal;
use cutover_core::{DeploymentId, Failure, InstanceId, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

use super::command::CommandError;
use super::drive::follow_up;
use super::perform::observing;
use super::{Engine, Parts};

/// How long one waits for the others.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// One of those that count together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The service.
    pub service: ServiceName,
    /// Its deployment.
    pub deployment: DeploymentId,
}

impl Engine {
    /// Commits these deployments, all of which wait for that; refuses if one does not, and then changes nothing.
    pub async fn agree(&self, members: &[Member], by: &str) -> Result<(), CommandError> {
        let (members, by) = (members.to_vec(), by.to_owned());
        self.parts.to_its_end(|parts| async move { parts.agree(&members, &by).await }).await
    }

    /// Whether the service's deployment has been observed, and waits for others to count together with it.
    pub fn awaits_others(&self, service: &ServiceName) -> bool {
        let state = self.parts.ledger.state(service);
        state.deployment.is_some_and(|deployment| self.parts.is_awaiting(service, deployment.id))
    }
}

impl Parts {
    async fn agree(&self, members: &[Member], by: &str) -> Result<(), CommandError> {
        let decided = self.ledger.decide_for(|view| {
            let mut events = Vec::new();
            for Member { service, deployment } in members {
                let state = view.state(service);
                let paused = state.deployment.as_ref().is_some_and(|deployment| deployment.paused.is_some());
                let step = last_step(&state).filter(|_| !paused && self.is_awaiting(service, *deployment));
                let refusal = || Refusal::NotAwaiting { service: service.clone(), deployment: *deployment };
                let step = step.ok_or_else(refusal)?;
                events.push((service.clone(), Event::Agreed { by: by.to_owned() }));
                events.extend(follow_up(&state, step + 1, self.now()).map(|event| (service.clone(), event)));
            }
            Ok::<_, CommandError>(events)
        });
        decided.await.map(drop)
    }

    /// Waits until the others have come as far, while the new release is observed on. Somebody who promotes it does not wait.
    pub(super) async fn await_others(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        watched: Timestamp,
    ) -> Result<(), Failure> {
        let state = self.ledger.state(service);
        let Some(deployment) = state.deployment.as_ref().filter(|_| last_step(&state).is_some()) else { return Ok(()) };
        let _waits = Waits::enter(self, service, deployment.id);
        tokio::select! {
            biased;
            _ = self.ledger.until(service, |state| last_step(state).is_none()) => Ok(()),
            observed = self.watch_all(service, instances, watched + LONGEST_WAIT) => {
                observed?;
                let hint = "was the command that deployed them stopped? Deploy them again";
                Err(Failure::new("those that it was deployed together with were not ready within an hour").hint(hint))
            }
        }
    }

    fn is_awaiting(&self, service: &ServiceName, deployment: DeploymentId) -> bool {
        let awaiting = self.awaiting.lock().unwrap_or_else(PoisonError::into_inner);
        awaiting.get(service) == Some(&deployment)
    }
}

/// The step in which it is observed until it waits for the others, if it is there and nobody promoted it.
fn last_step(state: &ServiceState) -> Option<usize> {
    let (step, deployment) = observing(state)?;
    (deployment.observes_last(step) && !deployment.promoted).then_some(step)
}

/// As long as it lives, the deployment is known to wait.
struct Waits<'a> {
    parts: &'a Parts,
    service: &'a ServiceName,
}

impl<'a> Waits<'a> {
    fn enter(parts: &'a Parts, service: &'a ServiceName, deployment: DeploymentId) -> Self {
        parts.awaiting.lock().unwrap_or_else(PoisonError::into_inner).insert(service.clone(), deployment);
        Self { parts, service }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.parts.awaiting.lock().unwrap_or_else(PoisonError::into_inner).remove(self.service);
    }
}
