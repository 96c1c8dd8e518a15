//! Stops instances that have drained while their deployment is still under way, because others need their room.
//!
//! **Invariant (order).** As for those that retire: nobody is told to stop before the router has answered that it has no request
//! in flight for it.

use std::time::Duration;

use cutover_core::machine::Duty;
use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};
use futures_util::future::try_join_all;

use super::super::Parts;

/// The pause between two looks at what they have in hand: others wait for their room.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// How long streams that are told to end may take to do so.
const STREAMS_END: Duration = Duration::from_secs(1);

impl Parts {
    /// Lets them finish and stops them, all at once.
    pub(super) async fn rest(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Result<(), Failure> {
        self.publish_by(service, until).await?;
        try_join_all(instances.iter().map(|instance| self.rest_one(service, instance, until))).await.map(drop)
    }

    async fn rest_one(&self, service: &ServiceName, instance: &InstanceId, until: Timestamp) -> Result<(), Failure> {
        tokio::select! {
            biased;
            () = self.finish(service, instance) => {}
            () = self.sleep_until(until) => {
                return Err(Failure::new(format!("the router did not say in time that {instance} has nothing in hand")));
            }
        }
        let release = self.release(service, instance.release)?;
        let stopped = self.world.runtime.stop(instance, release.spec.run.stop()).await;
        stopped.map(drop).map_err(|error| Failure::because(format!("could not stop {instance}"), &error))
    }

    /// Waits until it has nothing in hand; its streams are closed when their time is up.
    async fn finish(&self, service: &ServiceName, instance: &InstanceId) {
        let duty = self.ledger.state(service).instances.get(instance).map(|found| found.duty);
        let Some(Duty::Resting { until }) = duty else { return };
        let drain_time = self.drain_time(service, std::slice::from_ref(instance));
        let (mut requests_until, mut closed) = (None::<Timestamp>, false);
        loop {
            let now = self.now();
            let in_hand = self.in_hand(instance).await;
            // Counted from when they are first seen, and anew behind a router that was gone: one that had lost its table may have
            // given it new ones.
            let has_requests = in_hand.is_some_and(|hand| hand.requests > 0);
            requests_until = has_requests.then(|| requests_until.unwrap_or(now + drain_time));
            if let Some(hand) = in_hand {
                let requests_are_over = requests_until.is_none_or(|limit| now >= limit);
                let streams_are_over = hand.streams == 0 || now >= until + STREAMS_END;
                if requests_are_over && streams_are_over {
                    return;
                }
                if hand.streams > 0 && now >= until && !closed {
                    closed = self.world.router.close_streams(instance, Duration::ZERO).await.is_ok();
                }
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }
}
