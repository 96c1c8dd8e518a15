//! What is in hand behind an nginx, which does not tell.
//!
//! The connections that are open at an instance are counted, whoever made them, and beside them every worker of nginx that was
//! there before the last switch and has not ended: such a worker may still read a request (a slow upload, a connection without
//! a request so far) that it will pass on by the old configuration, on a connection which does not exist yet.
//!
//! For the first seconds after an instance was taken out, all of that counts as requests in flight; from then on as streams,
//! which have the long clock and do not hold up a deployment. That is the safe reading: it never cuts anything early. What
//! cannot be seen counts as one, never as none; and until nginx has acknowledged that an instance gets nothing, it counts as
//! one request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cutover_core::InstanceId;
use cutover_core::stats::TargetStats;
use cutover_core::table::{Mode, Target};
use tokio::time::Instant;

use super::front::{Front, InForce};
use super::log::Answered;
use super::place::Role;
use crate::engine::port::Runtime;

/// How long what an instance has in hand counts as requests once it gets nothing new.
const REQUESTS_FOR: Duration = Duration::from_secs(5);

/// What has streams is looked at again after a tenth of the time for which it has had them, and after so long at most. A look costs milliseconds, for
/// the kernel goes through all connections of the machine, and of those that wait for their streams there may be many.
const STREAMS_PAUSE: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How often the old workers are looked at, in turns of the place's own pause.
const WORKER_PAUSES: u32 = 5;

/// What the counting needs to remember.
#[derive(Default)]
pub(super) struct Counting {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Those who get nothing new.
    out: BTreeMap<InstanceId, Out>,
    /// The workers of before the last switch, and when they were last looked at.
    old: BTreeSet<u32>,
    looked: Option<Instant>,
}

/// One that gets nothing new.
#[derive(Clone, Copy)]
struct Out {
    since: Instant,
    /// When it was looked at for its streams, and how many it had.
    streams: Option<(Instant, u64)>,
}

impl Counting {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// nginx has acknowledged a state. `old` are the workers of before, if it took a reload.
    pub(super) fn acknowledged(&self, state: &InForce, old: Option<Vec<u32>>) {
        let mut inner = self.inner();
        let new = Out { since: Instant::now(), streams: None };
        let known = |id: &InstanceId| inner.out.get(id).copied().unwrap_or(new);
        inner.out = state.others.iter().map(|s| (s.instance.clone(), known(&s.instance))).collect();
        if let Some(old) = old {
            inner.old.extend(old);
            inner.looked = None;
        }
    }

    fn saw_streams(&self, instance: &InstanceId, count: u64) {
        if let Some(out) = self.inner().out.get_mut(instance) {
            out.streams = Some((Instant::now(), count));
        }
    }

    /// The streams of one that gets nothing new, if it had some a short while ago. That one has none is always looked at.
    fn streams_of(&self, instance: &InstanceId) -> Option<u64> {
        let Out { since, streams } = *self.inner().out.get(instance)?;
        let (seen, streams) = streams?;
        let pause = (since.elapsed() / STREAMS_PAUSE).min(LONGEST_PAUSE);
        (streams > 0 && seen.elapsed() < pause).then_some(streams)
    }
}

impl Front {
    /// The counters of the service's instances, as far as they can be told.
    pub(super) async fn count(&self, targets: &[Target], runtime: &dyn Runtime) -> Vec<TargetStats> {
        let mut counted = Vec::with_capacity(targets.len());
        let answered = self.answered(&self.who(targets)).await;
        for target in targets {
            let Answered { served, errors } = answered.get(&target.instance).copied().unwrap_or_default();
            if let Some(streams) = self.counting.streams_of(&target.instance) {
                counted.push(TargetStats { served, errors, ..stats(&target.instance, 0, streams) });
                continue;
            }
            let connections = connections(&target.instance, runtime).await;
            let in_hand = match target.mode {
                Mode::Serving { .. } => match connections {
                    Connections::Open(count) => stats(&target.instance, count, 0),
                    Connections::Ended | Connections::Unknown => stats(&target.instance, 0, 0),
                },
                _ => self.drained(&target.instance, connections).await,
            };
            counted.push(TargetStats { served, errors, ..in_hand });
        }
        counted
    }

    /// Whatever an old worker may yet pass on, nobody who has ended gets it.
    async fn drained(&self, instance: &InstanceId, connections: Connections) -> TargetStats {
        let connections = match connections {
            Connections::Ended => return stats(instance, 0, 0),
            Connections::Open(count) => Some(count),
            Connections::Unknown => None,
        };
        let out = self.counting.inner().out.get(instance).copied();
        let Some(Out { since, .. }) = out else { return stats(instance, connections.unwrap_or(0).max(1), 0) };
        let in_hand = connections.unwrap_or(1) + self.old_workers().await;
        if since.elapsed() < REQUESTS_FOR {
            return stats(instance, in_hand, 0);
        }
        self.counting.saw_streams(instance, in_hand);
        stats(instance, 0, in_hand)
    }

    /// How many workers of before the last switch have not ended. Remembered for a moment: a place may be far away.
    async fn old_workers(&self) -> u64 {
        let pause = self.place.look_again() * WORKER_PAUSES;
        let known = {
            let inner = self.counting.inner();
            let fresh = inner.looked.is_some_and(|looked| looked.elapsed() < pause);
            (inner.old.is_empty() || fresh).then_some(inner.old.len())
        };
        if let Some(known) = known {
            return known as u64;
        }
        let seen = self.processes().await;
        let mut inner = self.counting.inner();
        if let Ok(seen) = seen {
            let alive: BTreeSet<u32> = seen.iter().filter(|p| p.role != Role::Master).map(|p| p.pid).collect();
            inner.old.retain(|pid| alive.contains(pid));
        }
        inner.looked = Some(Instant::now());
        inner.old.len() as u64
    }
}

/// What is open at an instance.
#[derive(Clone, Copy)]
enum Connections {
    Open(u64),
    /// It does not run.
    Ended,
    Unknown,
}

async fn connections(instance: &InstanceId, runtime: &dyn Runtime) -> Connections {
    if let Some(peers) = runtime.connections(instance).await {
        return Connections::Open(peers.len() as u64);
    }
    let Ok(seen) = runtime.observe().await else { return Connections::Unknown };
    match seen.iter().find(|seen| seen.instance == *instance) {
        Some(seen) if seen.exit.is_none() => Connections::Unknown,
        Some(_) => Connections::Ended,
        // Somebody else's: an old worker may still pass something on to it.
        None => Connections::Open(0),
    }
}

fn stats(instance: &InstanceId, in_flight: u64, streams: u64) -> TargetStats {
    let instance = instance.clone();
    TargetStats {
        instance,
        in_flight,
        streams,
        idle: 0,
        served: 0,
        failed: 0,
        errors: 0,
        latency: None,
        ejected: false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::render::Server;
    use super::*;

    /// Seen to fail without the limit on the pause, and with
    /// none remembered as some are.
    #[tokio::test(start_paused = true)]
    async fn who_has_had_streams_for_long_is_looked_at_less_often() {
        let instance: InstanceId = "web.r1.i1".parse().unwrap();
        let server = Server { instance: instance.clone(), address: ([127, 0, 0, 1], 1).into(), weight: 1 };
        let (with, without) = (vec![server], Vec::new());
        let counting = Counting::default();
        let state = |servers: &Vec<Server>, others: &Vec<Server>| {
            counting.acknowledged(&InForce { servers: servers.clone(), others: others.clone() }, None);
        };
        let after = |seconds| tokio::time::advance(Duration::from_secs(seconds));
        state(&without, &with);
        after(50).await;
        assert_eq!(counting.streams_of(&instance), None, "nobody has looked");
        counting.saw_streams(&instance, 3);
        after(4).await;
        assert_eq!(counting.streams_of(&instance), Some(3));
        after(2).await;
        assert_eq!(counting.streams_of(&instance), None, "for a tenth of the time");
        after(10_000).await;
        counting.saw_streams(&instance, 0);
        assert_eq!(counting.streams_of(&instance), None, "that there are none is looked at again");
        counting.saw_streams(&instance, 1);
        after(11).await;
        assert_eq!(counting.streams_of(&instance), None, "no pause is longer");
        counting.saw_streams(&instance, 1);
        state(&with, &without);
        state(&without, &with);
        after(1).await;
        assert_eq!(counting.streams_of(&instance), None, "it has served in between");
    }
}
