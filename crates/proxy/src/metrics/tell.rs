//! Which metrics there are. `docs/metrics.md` lists them, and a test compares.

use std::collections::HashMap;
use std::fmt::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use cutover_core::stats::{Further, ServiceStats, Stats, TargetStats, TrafficCounters};
use cutover_core::table::Mode;
use cutover_core::tls::CertificateStats;
use cutover_core::{InstanceId, ServiceName};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::MOST_INSTANCES;
use super::family::{counter, gauge, histogram};
use super::process::{Process, started};
use crate::live::count::STATUSES;
use crate::live::service::LiveService;
use crate::live::target::LiveTarget;
use crate::tls::certificates::Certificates;
use crate::worker::Shared;

/// What a scrape is told, in the text format of OpenMetrics 1.0: of these services, and of the process. What grows is told as it was `counted`,
/// by all processes together; what goes up and down is this process's own.
pub fn tell(
    shared: &Arc<Shared>,
    certificates: &Certificates,
    services: &[ServiceName],
    counted: Stats,
) -> Result<String, Error> {
    let mut registry = Registry::default();
    let (shared, services) = (shared.clone(), services.to_vec());
    let mut certificates = certificates.stats();
    certificates.retain(|certificate| services.contains(&certificate.service));
    registry.register_collector(Box::new(Tell { shared, services, certificates, counted }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

#[derive(Debug)]
struct Tell {
    shared: Arc<Shared>,
    services: Vec<ServiceName>,
    certificates: Vec<CertificateStats>,
    counted: Stats,
}

/// What was counted, to be looked up.
struct Counted<'a> {
    targets: HashMap<&'a InstanceId, &'a TargetStats>,
    stats: &'a Stats,
    further: Further,
}

/// A service, read once for all of its families.
struct Service {
    name: String,
    stats: ServiceStats,
    traffic: TrafficCounters,
    in_flight: u64,
    streams: u64,
}

/// An instance, likewise.
struct Instance {
    service: String,
    release: String,
    name: String,
    stats: TargetStats,
    sum_us: u64,
    weight: f64,
}

impl Collector for Tell {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), Error> {
        let encoder = &mut encoder;
        let table = self.shared.live.table();
        let named: Vec<&Arc<LiveService>> = self.services.iter().filter_map(|name| table.service(name)).collect();
        let counted = Counted::of(&self.counted);
        let now = self.shared.now_us();
        let services: Vec<Service> = named.iter().map(|service| Service::read(service, &counted, now)).collect();
        let all = named.iter().flat_map(|service| service.spec.targets.iter().zip(&service.targets));
        let left_out = all.clone().count().saturating_sub(MOST_INSTANCES);
        let instances: Vec<Instance> =
            all.take(MOST_INSTANCES).map(|(spec, target)| Instance::read(target, &counted, spec.mode)).collect();
        self.process(encoder, &counted.further)?;
        requests(encoder, &services)?;
        connections(encoder, &services)?;
        certificates_of(encoder, &self.certificates)?;
        gauge(
            encoder,
            "cutover_instances_left_out",
            "Instances that are not told, because there are too many",
            [([], left_out as f64)],
        )?;
        instances_of(encoder, &instances)
    }
}

impl Tell {
    fn process(&self, encoder: &mut DescriptorEncoder<'_>, counted: &Further) -> Result<(), Error> {
        let (process, shared, counts) = (Process::read(), &self.shared, &counted.process);
        let one = |value: f64| [([], value)];
        let version = [([("version", env!("CARGO_PKG_VERSION"))], 1.0)];
        gauge(encoder, "cutover_build_info", "Always 1; the version is a label", version)?;
        let generation = shared.live.table().spec.generation.0 as f64;
        gauge(encoder, "cutover_table_generation", "The generation of the table that is served", one(generation))?;
        let open = shared.connections.load(Relaxed) as f64;
        gauge(encoder, "cutover_connections", "Client connections open now", one(open))?;
        let accepted = [([], counts.accepted)];
        counter(encoder, "cutover_connections_accepted", "Client connections accepted", accepted)?;
        let unrouted = counts.refused.iter().map(|(reason, count)| ([("reason", reason.as_str())], *count));
        counter(encoder, "cutover_unrouted", "Requests refused before their service was known", unrouted)?;
        let dropped = [([], counts.unlogged)];
        counter(encoder, "cutover_access_log_dropped", "Lines of access logs dropped, the disk being slow", dropped)?;
        let sent = [([], counts.spans_sent)];
        counter(encoder, "cutover_spans_sent", "Spans that a receiver has taken", sent)?;
        let lost = counts.spans_dropped.iter().map(|(reason, count)| ([("reason", reason.as_str())], *count));
        counter(encoder, "cutover_spans_dropped", "Spans that no receiver got", lost)?;
        let cpu = one(counts.cpu_us as f64 / 1e6);
        counter(encoder, "process_cpu_seconds", "Processor time of the proxy", cpu)?;
        gauge(encoder, "process_resident_memory_bytes", "Memory of the proxy", one(process.resident as f64))?;
        let virtual_memory = one(process.virtual_memory as f64);
        gauge(encoder, "process_virtual_memory_bytes", "Address space of the proxy", virtual_memory)?;
        gauge(encoder, "process_open_fds", "Open descriptors of the proxy", one(process.open_fds as f64))?;
        gauge(encoder, "process_max_fds", "How many descriptors it may open", one(process.max_fds as f64))?;
        gauge(encoder, "process_threads", "Threads of the proxy", one(process.threads as f64))?;
        let started = one(started(shared.now_us()));
        gauge(encoder, "process_start_time_seconds", "When the proxy started, since 1970", started)
    }
}

/// A certificate that is not there yet has no end.
fn certificates_of(encoder: &mut DescriptorEncoder<'_>, certificates: &[CertificateStats]) -> Result<(), Error> {
    let texts: Vec<_> = certificates.iter().map(|one| (one.service.as_str(), one.listener.to_string(), one)).collect();
    let each = |value: fn(&CertificateStats) -> Option<f64>| {
        texts.iter().filter_map(move |(service, listener, one)| {
            Some((
                [("service", *service), ("listener", listener.as_str()), ("certificate", one.source.as_str())],
                value(one)?,
            ))
        })
    };
    let until = each(|one| one.until.map(|until| until.0 as f64 / 1e3));
    gauge(encoder, "cutover_certificate_expiry_timestamp_seconds", "Until when the certificate is good", until)?;
    let problem = each(|one| Some(f64::from(one.has_problem())));
    gauge(encoder, "cutover_certificate_problem", "1 if there is none, or no new one can be had or used", problem)
}

fn requests(encoder: &mut DescriptorEncoder<'_>, services: &[Service]) -> Result<(), Error> {
    let each = |of: fn(&Service) -> u64| services.iter().map(move |s| ([("service", s.name.as_str())], of(s)));
    let statuses = services.iter().flat_map(|s| {
        let count = |class: &str| s.traffic.statuses.get(class).copied().unwrap_or(0);
        STATUSES.iter().map(move |class| ([("service", s.name.as_str()), ("code", *class)], count(class)))
    });
    counter(encoder, "cutover_requests", "Requests that are over, by what the client got", statuses)?;
    let reasons = services.iter().flat_map(|s| {
        let labels = |reason| [("service", s.name.as_str()), ("reason", reason)];
        s.traffic.refused.iter().map(move |(reason, count)| (labels(reason.as_str()), *count))
    });
    counter(encoder, "cutover_proxy_errors", "Requests that the proxy answered in place of an instance", reasons)?;
    counter(encoder, "cutover_served", "Requests and connections that an instance answered", each(|s| s.stats.served))?;
    counter(
        encoder,
        "cutover_failed",
        "Requests that no instance answered, or not to the end",
        each(|s| s.stats.failed),
    )?;
    counter(encoder, "cutover_retries", "Requests sent once more", each(|s| s.stats.retried))?;
    counter(encoder, "cutover_holds", "Requests that had to wait for an instance", each(|s| s.traffic.holds))?;
    counter(encoder, "cutover_received_bytes", "Bytes from clients", each(|s| s.traffic.received))?;
    counter(encoder, "cutover_sent_bytes", "Bytes to clients", each(|s| s.traffic.sent))?;
    let latency = services
        .iter()
        .map(|s| ([("service", s.name.as_str())], s.stats.latency.counts().to_vec(), s.traffic.latency_sum_us));
    let what = ("cutover_request_duration_seconds", "From the request's head to the answer's", 1);
    histogram(encoder, what, latency)
}

fn connections(encoder: &mut DescriptorEncoder<'_>, services: &[Service]) -> Result<(), Error> {
    let each = |of: fn(&Service) -> u64| services.iter().map(move |s| ([("service", s.name.as_str())], of(s)));
    let now = |of: fn(&Service) -> u64| each(of).map(|(labels, count)| (labels, count as f64));
    let connects = each(|s| s.traffic.connects);
    counter(encoder, "cutover_upstream_connects", "Connections opened to instances", connects)?;
    gauge(encoder, "cutover_held", "Requests that wait for an instance now", now(|s| s.stats.held))?;
    gauge(encoder, "cutover_in_flight", "Requests at instances now", now(|s| s.in_flight))?;
    gauge(encoder, "cutover_streams", "Streams open at instances now", now(|s| s.streams))
}

fn instances_of(encoder: &mut DescriptorEncoder<'_>, instances: &[Instance]) -> Result<(), Error> {
    let each = |of: fn(&Instance) -> u64| instances.iter().map(move |i| (i.labels(), of(i)));
    let now = |of: fn(&Instance) -> f64| instances.iter().map(move |i| (i.labels(), of(i)));
    counter(encoder, "cutover_instance_served", "Requests that it answered", each(|i| i.stats.served))?;
    counter(encoder, "cutover_instance_failed", "Requests that it did not answer", each(|i| i.stats.failed))?;
    counter(encoder, "cutover_instance_errors", "Answers with a status from 500 to 599", each(|i| i.stats.errors))?;
    gauge(encoder, "cutover_instance_in_flight", "Requests there now", now(|i| i.stats.in_flight as f64))?;
    gauge(encoder, "cutover_instance_streams", "Streams open there now", now(|i| i.stats.streams as f64))?;
    gauge(encoder, "cutover_instance_idle_connections", "Idle connections to it", now(|i| i.stats.idle as f64))?;
    gauge(encoder, "cutover_instance_weight", "Its share of new requests; 0: it gets none", now(|i| i.weight))?;
    gauge(
        encoder,
        "cutover_instance_ejected",
        "1 while it is left out for failing",
        now(|i| f64::from(i.stats.ejected)),
    )?;
    let counts = |i: &Instance| i.stats.latency.as_ref().map(|latency| latency.counts().to_vec());
    let latency = instances.iter().filter_map(|i| Some((i.labels(), counts(i)?, i.sum_us)));
    let what = ("cutover_instance_duration_seconds", "From when it was chosen to the answer's head", 2);
    histogram(encoder, what, latency)
}

impl<'a> Counted<'a> {
    fn of(stats: &'a Stats) -> Self {
        let targets = stats.targets.iter().map(|target| (&target.instance, target)).collect();
        Self { targets, stats, further: stats.further.as_deref().cloned().unwrap_or_default() }
    }
}

impl Service {
    fn read(service: &LiveService, counted: &Counted<'_>, now_us: u64) -> Self {
        let own = service.counts.stats(&service.spec.name, now_us);
        let name = &service.spec.name;
        let loads: Vec<_> = service.targets.iter().map(|target| target.gate.load()).collect();
        Self {
            name: name.to_string(),
            stats: counted
                .stats
                .service(name)
                .map_or(own.clone(), |all| ServiceStats { held: own.held, ..all.clone() }),
            traffic: counted.further.services.get(name).cloned().unwrap_or_else(|| service.counts.traffic()),
            in_flight: loads.iter().map(|load| load.in_flight).sum(),
            streams: loads.iter().map(|load| load.streams).sum(),
        }
    }
}

impl Instance {
    fn read(target: &LiveTarget, counted: &Counted<'_>, mode: Mode) -> Self {
        let (own, own_sum) = (target.stats(), target.counts.latency_sum_us());
        let TargetStats { in_flight, streams, idle, ejected, .. } = own;
        let all = counted.targets.get(&target.instance).map(|all| (*all).clone()).unwrap_or(own);
        Self {
            service: target.instance.service.to_string(),
            release: target.instance.release.to_string(),
            name: target.instance.to_string(),
            stats: TargetStats { in_flight, streams, idle, ejected, ..all },
            sum_us: counted.further.latency_sums.get(&target.instance).copied().unwrap_or(own_sum),
            weight: if let Mode::Serving { weight } = mode { f64::from(weight) } else { 0.0 },
        }
    }

    fn labels(&self) -> [(&'static str, &str); 3] {
        [("service", &self.service), ("release", &self.release), ("instance", &self.name)]
    }
}
