//! What comes of an observation whose time is over while too little was seen: more time, once, and then what the user wants.

use std::time::Duration;

use cutover_core::machine::Event;
use cutover_core::spec::Undecided;
use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};

use super::super::Parts;
use super::judge::observing;

impl Parts {
    /// By how much the step at work was extended.
    pub(super) fn extended(&self, service: &ServiceName) -> Duration {
        let state = self.ledger.state(service);
        observing(&state).and_then(|(step, deployment)| deployment.extended.get(&step).copied()).unwrap_or_default()
    }

    /// The last look and the last answers, when the time is over. False if the step does not end with that.
    pub(super) async fn conclude(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Result<bool, Failure> {
        let seen = self.last_look(service, instances, until).await?;
        let told = self.last_answers(service, instances).await?;
        match seen.or(told) {
            None => Ok(true),
            Some(missing) => self.undecided(service, instances, missing).await,
        }
    }

    async fn undecided(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        reason: String,
    ) -> Result<bool, Failure> {
        let state = self.ledger.state(service);
        let first = instances.first().map(|first| first.release);
        let release = first.and_then(|number| self.release(service, number).ok());
        let (Some((step, deployment)), Some(release)) = (observing(&state), release) else { return Ok(true) };
        let rollout = &release.spec.rollout;
        if !rollout.extend.is_zero() && !deployment.extended.contains_key(&step) {
            return Ok(!self.goes_on(service, step, Event::Extended { step, by: rollout.extend, reason }).await);
        }
        match rollout.undecided {
            Undecided::Promote => Ok(true),
            Undecided::RollBack => Err(Failure::new(format!("there is no verdict: {reason}"))
                .hint("`undecided = \"promote\"` lets it go on, a longer `watch` or `extend` sees more")),
            // Whoever lets it go on after that has answered.
            Undecided::Ask if deployment.asked.contains(&step) => Ok(true),
            Undecided::Ask => Ok(!self.goes_on(service, step, Event::Undecided { step, reason }).await),
        }
    }

    /// True if the step does not end with this: it was noted, or could not be, and is tried again.
    async fn goes_on(&self, service: &ServiceName, step: usize, event: Event) -> bool {
        self.note_at_work(service, step, event).await.unwrap_or(true)
    }
}
