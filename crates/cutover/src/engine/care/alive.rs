//! Keeps an instance alive: when it dies it gets no traffic, is started again after a pause, and must pass the gate again.

use cutover_core::machine::{Event, Instance, ServiceState};
use cutover_core::rule::revive_pause;
use cutover_core::{InstanceId, ServiceName, Timestamp};

use super::super::{Parts, RETRY};

impl Parts {
    /// One round: waits for its death if it is up, or brings it back if it is down. Returns early when its duty changes.
    pub(super) async fn keep_alive(&self, service: &ServiceName, id: &InstanceId, known: &Instance) {
        let kept_alive = |state: &ServiceState| state.instances.get(id).is_some_and(Instance::is_kept_alive);
        // Whether it takes traffic or stands by makes no difference here: a revival goes on when the traffic moves.
        let changed = |state: &ServiceState| {
            let on_trial = Self::on_trial(state, id);
            on_trial || !kept_alive(state)
        };
        if Self::on_trial(&self.ledger.state(service), id) {
            // Its deployment watches it.
            self.ledger.until(service, |state| !Self::on_trial(state, id) || !kept_alive(state)).await;
            return;
        }
        let round = async {
            match &known.down {
                None => self.note_death(service, id).await,
                Some((since, _)) => self.revive(service, id, *since).await,
            }
        };
        tokio::select! {
            biased;
            _ = self.ledger.until(service, changed) => {}
            () = round => {}
        }
    }

    async fn note_death(&self, service: &ServiceName, id: &InstanceId) {
        let exit = self.world.runtime.exited(id).await;
        tracing::warn!("{id} {exit}");
        self.record(service, Event::InstanceDied { instance: id.clone(), exit: exit.to_string() }).await;
        self.publish(service).await;
    }

    /// Starts it again. What does not come back in time is tried again, after a longer pause.
    async fn revive(&self, service: &ServiceName, id: &InstanceId, since: Timestamp) {
        let Ok(release) = self.release(service, id.release) else {
            return tokio::time::sleep(RETRY).await;
        };
        // The router must not give it requests as soon as it listens, before it is ready: its death has to be in force.
        self.publish(service).await;
        let attempt = 1 + self.ledger.state(service).instances.get(id).map_or(0, |instance| instance.attempt);
        self.sleep_until(since + revive_pause(release.spec.run.restart(), attempt)).await;
        self.record(service, Event::InstanceRevived { instance: id.clone(), attempt }).await;
        let limit = self.now() + release.spec.ready.within + release.spec.ready.stable_for;
        let back = async {
            self.start_one(service, id).await?;
            self.pass_gate(&release.spec.ready, &self.target(service, id)?, limit).await
        };
        match back.await {
            Ok(()) => {
                self.record(service, Event::InstanceBack { instance: id.clone() }).await;
                self.publish(service).await;
            }
            Err(failure) => {
                tracing::warn!("{id} did not come back: {failure}");
                let _ = self.world.runtime.stop(id, release.spec.run.stop()).await;
                self.record(service, Event::InstanceDied { instance: id.clone(), exit: failure.summary }).await;
            }
        }
    }
}
