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
use cutover_core::table::Target;
use tokio::time::Instant;

use super::front::{Front, InForce};
use super::log::Answered;
use super::place::Role;
use crate::engine::port::Runtime;

/// How long what an instance has in hand counts as requests once it gets nothing new.
const REQUESTS_FOR: Duration = Duration::from_secs(5);

/// What has something in hand is looked at again after a tenth of the time for which it has got nothing new, and after so long at most; what
/// serves, where nothing depends on the number, after a second. A look costs milliseconds, for the kernel goes through all connections of the
/// machine; and whoever waits for one instance asks for all, of which there may be many.
const PAUSE_SHARE: u32 = 10;
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const SERVING_PAUSE: Duration = Duration::from_secs(1);

/// How often the old workers are looked at, in turns of the place's own pause.
const WORKER_PAUSES: u32 = 5;

/// What the counting needs to remember.
#[derive(Default)]
pub(super) struct Counting {
    /// One looks at a time. Those who ask meanwhile get what that one saw.
    looking: tokio::sync::Mutex<()>,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Those who serve, and what they were seen to have in hand.
    serving: BTreeMap<InstanceId, Seen>,
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
    seen: Option<Seen>,
}

impl Out {
    /// What it has in hand counts as this.
    fn stats(&self, instance: &InstanceId, in_hand: u64) -> TargetStats {
        if self.since.elapsed() < REQUESTS_FOR { stats(instance, in_hand, 0) } else { stats(instance, 0, in_hand) }
    }
}

/// How much was in hand, and when that was seen.
#[derive(Clone, Copy)]
struct Seen {
    at: Instant,
    count: u64,
}

impl Counting {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// nginx has acknowledged a state. `old` are the workers of before, if it took a reload.
    pub(super) fn acknowledged(&self, state: &InForce, old: Option<Vec<u32>>) {
        let mut inner = self.inner();
        let new = Out { since: Instant::now(), seen: None };
        let known = |id: &InstanceId| inner.out.get(id).copied().unwrap_or(new);
        inner.out = state.others.iter().map(|s| (s.instance.clone(), known(&s.instance))).collect();
        inner.serving.clear();
        if let Some(old) = old {
            inner.old.extend(old);
            inner.looked = None;
        }
    }

    fn saw(&self, target: &Target, count: u64) {
        let seen = Seen { at: Instant::now(), count };
        let mut inner = self.inner();
        if target.serves() {
            inner.serving.insert(target.instance.clone(), seen);
        } else if let Some(out) = inner.out.get_mut(&target.instance) {
            out.seen = Some(seen);
        }
    }

    /// What was seen a short while ago. That one who gets nothing new has nothing in hand is always looked at.
    fn remembered(&self, target: &Target) -> Option<TargetStats> {
        let inner = self.inner();
        let instance = &target.instance;
        if target.serves() {
            let seen = inner.serving.get(instance).filter(|seen| seen.at.elapsed() < SERVING_PAUSE)?;
            return Some(stats(instance, seen.count, 0));
        }
        let out = inner.out.get(instance)?;
        let pause = (out.since.elapsed() / PAUSE_SHARE).min(LONGEST_PAUSE);
        let seen = out.seen.filter(|seen| seen.count > 0 && seen.at.elapsed() < pause)?;
        Some(out.stats(instance, seen.count))
    }
}

impl Front {
    /// The counters of the service's instances, as far as they can be told.
    pub(super) async fn count(&self, targets: &[Target], runtime: &dyn Runtime) -> Vec<TargetStats> {
        let mut counted = Vec::with_capacity(targets.len());
        let answered = self.answered(&self.who(targets)).await;
        for target in targets {
            let Answered { served, errors } = answered.get(&target.instance).copied().unwrap_or_default();
            let in_hand = match self.counting.remembered(target) {
                Some(in_hand) => in_hand,
                None => self.look_at(target, runtime).await,
            };
            counted.push(TargetStats { served, errors, ..in_hand });
        }
        counted
    }

    async fn look_at(&self, target: &Target, runtime: &dyn Runtime) -> TargetStats {
        let _alone = self.counting.looking.lock().await;
        if let Some(in_hand) = self.counting.remembered(target) {
            return in_hand;
        }
        let instance = &target.instance;
        let connections = connections(instance, runtime).await;
        if target.serves() {
            let count = if let Connections::Open(count) = connections { count } else { 0 };
            self.counting.saw(target, count);
            return stats(instance, count, 0);
        }
        let connections = match connections {
            // Whatever an old worker may yet pass on, nobody who has ended gets it.
            Connections::Ended => return stats(instance, 0, 0),
            Connections::Open(count) => Some(count),
            Connections::Unknown => None,
        };
        let out = self.counting.inner().out.get(instance).copied();
        let Some(out) = out else { return stats(instance, connections.unwrap_or(0).max(1), 0) };
        let in_hand = connections.unwrap_or(1) + self.old_workers().await;
        self.counting.saw(target, in_hand);
        out.stats(instance, in_hand)
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
    use cutover_core::table::{Mode, Protocol};

    use super::super::render::Server;
    use super::*;

    struct Bench {
        counting: Counting,
        target: Target,
    }

    impl Bench {
        fn new() -> Self {
            let target = Target {
                instance: "web.r1.i1".parse().unwrap(),
                address: ([127, 0, 0, 1], 1).into(),
                mode: Mode::Draining,
                protocol: Protocol::default(),
                tls: None,
                socket: None,
            };
            Self { counting: Counting::default(), target }
        }

        fn becomes(&mut self, mode: Mode) {
            self.target.mode = mode;
            let server = Server { instance: self.target.instance.clone(), address: self.target.address, weight: 1 };
            let (servers, others) = if self.target.serves() { (vec![server], vec![]) } else { (vec![], vec![server]) };
            self.counting.acknowledged(&InForce { servers, others }, None);
        }

        /// What is remembered as requests and as streams.
        fn remembered(&self) -> Option<(u64, u64)> {
            self.counting.remembered(&self.target).map(|stats| (stats.in_flight, stats.streams))
        }

        fn saw(&self, count: u64) {
            self.counting.saw(&self.target, count);
        }
    }

    async fn after(milliseconds: u64) {
        tokio::time::advance(Duration::from_millis(milliseconds)).await;
    }

    const SERVES: Mode = Mode::Serving { weight: 1 };

    /// Seen to fail without the limit on the pause, without a pause, and with none remembered as some are.
    #[tokio::test(start_paused = true)]
    async fn who_has_been_out_for_long_is_looked_at_less_often() {
        let mut bench = Bench::new();
        bench.becomes(Mode::Draining);
        after(1_000).await;
        assert_eq!(bench.remembered(), None, "nobody has looked");
        bench.saw(3);
        after(90).await;
        assert_eq!(bench.remembered(), Some((3, 0)), "as requests at first");
        after(30).await;
        assert_eq!(bench.remembered(), None, "for a tenth of the time");
        after(50_000).await;
        bench.saw(3);
        after(4_000).await;
        assert_eq!(bench.remembered(), Some((0, 3)), "as streams from then on");
        after(2_000).await;
        assert_eq!(bench.remembered(), None);
        after(10_000_000).await;
        bench.saw(0);
        assert_eq!(bench.remembered(), None, "that there are none is looked at again");
        bench.saw(1);
        after(11_000).await;
        assert_eq!(bench.remembered(), None, "no pause is longer");
    }

    /// Seen to fail with what serves remembered for ten seconds, with nothing forgotten at a switch, and with what was seen of one that
    /// served taken for one that is out.
    #[tokio::test(start_paused = true)]
    async fn nothing_seen_of_one_that_served_counts_once_it_is_out() {
        let mut bench = Bench::new();
        bench.becomes(SERVES);
        bench.saw(0);
        after(900).await;
        assert_eq!(bench.remembered(), Some((0, 0)), "nothing depends on it");
        after(200).await;
        assert_eq!(bench.remembered(), None);
        bench.saw(0);
        bench.target.mode = Mode::Draining;
        assert_eq!(bench.remembered(), None, "set to drain, and not yet acknowledged");
        bench.becomes(Mode::Draining);
        bench.becomes(SERVES);
        assert_eq!(bench.remembered(), None, "what was seen before is forgotten");
        bench.becomes(Mode::Draining);
        after(1_000).await;
        assert_eq!(bench.remembered(), None);
        bench.saw(1);
        bench.becomes(SERVES);
        assert_eq!(bench.remembered(), None, "it serves again");
        bench.becomes(Mode::Draining);
        after(50).await;
        assert_eq!(bench.remembered(), None, "it has served in between");
    }
}
