//! The counters behind a report, kept while the load runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::failure::{Class, Failure, Kind};
use crate::ledger::Book;
use crate::report::{Certainty, Gap, Latency, Release, Report, Requests, Span, StreamEnd, Streams, Uploads};

/// Latencies are kept in microseconds with three digits, up to this.
const LONGEST_LATENCY_US: u64 = 600_000_000;

/// The counters of one run. Times are counted from its start.
pub(crate) struct Tally {
    started_unix: Duration,
    failures_kept: usize,
    pub requests: Requests,
    pub uploads: Uploads,
    pub sse: Streams,
    pub websockets: Streams,
    stream_ends: Vec<StreamEnd>,
    classes: BTreeMap<Class, u64>,
    failures: Vec<Failure>,
    latency: Histogram<u64>,
    releases: BTreeMap<String, Span>,
    last_answer: Option<Duration>,
    gap: Gap,
    stopped: Option<Duration>,
}

impl Tally {
    pub(crate) fn new(started_unix: Duration, failures_kept: usize) -> Self {
        Self {
            started_unix,
            failures_kept,
            requests: Requests::default(),
            uploads: Uploads::default(),
            sse: Streams::default(),
            websockets: Streams::default(),
            stream_ends: Vec::new(),
            classes: BTreeMap::new(),
            failures: Vec::new(),
            latency: Histogram::new_with_bounds(1, LONGEST_LATENCY_US, 3).expect("these bounds are valid"),
            releases: BTreeMap::new(),
            last_answer: None,
            gap: Gap::default(),
            stopped: None,
        }
    }

    /// Counts a good answer. An upload has no latency worth the name.
    pub(crate) fn answer(&mut self, release: String, latency: Option<Duration>, at: Duration) {
        self.requests.answered += 1;
        if let Some(latency) = latency {
            self.latency.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        }
        let span = self.releases.entry(release).or_insert(Span { answers: 0, first: at, last: at });
        (span.answers, span.last) = (span.answers + 1, at);
        // When the load is told to stop, silence is what was asked for.
        self.gap = self.gap_until(self.stopped.map_or(at, |stopped| at.min(stopped)));
        self.last_answer = Some(at);
    }

    pub(crate) fn fail(&mut self, failure: Failure) {
        match failure.client {
            Kind::Naive | Kind::Peek | Kind::Fresh if failure.class == Class::Meter && failure.id.is_none() => {}
            Kind::Naive | Kind::Peek | Kind::Fresh => self.requests.failed += 1,
            Kind::Upload => {
                self.requests.failed += 1;
                self.uploads.failed += 1;
            }
            Kind::Sse | Kind::WebSocket | Kind::Meter => {}
        }
        *self.classes.entry(failure.class).or_default() += 1;
        if self.failures.len() < self.failures_kept {
            self.failures.push(failure);
        }
    }

    /// Notes that the server has ended a stream, or cut it.
    pub(crate) fn stream_ended(&mut self, end: StreamEnd) {
        let streams = self.streams(end.client);
        streams.open -= 1;
        if end.proper {
            streams.ended_by_server += 1;
        } else {
            streams.cut += 1;
        }
        if self.stream_ends.len() < self.failures_kept {
            self.stream_ends.push(end);
        }
    }

    pub(crate) fn streams(&mut self, client: Kind) -> &mut Streams {
        if client == Kind::Sse { &mut self.sse } else { &mut self.websockets }
    }

    /// Says that the load is told to stop. What follows is not a gap any more.
    pub(crate) fn stop(&mut self, at: Duration) {
        self.stopped.get_or_insert(at);
    }

    /// All of it, as a report.
    pub(crate) fn report(&self, now: Duration, book: Arc<Book>) -> Report {
        let elapsed = self.stopped.unwrap_or(now);
        let done = self.requests.answered + self.requests.failed;
        Report {
            started_unix: self.started_unix,
            elapsed,
            requests: self.requests,
            failures_by_class: self.classes.clone(),
            failures: self.failures.clone(),
            latency: self.latency(),
            longest_gap: self.gap_until(elapsed),
            releases: self.releases(),
            uploads: self.uploads,
            sse: self.sse,
            websockets: self.websockets,
            stream_ends: self.stream_ends.clone(),
            certainty: Certainty::of(self.requests.failed, done),
            ledger: None,
            book,
        }
    }

    /// The longest gap so far if the next answer comes at `at`.
    fn gap_until(&self, at: Duration) -> Gap {
        match self.last_answer.map(|last| Gap { length: at.saturating_sub(last), at: last }) {
            Some(gap) if gap.length > self.gap.length => gap,
            _ => self.gap,
        }
    }

    fn latency(&self) -> Latency {
        let at = |quantile| Duration::from_micros(self.latency.value_at_quantile(quantile));
        Latency { p50: at(0.5), p99: at(0.99), p999: at(0.999), max: Duration::from_micros(self.latency.max()) }
    }

    fn releases(&self) -> Vec<Release> {
        let named = self.releases.iter().filter(|(name, _)| !name.is_empty());
        named.map(|(name, span)| Release { name: name.clone(), share: self.share(span.answers), span: *span }).collect()
    }

    fn share(&self, answers: u64) -> f64 {
        answers as f64 / self.requests.answered.max(1) as f64
    }
}
