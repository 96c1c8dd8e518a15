//! What happened between two readings of the counters.

use std::collections::BTreeMap;
use std::time::Instant;

use cutover_core::histogram::Histogram;
use cutover_core::stats::{ServiceStats, Stats, TargetStats};
use cutover_core::{InstanceId, ReleaseNo, ServiceName};
use serde::Serialize;

use crate::agent::api::{ServiceStatus, Status};

/// One reading.
pub struct Reading {
    /// When it was made.
    pub at: Instant,
    /// What the agent knows.
    pub status: Status,
    /// What the proxy has counted.
    pub stats: Stats,
}

/// What happened between two of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    /// Over how many seconds.
    pub seconds: f64,
    /// Client connections open now.
    pub connections: u64,
    /// The proxy's memory in bytes.
    pub memory: u64,
    /// Whether the proxy began anew in between: then its counts are those since then.
    pub restarted: bool,
    /// By service.
    pub services: Vec<ServiceView>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceView {
    /// Its name.
    pub service: ServiceName,
    /// The release that serves.
    pub live: Option<ReleaseNo>,
    /// What is being deployed, and how far that has come.
    pub deployment: Option<String>,
    /// Requests that wait for an instance now.
    pub held: u64,
    /// All of it.
    pub all: Figures,
    /// By release, if there are several.
    pub releases: Vec<ReleaseView>,
    /// By instance.
    pub instances: Vec<InstanceView>,
}

/// One release.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReleaseView {
    /// Its number.
    pub release: ReleaseNo,
    /// Its instances together.
    pub all: Figures,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InstanceView {
    /// Which.
    pub instance: InstanceId,
    /// Its share of new requests, in percent.
    pub share: f64,
    /// Whether it is down, or left out for failing.
    pub trouble: Option<&'static str>,
    /// Its own.
    pub all: Figures,
}

/// Figures of the time between.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Figures {
    /// Requests a second, answered or not.
    pub per_second: f64,
    /// The share of those that failed or were answered with 500 to 599, in percent; none without requests.
    pub errors: Option<f64>,
    /// Half of the answers came within so many microseconds.
    pub p50_us: Option<u64>,
    /// 99 of a hundred did.
    pub p99_us: Option<u64>,
    /// Requests in hand now.
    pub in_flight: u64,
    /// Streams open now.
    pub streams: u64,
}

/// Counts that figures are made of, all of the time between.
#[derive(Debug, Clone, Default)]
struct Counts {
    served: u64,
    failed: u64,
    errors: u64,
    latency: Histogram,
    in_flight: u64,
    streams: u64,
}

impl View {
    /// What happened from one reading to the next; of one service, if one is named.
    pub fn between(before: &Reading, now: &Reading, only: Option<&ServiceName>) -> Self {
        let seconds = now.at.duration_since(before.at).as_secs_f64().max(0.001);
        let restarted = now.stats.started != before.stats.started;
        let empty = Stats::default();
        let then = if restarted { &empty } else { &before.stats };
        let services = now.status.services.iter().filter(|service| only.is_none_or(|only| service.name == *only));
        Self {
            seconds,
            connections: now.stats.connections,
            memory: now.status.proxy.as_ref().map_or(0, |proxy| proxy.memory),
            restarted,
            services: services.map(|service| ServiceView::of(service, then, &now.stats, seconds)).collect(),
        }
    }
}

impl ServiceView {
    fn of(status: &ServiceStatus, then: &Stats, now: &Stats, seconds: f64) -> Self {
        let targets = now.targets.iter().filter(|target| target.instance.service == status.name);
        let counts: Vec<(&InstanceId, Counts)> = targets
            .map(|target| (&target.instance, Counts::of_target(then.target(&target.instance), target)))
            .collect();
        let mut releases: BTreeMap<ReleaseNo, Counts> = BTreeMap::new();
        for (instance, counts) in &counts {
            releases.entry(instance.release).or_default().add(counts);
        }
        let mut all = now
            .service(&status.name)
            .map(|service| Counts::of_service(then.service(&status.name), service))
            .unwrap_or_default();
        all.in_flight = counts.iter().map(|(_, counts)| counts.in_flight).sum();
        all.streams = counts.iter().map(|(_, counts)| counts.streams).sum();
        let release = |(release, counts): (ReleaseNo, Counts)| ReleaseView { release, all: counts.figures(seconds) };
        let instance = |(instance, counts): &(&InstanceId, Counts)| {
            let known = status.instances.iter().find(|known| known.instance == **instance);
            let trouble = known.and_then(|known| match (&known.down, known.ejected) {
                (Some(_), _) => Some("down"),
                (None, true) => Some("left out"),
                (None, false) => None,
            });
            let share = known.map_or(0.0, |known| known.share);
            InstanceView { instance: (*instance).clone(), share, trouble, all: counts.figures(seconds) }
        };
        Self {
            service: status.name.clone(),
            live: status.live,
            deployment: deployment(status),
            held: now.service(&status.name).map_or(0, |service| service.held),
            all: all.figures(seconds),
            instances: counts.iter().map(instance).collect(),
            releases: if releases.len() > 1 { releases.into_iter().map(release).collect() } else { Vec::new() },
        }
    }
}

fn deployment(status: &ServiceStatus) -> Option<String> {
    let deployment = status.deployment.as_ref()?;
    let from = deployment.plan.from.map_or_else(String::new, |from| format!("{from} → "));
    let to = deployment.plan.to.map_or_else(|| "nothing".to_owned(), |to| to.to_string());
    let step = status.at_work.as_deref().unwrap_or("between two steps");
    let come = status.progress.as_ref().map(|progress| format!(", {progress}")).unwrap_or_default();
    Some(format!("{} {from}{to}: {step}{come}", deployment.id))
}

impl Counts {
    fn of_service(then: Option<&ServiceStats>, now: &ServiceStats) -> Self {
        let since = |now: u64, then: Option<u64>| now.saturating_sub(then.unwrap_or(0));
        Self {
            served: since(now.served, then.map(|then| then.served)),
            failed: since(now.failed, then.map(|then| then.failed)),
            errors: since(now.errors, then.map(|then| then.errors)),
            latency: then.map_or_else(|| now.latency.clone(), |then| now.latency.since(&then.latency)),
            ..Self::default()
        }
    }

    fn of_target(then: Option<&TargetStats>, now: &TargetStats) -> Self {
        let since = |now: u64, then: Option<u64>| now.saturating_sub(then.unwrap_or(0));
        let latency = now.latency.clone().unwrap_or_default();
        Self {
            served: since(now.served, then.map(|then| then.served)),
            failed: since(now.failed, then.map(|then| then.failed)),
            errors: since(now.errors, then.map(|then| then.errors)),
            latency: match then.and_then(|then| then.latency.as_ref()) {
                Some(then) => latency.since(then),
                None => latency,
            },
            in_flight: now.in_flight,
            streams: now.streams,
        }
    }

    fn add(&mut self, other: &Self) {
        self.served += other.served;
        self.failed += other.failed;
        self.errors += other.errors;
        self.latency.add(&other.latency);
        self.in_flight += other.in_flight;
        self.streams += other.streams;
    }

    fn figures(&self, seconds: f64) -> Figures {
        let requests = self.served + self.failed;
        let quantile = |share| self.latency.quantile(share).and_then(|time| u64::try_from(time.as_micros()).ok());
        Figures {
            per_second: requests as f64 / seconds,
            errors: (requests > 0).then(|| (self.failed + self.errors) as f64 / requests as f64 * 100.0),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            in_flight: self.in_flight,
            streams: self.streams,
        }
    }
}

#[cfg(test)]
mod tests;
