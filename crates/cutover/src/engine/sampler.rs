//! Gathers what a deployment's proof is made of.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cutover_core::histogram::Histogram;
use cutover_core::machine::ServiceState;
use cutover_core::proof::{Baseline, Proof};
use cutover_core::stats::Stats;
use cutover_core::{InstanceId, ServiceName};
use tokio::time::Instant;

use super::Parts;
use super::perform::together;

/// How often the counters are read, and how many readings are kept: together the minute before.
const READ_EVERY: Duration = Duration::from_secs(5);
const READINGS: usize = 13;

/// So many answers tell how long answers take: five of them are the slowest hundredth.
const ENOUGH: u64 = 500;

/// What was read and noted so far. Nothing of it outlives the agent; a proof says `None` where it is missing.
#[derive(Default)]
pub(super) struct Sampler {
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    readings: VecDeque<Stats>,
    moments: BTreeMap<ServiceName, Moments>,
}

#[derive(Default, Clone, Copy)]
struct Moments {
    ready: Option<Instant>,
    shifted: Option<Instant>,
    streams_kept: u64,
}

impl Sampler {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latency of the last minute.
    fn before(&self, service: &ServiceName) -> Histogram {
        let noted = self.noted();
        let at = |stats: Option<&Stats>| stats.and_then(|s| s.service(service)).map(|s| s.latency.clone());
        match (at(noted.readings.back()), at(noted.readings.front())) {
            (Some(now), Some(then)) => now.since(&then),
            (Some(now), None) => now,
            (None, _) => Histogram::default(),
        }
    }

    fn read(&self, stats: Stats) {
        let mut noted = self.noted();
        noted.readings.push_back(stats);
        if noted.readings.len() > READINGS {
            noted.readings.pop_front();
        }
    }
}

impl Parts {
    /// Reads the counters from time to time.
    pub(super) async fn sample(&self) {
        loop {
            if let Ok(stats) = self.world.router.stats().await {
                self.sampler.read(stats);
            }
            tokio::time::sleep(READ_EVERY).await;
        }
    }

    /// How long the answers of these took in the last minute. If those are few, all that is known.
    pub(super) fn latency_before(&self, now: &Stats, instances: &[InstanceId]) -> Option<Histogram> {
        let of = |stats: &Stats| {
            let targets = instances.iter().filter_map(|id| stats.target(id));
            targets.fold(None, |sum, target| together(sum, target.latency.as_ref()))
        };
        let all = of(now)?;
        let then = self.sampler.noted().readings.front().and_then(of);
        let recent = then.map(|then| all.since(&then)).filter(|recent| recent.total() >= ENOUGH);
        Some(recent.unwrap_or(all))
    }

    /// What the router has counted so far; a new longest gap begins here.
    pub(super) async fn baseline(&self, service: &ServiceName) -> Option<Box<Baseline>> {
        self.sampler.noted().moments.insert(service.clone(), Moments::default());
        if let Ok(stats) = self.world.router.stats().await {
            self.sampler.read(stats);
        }
        let counters = self.world.router.mark(service).await.ok().flatten()?;
        Some(Box::new(Baseline { counters, before: self.sampler.before(service) }))
    }

    pub(super) fn note_ready(&self, service: &ServiceName) {
        self.sampler.noted().moments.entry(service.clone()).or_default().ready = Some(Instant::now());
    }

    pub(super) fn note_shifted(&self, service: &ServiceName) {
        let mut noted = self.sampler.noted();
        noted.moments.entry(service.clone()).or_default().shifted.get_or_insert_with(Instant::now);
    }

    pub(super) async fn note_streams_kept(&self, service: &ServiceName, old: &[InstanceId]) {
        if let Ok(stats) = self.world.router.stats().await {
            let streams = old.iter().filter_map(|id| stats.target(id)).map(|target| target.streams).sum();
            self.sampler.noted().moments.entry(service.clone()).or_default().streams_kept = streams;
        }
    }

    /// The proof of the deployment that is about to end; `None` if the router does not know the service.
    pub(super) async fn finish_proof(&self, service: &ServiceName) -> Option<Proof> {
        let state: ServiceState = self.ledger.state(service);
        let deployment = state.deployment.as_ref()?;
        let stats = self.world.router.stats().await.ok()?;
        let counted = Proof::since(deployment.baseline.as_deref(), stats.service(service)?);
        let moments = self.sampler.noted().moments.remove(service).unwrap_or_default();
        let took = self.now().since(deployment.began);
        let to_traffic = moments.ready.zip(moments.shifted).map(|(ready, shifted)| shifted.duration_since(ready));
        Some(Proof {
            streams_kept: moments.streams_kept,
            ready_to_traffic_ms: to_traffic.map(millis),
            took_ms: millis(took),
            proxy_restarts: deployment.router_returns,
            ..counted
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
