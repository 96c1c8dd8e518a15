//! Waits until instances that get nothing new have nothing in hand.

use std::time::Duration;

use cutover_core::rule::{Drained, drained};
use cutover_core::stats::Stats;
use cutover_core::{InstanceId, ServiceName, Timestamp};

use super::super::Parts;

/// How often the router is asked at first, and at most how seldom.
const ASK: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

impl Parts {
    /// Waits until none of them has a request in flight, or until the limit. Streams are not waited for.
    pub(in super::super) async fn drain(&self, service: &ServiceName, instances: &[InstanceId], limit: Timestamp) {
        let (mut limit, mut pause, mut lost) = (limit, ASK.0, false);
        loop {
            let stats = self.stats_in_force().await;
            if lost && stats.is_some() {
                // What a router gave them that had lost its table gets its time as well.
                limit = limit.max(self.now() + self.drain_time(service, instances));
            }
            // One that does not answer, or serves an older table, has acknowledged nothing: then nobody is drained.
            lost = stats.is_none();
            if stats.is_some_and(|stats| all_drained(&stats, instances, self.now(), limit)) {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(ASK.1);
        }
    }

    /// How long requests in flight on these instances may take.
    pub(in super::super) fn drain_time(&self, service: &ServiceName, instances: &[InstanceId]) -> Duration {
        let release = instances.first().and_then(|id| self.release(service, id.release).ok());
        release.map(|release| release.spec.rollout.drain).unwrap_or_default()
    }
}

fn all_drained(stats: &Stats, instances: &[InstanceId], now: Timestamp, limit: Timestamp) -> bool {
    instances.iter().all(|instance| !matches!(drained(stats.target(instance), now, limit), Drained::Busy(_)))
}
