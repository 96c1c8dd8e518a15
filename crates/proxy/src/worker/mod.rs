//! A worker: one thread with a runtime of its own, which serves its connections from the first byte to the last.
//!
//! A request never changes threads: client connection, connection to the instance, pool and buffers belong to one worker, so
//! nothing on the way of a request is locked, and the instance's answer wakes the very task that writes it to the client.
//! What workers share is the table and the counters. All of them accept from copies of the same listening descriptor;
//! with one descriptor each (`SO_REUSEPORT`), closing one would reset the connections waiting in its queue.

pub mod accept;
pub mod clock;
pub mod order;
pub mod stock;

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use cutover_core::Timestamp;
use cutover_core::spread::mix;
use tokio::sync::{Notify, mpsc};

use crate::acme::answer::Answers;
use crate::live::process::ProcessCounts;
use crate::live::table::{Live, LiveTable};
use crate::log::Pen;
use crate::span;
use crate::upstream::http2::trunks::Trunks;
use crate::upstream::pool::Pool;
use clock::Clock;
use order::Order;
use stock::Stock;

/// How many threads of a worker wait for disks and compute hashes, at most. They come and go with the need.
const BLOCKING: usize = 8;

/// What all workers share.
#[derive(Debug)]
pub struct Shared {
    /// The table.
    pub live: Live,
    /// Client connections open now.
    pub connections: AtomicU64,
    /// When this process began to serve.
    pub started: Timestamp,
    /// What each worker counts that belongs to no service.
    pub counts: Box<[ProcessCounts]>,
    /// What authorities are answered that ask whether a name is ours.
    pub answers: Answers,
    epoch: Instant,
}

impl Shared {
    /// For so many workers.
    pub fn new(workers: usize, started: Timestamp) -> Self {
        let counts = (0..workers).map(|_| ProcessCounts::default()).collect();
        let (live, connections, answers) = (Live::new(workers), AtomicU64::new(0), Answers::default());
        Self { live, connections, started, counts, answers, epoch: Instant::now() }
    }

    /// Microseconds since the start.
    #[inline]
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since the start. Never zero, so that zero can mean "none".
    #[inline]
    pub fn now_ms(&self) -> u64 {
        Self::millis(self.now_us())
    }

    /// The same of a reading in microseconds.
    #[inline]
    pub fn millis(now_us: u64) -> u64 {
        now_us / 1000 + 1
    }
}

/// What belongs to one worker.
#[derive(Debug)]
pub struct Worker {
    /// Which one, from 0.
    pub index: usize,
    /// What it shares with the others.
    pub shared: Arc<Shared>,
    /// Its deadlines.
    pub clock: Clock,
    /// Its idle connections to instances.
    pub pool: Pool,
    /// Its connections of HTTP/2 to instances.
    pub trunks: Trunks,
    /// Its spare buffers.
    pub stock: Stock,
    /// Its way into the access logs.
    pub pen: Pen,
    /// Its way out for spans.
    pub spans: span::Pen,
    /// Rings when a new table is served. Held requests listen.
    pub changed: Notify,
    /// Whether it finishes what it has and takes nothing new.
    pub quitting: Cell<bool>,
    table: RefCell<Arc<LiveTable>>,
    seen: Cell<u64>,
    random: Cell<u64>,
}

impl Worker {
    fn new(index: usize, shared: Arc<Shared>) -> Self {
        Self {
            index,
            clock: Clock::default(),
            pool: Pool::default(),
            trunks: Trunks::default(),
            stock: Stock::default(),
            pen: Pen::new(shared.live.logs(), index),
            spans: span::Pen::new(shared.live.spans(), index),
            changed: Notify::new(),
            quitting: Cell::new(false),
            seen: Cell::new(shared.live.version()),
            random: Cell::new(RandomState::new().hash_one(index)),
            table: RefCell::new(shared.live.table()),
            shared,
        }
    }

    /// Another number, for ids that shall not meet; no secret can be made of it (SplitMix64).
    pub fn random(&self) -> u64 {
        let next = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(next);
        mix(next)
    }

    /// Its own counters of what belongs to no service.
    #[inline]
    pub fn counts(&self) -> &ProcessCounts {
        &self.shared.counts[self.index]
    }

    /// Looks something up in the table served now. `look` must not call back.
    #[inline]
    pub fn table<T>(&self, look: impl FnOnce(&LiveTable) -> T) -> T {
        let version = self.shared.live.version();
        if version != self.seen.get() {
            // The version was read first: if a newer table slips in between, it is only read once more.
            *self.table.borrow_mut() = self.shared.live.table();
            self.seen.set(version);
        }
        look(&self.table.borrow())
    }
}

/// Runs a worker on this thread until it is told to quit and has finished.
pub fn run(index: usize, shared: Arc<Shared>, orders: mpsc::UnboundedReceiver<Order>) -> std::io::Result<()> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.max_blocking_threads(BLOCKING).enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    let worker = Rc::new(Worker::new(index, shared));
    local.spawn_local(clock::tick(worker.clone()));
    runtime.block_on(local.run_until(order::obey(worker, orders)));
    Ok(())
}
