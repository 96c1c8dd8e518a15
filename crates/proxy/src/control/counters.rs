//! The counters, apart from everything else that the control side owns: whoever scrapes reads them too.
//!
//! A hand-over must not show in them. So a scrape is told what this process counted, what those counted that have left, and what those that
//! are leaving said last, who are asked first. What they said last stands if they do not answer in time, or are killed: a counter may
//! stand still for a moment, but it never goes down, and nothing is counted twice.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cutover_core::Timestamp;
use cutover_core::stats::{Further, ProcessCounters, Stats};

use super::client::Client;
use crate::live::count::{REASONS, named};
use crate::live::process::ProcessCounts;
use crate::metrics::process::Process;
use crate::span::DROPS;
use crate::succession::leaving;
use crate::succession::past::Past;
use crate::worker::Shared;

/// How long a scrape waits for the others.
const PATIENCE: Duration = Duration::from_secs(1);

/// What this process counted, and what is known of those that were the proxy before.
#[derive(Debug)]
pub struct Counters {
    /// Where the workers count.
    pub shared: Arc<Shared>,
    state: PathBuf,
    since: Timestamp,
    past: Mutex<Past>,
    left: AtomicBool,
}

impl Counters {
    /// Of the process with this state directory, counting since then.
    pub fn new(shared: Arc<Shared>, state: &Path, since: Timestamp) -> Self {
        Self { shared, state: state.to_owned(), since, past: Mutex::default(), left: AtomicBool::new(false) }
    }

    /// What those counted that have left.
    pub fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a successor is the proxy now, or is just becoming it.
    pub fn has_left(&self) -> bool {
        self.left.load(SeqCst)
    }

    /// Says whether a successor is the proxy. Whoever holds the listeners decides.
    pub fn set_left(&self, left: bool) {
        self.left.store(left, SeqCst);
    }

    /// What this process counted, as far as deployments ask for it. Without certificates, which are not counted.
    pub fn own(&self) -> Stats {
        let (shared, now) = (&self.shared, self.shared.now_us());
        Stats {
            started: self.since,
            generation: shared.live.table().spec.generation,
            connections: shared.connections.load(Relaxed),
            services: shared.live.services().iter().map(|s| s.counts.stats(&s.spec.name, now)).collect(),
            targets: shared.live.targets().iter().map(|target| target.stats()).collect(),
            certificates: Vec::new(),
            further: None,
        }
    }

    /// All that this process counted.
    pub fn own_in_full(&self) -> Stats {
        let (read_us, live) = (self.shared.now_us(), &self.shared.live);
        let counts = ProcessCounts::totals(&self.shared.counts);
        let process = ProcessCounters {
            cpu_us: Process::cpu_us(),
            accepted: counts.accepted,
            unlogged: counts.unlogged,
            refused: named(REASONS, |i| counts.refused[i]),
            spans_sent: live.spans().counts.sent(),
            spans_dropped: named(DROPS, |i| live.spans().counts.dropped(i)),
        };
        let services = live.services().iter().map(|s| (s.spec.name.clone(), s.counts.traffic())).collect();
        let mut latency_sums = std::collections::BTreeMap::new();
        for target in live.targets() {
            *latency_sums.entry(target.instance.clone()).or_default() += target.counts.latency_sum_us();
        }
        let further = Further { read_us, process, services, latency_sums };
        Stats { further: Some(Box::new(further)), ..self.own() }
    }

    /// What is told to a scrape. What is in hand is this process's own; everything that is counted is the sum over all of them.
    pub async fn in_all(&self) -> Stats {
        let answers = leaving::ask_within(PATIENCE, &self.state, |client| async move { client.stats().await }).await;
        // One lock for all that follows, so that of two scrapes one is the later, and has no less.
        let mut past = self.past();
        past.heed(answers);
        let mut stats = self.own_in_full();
        past.add_all_to(&mut stats);
        stats
    }

    /// The same, whoever is the proxy: a scrape may have reached this process in the moment in which it leaves.
    pub async fn of_proxy(&self) -> Stats {
        if self.has_left() {
            let successor = Client::of_state(&self.state);
            if let Ok(Ok(stats)) = tokio::time::timeout(2 * PATIENCE, successor.counters()).await {
                return stats;
            }
        }
        self.in_all().await
    }
}
