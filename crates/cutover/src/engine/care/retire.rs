//! Lets instances go: at once when they have nothing in hand, else when their streams have ended or their time is up.
//!
//! **Invariant (order).** Nobody is told to stop before the router has answered, after the instance was set to retire, that it
//! has no request in flight for it. A router that does not answer is waited for.

use std::sync::PoisonError;
use std::time::Duration;

use cutover_core::machine::{Duty, Event};
use cutover_core::spec::StopSpec;
use cutover_core::{InstanceId, ServiceName, Timestamp};
use futures_util::future::join_all;

use super::super::Parts;

/// How often an instance with open streams is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Over how long the streams of an instance are closed when their time is up, so that its clients do not all come back at once.
const CLOSE_OVER: Duration = Duration::from_secs(5);

impl Parts {
    /// Stops those that have nothing in hand. Those that do are left to [`Parts::retire_in_time`].
    pub(in super::super) async fn retire_now(&self, service: &ServiceName, instances: &[InstanceId]) {
        join_all(instances.iter().map(|instance| async move {
            if self.in_hand(instance).await != Some(0) {
                return;
            }
            self.let_go(service, instance, 0).await;
        }))
        .await;
    }

    /// Stops an instance when its streams have ended, at the latest at `until`, and then soon after they were closed.
    pub(super) async fn retire_in_time(&self, service: &ServiceName, instance: &InstanceId, until: Timestamp) {
        self.publish().await;
        let mut closed = false;
        loop {
            let in_hand = self.in_hand(instance).await;
            let overdue = self.now() >= until + CLOSE_OVER + LOOK_AGAIN;
            match in_hand {
                Some(streams) if streams == 0 || overdue => return self.let_go(service, instance, streams).await,
                Some(_) if self.now() >= until && !closed => {
                    closed = self.world.router.close_streams(instance, CLOSE_OVER).await.is_ok();
                }
                _ => {}
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                _ = self.ledger.until(service, |state| is_gone(state, instance)) => return,
            }
        }
    }

    /// How many streams it has; `None` if the router does not answer. Requests have had their time when it was drained.
    async fn in_hand(&self, instance: &InstanceId) -> Option<u64> {
        let stats = self.world.router.stats().await.ok()?;
        Some(stats.target(instance).map_or(0, |target| target.streams))
    }

    /// Stops it and records that. Both the deployment and whoever cares for the instance may come here; one of them does it,
    /// the other waits, so that nobody stops it again after it is gone and forgotten.
    async fn let_go(&self, service: &ServiceName, instance: &InstanceId, streams: u64) {
        let first = self.let_go.lock().unwrap_or_else(PoisonError::into_inner).insert(instance.clone());
        if first && !is_gone(&self.ledger.state(service), instance) {
            self.stop_and_record(service, instance, streams).await;
        }
        self.ledger.until(service, |state| is_gone(state, instance)).await;
        self.let_go.lock().unwrap_or_else(PoisonError::into_inner).remove(instance);
    }

    async fn stop_and_record(&self, service: &ServiceName, instance: &InstanceId, streams: u64) {
        let release = self.release(service, instance.release).ok();
        let stop = release.map_or_else(StopSpec::default, |release| release.spec.process.stop.clone());
        let how = loop {
            match self.world.runtime.stop(instance, &stop).await {
                Ok(stopped) if stopped.killed => break "ignored its stop signal and was killed".to_owned(),
                Ok(stopped) => break stopped.exit.to_string(),
                Err(error) => tracing::error!("could not stop {instance}: {error}"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let how = if streams > 0 { format!("{how}; {streams} streams were cut at their limit") } else { how };
        self.record_retirement(service, instance, how).await;
    }

    /// Two may have let go of it; it is recorded once.
    async fn record_retirement(&self, service: &ServiceName, instance: &InstanceId, how: String) {
        let event = Event::InstanceRetired { instance: instance.clone(), how };
        loop {
            let decided = self.ledger.decide(service, |_, state| {
                let gone = is_gone(state, instance);
                Ok::<_, super::super::port::JournalError>(if gone { Vec::new() } else { vec![event.clone()] })
            });
            match decided.await {
                Ok(_) => return self.publish().await,
                Err(_) => tokio::time::sleep(super::super::RETRY).await,
            }
        }
    }
}

fn is_gone(state: &cutover_core::machine::ServiceState, instance: &InstanceId) -> bool {
    state.instances.get(instance).is_none_or(|found| found.duty == Duty::Gone)
}
