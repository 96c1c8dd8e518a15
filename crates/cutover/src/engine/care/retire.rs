//! Lets instances go: at once when they have nothing in hand, else when their streams have ended or their time is up.
//!
//! **Invariant (order).** Nobody is told to stop before the router has answered, after the instance was set to retire, that it
//! has no request in flight for it. A router that does not answer is waited for.

use std::sync::PoisonError;
use std::time::Duration;

use cutover_core::machine::{Duty, Event};
use cutover_core::spec::StopSpec;
use cutover_core::stats::{Stats, TargetStats};
use cutover_core::{InstanceId, ServiceName, Timestamp};
use futures_util::future::join_all;

use super::super::Parts;

/// How often an instance with open streams is looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Over how long the streams of an instance are closed when their time is up, so that its clients do not all come back at once.
const CLOSE_OVER: Duration = Duration::from_secs(5);

/// What an instance has not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in super::super) struct InHand {
    pub(in super::super) requests: u64,
    pub(in super::super) streams: u64,
}

impl Parts {
    /// Stops those that have nothing in hand. Those that do are left to [`Parts::retire_in_time`]: streams, and what a router
    /// that had lost its table gave them after they were drained.
    pub(in super::super) async fn retire_now(&self, service: &ServiceName, instances: &[InstanceId]) {
        join_all(instances.iter().map(|instance| async move {
            if self.in_hand(instance).await == Some(InHand::default()) {
                self.let_go(service, instance, 0).await;
            }
        }))
        .await;
    }

    /// Stops an instance when it has nothing in hand. Requests have the drain time once more at most, streams until the time that the
    /// journal names, and then until soon after they were closed.
    pub(super) async fn retire_in_time(&self, service: &ServiceName, instance: &InstanceId) {
        self.publish(service).await;
        let drain_time = self.drain_time(service, std::slice::from_ref(instance));
        let mut requests_until = None;
        let mut closed = false;
        loop {
            let in_hand = self.in_hand(instance).await;
            // Looked up each time: a step that is tried again gives its streams their time anew.
            let Some(until) = retires_until(&self.ledger.state(service), instance) else { return };
            let now = self.now();
            // Counted from when they are first seen: a router that had lost its table may have given it new ones.
            let has_requests = in_hand.is_some_and(|hand| hand.requests > 0);
            requests_until = has_requests.then(|| requests_until.unwrap_or(now + drain_time));
            let requests_are_over =
                |hand: InHand| hand.requests == 0 || requests_until.is_some_and(|limit| now >= limit);
            let streams_are_over = |hand: InHand| hand.streams == 0 || now >= until + CLOSE_OVER + LOOK_AGAIN;
            match in_hand {
                Some(in_hand) if requests_are_over(in_hand) && streams_are_over(in_hand) => {
                    return self.let_go(service, instance, in_hand.streams).await;
                }
                Some(_) if now >= until && !closed => {
                    closed = self.world.router.close_streams(instance, CLOSE_OVER).await.is_ok();
                }
                _ => {}
            }
            tokio::select! {
                biased;
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                _ = self.ledger.until(service, |state| is_gone(state, instance)) => return,
            }
        }
    }

    /// What it has in hand; `None` if the router does not answer.
    pub(in super::super) async fn in_hand(&self, instance: &InstanceId) -> Option<InHand> {
        let stats = self.stats_in_force().await?;
        let counted = |target: &TargetStats| InHand { requests: target.in_flight, streams: target.streams };
        Some(stats.target(instance).map(counted).unwrap_or_default())
    }

    /// The router's counters; `None` if it does not answer, or serves an older table than it acknowledged (it was gone and has
    /// lost something): then it may still give requests to those that retire.
    pub(in super::super) async fn stats_in_force(&self) -> Option<Stats> {
        let stats = self.world.router.stats().await.ok()?;
        (stats.generation >= self.board.acknowledged()).then_some(stats)
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
        let stop = release.map_or_else(StopSpec::default, |release| release.spec.run.stop().clone());
        let how = loop {
            match self.world.runtime.stop(instance, &stop).await {
                Ok(stopped) if stopped.killed => break "ignored its stop signal and was killed".to_owned(),
                Ok(stopped) => break stopped.exit.to_string(),
                Err(error) => tracing::error!("could not stop {instance}: {error}"),
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let how = if streams > 0 { format!("{how}; {streams} streams were cut at their limit") } else { how };
        if self.ledger.state(service).removed {
            // The removal of the service found it with streams in hand; nobody else comes to tidy up.
            if let Err(error) = self.world.runtime.forget(instance).await {
                tracing::warn!("could not remove the records of {instance}: {error}");
            }
        }
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
                Ok(_) => return self.publish(service).await,
                Err(_) => tokio::time::sleep(super::super::RETRY).await,
            }
        }
    }
}

fn retires_until(state: &cutover_core::machine::ServiceState, instance: &InstanceId) -> Option<Timestamp> {
    match state.instances.get(instance)?.duty {
        Duty::Retiring { until } => Some(until),
        _ => None,
    }
}

fn is_gone(state: &cutover_core::machine::ServiceState, instance: &InstanceId) -> bool {
    state.instances.get(instance).is_none_or(|found| found.duty == Duty::Gone)
}
