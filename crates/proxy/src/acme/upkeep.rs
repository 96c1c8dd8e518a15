//! Looks which certificates are due, and orders them, one after the other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cutover_core::Timestamp;
use cutover_core::acme::Attempts;
use cutover_core::rule::{order_pause, renewal};
use cutover_core::tls::OrderStats;
use tokio::sync::watch;

use super::lease::{Asked, Lease};
use super::round::Round;
use super::store::{self, Store};
use super::trouble::Trouble;
use super::{Order, now, order};
use crate::tls::Pair;

/// How often the store is looked at: another host may have ordered, and a person may have removed the note of a failure.
const LOOK: Duration = Duration::from_secs(5);

/// How long one attempt may take.
pub const LIMIT: Duration = Duration::from_secs(180);

/// The certificates that are ordered, and how that goes.
#[derive(Debug)]
pub struct Upkeep {
    state: PathBuf,
    wanted: watch::Sender<Wanted>,
    seen: Mutex<HashMap<Arc<Order>, Seen>>,
    began: AtomicBool,
}

/// What is known of an order.
#[derive(Debug, Default)]
struct Seen {
    stats: OrderStats,
    /// The attempts of which nothing could be noted in the store.
    unnoted: Option<Attempts>,
    /// Until when it is left alone, because somebody else is at it.
    put_off: Timestamp,
}

/// What is to be done.
#[derive(Debug, Clone, Default)]
struct Wanted {
    orders: Arc<[Arc<Order>]>,
    /// Whether this process is the proxy.
    is_ours: bool,
}

impl Upkeep {
    /// Of nothing yet; with the store in this state directory, where the table names no other.
    pub fn new(state: PathBuf) -> Self {
        let (wanted, _) = watch::channel(Wanted::default());
        Self { state, wanted, seen: Mutex::default(), began: AtomicBool::new(false) }
    }

    /// These are wanted from now on.
    pub fn want(self: &Arc<Self>, orders: Vec<Arc<Order>>) {
        self.seen().retain(|order, _| orders.contains(order));
        self.wanted.send_modify(|wanted| wanted.orders = orders.into());
        self.start();
    }

    /// This process is the proxy now.
    pub fn begin(self: &Arc<Self>) {
        self.wanted.send_modify(|wanted| wanted.is_ours = true);
        self.start();
    }

    /// It is not any more. An attempt that is at work is called off.
    pub fn end(&self) {
        self.wanted.send_modify(|wanted| wanted.is_ours = false);
    }

    /// How it goes with one.
    pub fn stats(&self, order: &Order) -> OrderStats {
        self.seen().get(order).map(|seen| seen.stats.clone()).unwrap_or_default()
    }

    /// Starts the thread, once there is something to do for it.
    fn start(self: &Arc<Self>) {
        let idle = {
            let wanted = self.wanted.borrow();
            !wanted.is_ours || wanted.orders.is_empty()
        };
        if idle || self.began.swap(true, SeqCst) {
            return;
        }
        let upkeep = self.clone();
        let run = move || match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(upkeep.keep()),
            Err(error) => tracing::error!(%error, "no certificates are ordered"),
        };
        if let Err(error) = std::thread::Builder::new().name("acme".to_owned()).spawn(run) {
            self.began.store(false, SeqCst);
            tracing::error!(%error, "no certificates are ordered");
        }
    }

    async fn keep(self: Arc<Self>) {
        let mut changes = self.wanted.subscribe();
        loop {
            let wanted = changes.borrow_and_update().clone();
            let orders = if wanted.is_ours { &wanted.orders[..] } else { &[] };
            let soonest = orders.iter().map(|order| (order, self.look(order))).min_by_key(|(_, due)| *due);
            match soonest {
                Some((order, due)) if due <= now() => self.attempt(order).await,
                Some((_, due)) => {
                    let pause = due.since(now()).min(LOOK);
                    let _ = tokio::time::timeout(pause, changes.changed()).await;
                }
                // Its other end is held by ourselves.
                None => drop(changes.changed().await),
            }
        }
    }

    /// When this one is due. What is found is remembered for those who ask.
    fn look(&self, order: &Arc<Order>) -> Timestamp {
        let store = Store::of(&order.authority, &self.state);
        let due = due(&store, &order.name);
        let mut seen = self.seen();
        let seen = seen.entry(order.clone()).or_default();
        let attempts = store.attempts(&order.name).or_else(|| seen.unnoted.clone());
        let next = attempts.as_ref().map_or(Timestamp(0), |attempts| attempts.next);
        seen.stats = OrderStats { attempts, renewal: due };
        due.unwrap_or_default().max(next).max(seen.put_off)
    }

    /// Makes one attempt.
    async fn attempt(&self, order: &Arc<Order>) {
        let store = Store::of(&order.authority, &self.state);
        let result = self.round(order, &store).await;
        let mut seen = self.seen();
        let seen = seen.entry(order.clone()).or_default();
        match result {
            Ok(()) => seen.unnoted = None,
            Err(trouble) => {
                // Nobody was asked, for nothing could be noted.
                let (now, error) = (now(), trouble.to_string());
                tracing::error!(name = order.name, "no certificate was ordered: {error}");
                let before = seen.unnoted.take();
                let failed = before.as_ref().map_or(0, |before| before.failed) + 1;
                let (since, next) = (before.map_or(now, |before| before.since), now + order_pause(failed, None));
                seen.unnoted = Some(Attempts { since, last: now, failed, at_work: false, error: Some(error), next });
            }
        }
    }

    /// From the lease to the note of how it ended. An error means that it could not be noted.
    async fn round(&self, order: &Arc<Order>, store: &Store) -> Result<(), Trouble> {
        let (name, began) = (order.name.as_str(), now());
        store.make().map_err(Trouble::disk(store.root()))?;
        let owner = store::owner(&self.state).map_err(Trouble::disk(store::own(&self.state)))?;
        let lock = store.lock(name);
        let _lease = match Lease::take(&lock, &owner, began).map_err(Trouble::disk(&lock))? {
            Asked::Ours(lease) => lease,
            Asked::Theirs(until) => {
                self.seen().entry(order.clone()).or_default().put_off = until.min(began + LOOK);
                return Ok(());
            }
        };
        // Who had the lease before may have been quicker.
        if self.look(order) > began {
            return Ok(());
        }
        let round = Round::begin(store, name, began).map_err(Trouble::disk(store.noted(name)))?;
        self.look(order);
        let asked = Arc::default();
        let mut ours = self.wanted.subscribe();
        let result = tokio::select! {
            result = tokio::time::timeout(LIMIT, order::obtain(order, store, &asked)) => result,
            // Dropped with all that it holds, which is what lets a successor begin at once.
            _ = ours.wait_for(|wanted| !wanted.is_ours) => return Ok(()),
        };
        let result = result.unwrap_or(Err(Trouble::Slow(LIMIT))).and_then(|()| self.accept(store, name));
        let asked = *asked.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => round.succeeded().map_err(Trouble::disk(store.noted(name)))?,
            Err(trouble) => {
                let attempts = round.failed(trouble.to_string(), asked);
                let minutes = attempts.next.since(now()).as_secs() / 60;
                tracing::error!(
                    name,
                    minutes,
                    "no certificate was ordered: {trouble}; tried again in {minutes} minutes"
                );
            }
        }
        Ok(())
    }

    /// A certificate that is due the moment it comes would be ordered without end.
    fn accept(&self, store: &Store, name: &str) -> Result<(), Trouble> {
        if due(store, name).is_none_or(|due| due <= now()) {
            let why = "it is to be renewed already: look whether the clock of this machine is right (`date`)";
            return Err(Trouble::Useless(why.to_owned()));
        }
        tracing::info!(name, "a certificate was ordered");
        Ok(())
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<Arc<Order>, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When the certificate of a name is to be renewed; none if there is none that is of use.
fn due(store: &Store, name: &str) -> Option<Timestamp> {
    let pair = store.pair(name);
    let facts = Pair::read(&pair, &pair).ok()?.facts;
    // The same for all who share the store.
    let spread = f64::from(crc32fast::hash(name.as_bytes())) / f64::from(u32::MAX);
    Some(renewal(facts.from, facts.until, spread))
}

/// Where the certificate of an order lies.
pub fn place(order: &Order, state: &Path) -> PathBuf {
    Store::of(&order.authority, state).pair(&order.name)
}
