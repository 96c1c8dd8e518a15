//! Waits until instances that get nothing new have nothing in hand.

use std::time::Duration;

use cutover_core::rule::{Drained, drained};
use cutover_core::{InstanceId, Timestamp};

use super::super::Parts;

/// How often the router is asked at first, and at most how seldom.
const ASK: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(100));

impl Parts {
    /// Waits until none of them has a request in flight, or until the limit. Streams are not waited for.
    pub(in super::super) async fn drain(&self, instances: &[InstanceId], limit: Timestamp) {
        let mut pause = ASK.0;
        loop {
            if self.all_drained(instances, limit).await {
                return;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(ASK.1);
        }
    }

    /// A router that does not answer, or serves an older table, has acknowledged nothing: then nobody is drained, whatever the
    /// limit.
    async fn all_drained(&self, instances: &[InstanceId], limit: Timestamp) -> bool {
        let Some(stats) = self.stats_in_force().await else { return false };
        let now = self.now();
        instances.iter().all(|instance| !matches!(drained(stats.target(instance), now, limit), Drained::Busy(_)))
    }
}
