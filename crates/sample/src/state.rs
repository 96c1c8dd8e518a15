//! What all connections of one sample share.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::watch;

use crate::ledger::Ledger;
use crate::options::Options;

/// How far the sample is on its way out. Each step includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Serving.
    Running,
    /// Told to stop: streams end, requests in flight are finished.
    Stopping,
    /// No request is in flight any more: idle connections are closed.
    Closing,
    /// Crashed on purpose: everything is cut.
    Crashed,
}

/// What all connections share.
pub(crate) struct State {
    pub options: Options,
    pub instance: String,
    pub ledger: Ledger,
    pub started: Instant,
    requests: AtomicU64,
    in_flight: watch::Sender<usize>,
    phase: watch::Sender<Phase>,
}

impl State {
    pub(crate) fn new(options: Options) -> io::Result<Self> {
        Ok(Self {
            instance: options.instance_name(),
            ledger: Ledger::open(options.ledger.as_deref())?,
            started: Instant::now(),
            requests: AtomicU64::new(0),
            in_flight: watch::Sender::new(0),
            phase: watch::Sender::new(Phase::Running),
            options,
        })
    }

    /// The number of this request, from 1.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Whether `--ready-after` has passed.
    pub(crate) fn is_ready(&self) -> bool {
        self.options.ready_after.is_none_or(|after| self.started.elapsed() >= after)
    }

    /// Moves on to `phase`; never back.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_if_modified(|now| {
            let later = phase > *now;
            *now = phase.max(*now);
            later
        });
    }

    /// Whether the sample has been told to stop.
    pub(crate) fn is_stopping(&self) -> bool {
        *self.phase.borrow() >= Phase::Stopping
    }

    /// Waits until `phase` or a later one is entered.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut now = self.phase.subscribe();
        now.wait_for(|now| *now >= phase).await.expect("the sender lives in this state");
    }

    /// Counts a request as in flight until the guard is dropped.
    pub(crate) fn claim(&self) -> InFlight<'_> {
        self.in_flight.send_modify(|count| *count += 1);
        InFlight(self)
    }

    /// Waits until no request is in flight.
    pub(crate) async fn idle(&self) {
        let mut count = self.in_flight.subscribe();
        count.wait_for(|count| *count == 0).await.expect("the sender lives in this state");
    }
}

/// One request in flight.
pub(crate) struct InFlight<'a>(&'a State);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.send_modify(|count| *count -= 1);
    }
}
