//! Publishing a table: check, listen, store, show, acknowledge. Up to "show" nothing has changed and everything can fail;
//! after it nothing can.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use cutover_core::listen::ListenAddress;
use cutover_core::table::{Table, Traffic};
use cutover_core::{Generation, Timestamp};
use tokio::sync::{Mutex, MutexGuard, Notify, mpsc, oneshot};

use super::counters::Counters;
use super::{Kind, Problem};
use crate::bind::{Bound, bind, clear};
use crate::check::check;
use crate::disk;
use crate::metrics::Scrapes;
use crate::run::Options;
use crate::succession::{leaving, outline};
use crate::tls::certificates::Certificates;
use crate::worker::Shared;
use crate::worker::order::Order;

/// Listening sockets, by address.
pub type Listening = HashMap<ListenAddress, Bound>;

/// What makes a process the proxy of its directory. Handed to a successor.
#[derive(Debug)]
pub struct Seat {
    /// The lock of the state directory, as long as the file is open somewhere.
    pub lock: File,
    /// The control socket.
    pub socket: UnixListener,
}

/// What the control side owns.
#[derive(Debug)]
pub struct Control {
    /// What it shares with the workers.
    pub shared: Arc<Shared>,
    /// Rings when the process is asked to quit.
    pub quit: Notify,
    /// The certificates in use.
    pub certificates: Arc<Certificates>,
    /// Rings when a successor has taken over.
    pub departed: Notify,
    /// How this process was started, and so how a successor is.
    pub options: Options,
    /// Since when is counted: also before this process, if it succeeded another one.
    pub since: Timestamp,
    /// Held while a successor is tried.
    pub upgrading: Mutex<()>,
    /// How many conversations are going on.
    pub conversations: AtomicUsize,
    /// None once it is handed over.
    pub seat: std::sync::Mutex<Option<Seat>>,
    /// How long streams may stay once this process leaves.
    pub streams: std::sync::Mutex<Duration>,
    /// What was counted, by whom.
    pub counters: Arc<Counters>,
    workers: Vec<mpsc::UnboundedSender<Order>>,
    listening: Mutex<Listening>,
    scrapes: Mutex<Scrapes>,
}

impl Control {
    /// Over these workers.
    pub fn new(
        options: Options,
        shared: Arc<Shared>,
        workers: Vec<mpsc::UnboundedSender<Order>>,
        since: Timestamp,
    ) -> Self {
        let certificates = Arc::new(Certificates::new(options.state.clone()));
        let counters = Arc::new(Counters::new(shared.clone(), &options.state, since));
        Self {
            shared,
            quit: Notify::new(),
            departed: Notify::new(),
            certificates,
            options,
            since,
            upgrading: Mutex::default(),
            conversations: AtomicUsize::new(0),
            seat: std::sync::Mutex::default(),
            streams: std::sync::Mutex::default(),
            counters,
            workers,
            listening: Mutex::default(),
            scrapes: Mutex::default(),
        }
    }

    /// The state directory.
    pub fn state(&self) -> &Path {
        &self.options.state
    }

    /// The generation that is served.
    pub fn generation(&self) -> Generation {
        self.shared.live.table().spec.generation
    }

    /// Whether a successor is the proxy now, or is just becoming it.
    pub fn has_left(&self) -> bool {
        self.counters.has_left()
    }

    /// Says whether a successor is the proxy. Whoever holds the listeners decides.
    pub fn set_left(&self, left: bool) {
        self.counters.set_left(left);
    }

    /// Makes sure that a table that was read from disk can be served, with what is listened on already. Listens on the rest.
    pub fn ready_to_resume(
        &self,
        table: &Table,
        mut handed: Listening,
    ) -> Result<Vec<(ListenAddress, Bound)>, Problem> {
        self.verify(table)?;
        // After a crash the others must be served, whatever became of one certificate. A successor can leave the place to the one
        // that runs, which has the certificates that were good in its memory.
        let unusable = |wrong: Vec<String>| self.problem(Kind::Invalid, wrong.join("; "));
        self.certificates.prepare(table, !self.options.succeed).map_err(unusable)?;
        handed.retain(|address, _| table.listeners.iter().any(|listener| listener.address == *address));
        // Traffic must come back after a crash, whoever has taken the address of a preview meanwhile.
        let mut listeners = self.listen(table, &handed, |_| true)?;
        listeners.extend(handed);
        Ok(listeners)
    }

    /// Serves a table that was read from disk. Given no listeners, everything but them is ready after that.
    pub async fn resume(&self, table: Table, listeners: Vec<(ListenAddress, Bound)>) {
        self.show(Arc::new(table), listeners, &mut *self.listening.lock().await).await;
    }

    /// What is listened on. Nothing is published while this is held.
    pub async fn freeze(&self) -> MutexGuard<'_, Listening> {
        self.listening.lock().await
    }

    /// Serves another table. Once this returns, the table is on disk, and no claim is made by an older one.
    pub async fn publish(&self, table: Table) -> Result<Generation, Problem> {
        let mut listening = self.listening.lock().await;
        // What is offered while a successor takes over is the successor's to take.
        if self.has_left() {
            return Err(self.moved());
        }
        let generation = table.generation;
        let current = self.shared.live.table();
        if generation == current.spec.generation && table == *current.spec {
            self.make_known(&table).await?;
            return Ok(generation);
        }
        if generation <= current.spec.generation {
            return Err(self.outdated(generation));
        }
        self.verify(&table)?;
        let mut unusable = self.shared.live.logs().check(&table);
        unusable.extend(self.certificates.prepare(&table, false).err().into_iter().flatten());
        if !unusable.is_empty() {
            return Err(self.problem(Kind::Invalid, unusable.join("; ")));
        }
        let known = |address: &ListenAddress| current.spec.listeners.iter().any(|l| l.address == *address);
        let new = self.listen(&table, &listening, known)?;
        if let Err(error) = disk::store(self.state(), &table) {
            close(new);
            return Err(self.problem(Kind::Storage, format!("the table could not be written to disk: {error}")));
        }
        let table = Arc::new(table);
        self.show(table.clone(), new, &mut listening).await;
        self.make_known(&table).await?;
        Ok(generation)
    }

    /// Shows the table to those that leave: a client of theirs may send another request. While one of them may act by an older
    /// table, nothing is acknowledged.
    async fn make_known(&self, table: &Table) -> Result<(), Problem> {
        if leaving::listed(self.state()).is_empty() {
            return Ok(());
        }
        let table = Arc::new(table.clone());
        let told = leaving::ask(self.state(), move |client| {
            let table = table.clone();
            async move { client.follow(&table).await }
        });
        self.none_silent(told.await)
    }

    /// Serves what the successor of this process serves, as far as it can be read. It is on disk already, and what is listened
    /// on is not ours any more.
    pub async fn follow(&self, json: &[u8]) -> Result<Generation, Problem> {
        let mut listening = self.listening.lock().await;
        let present = self.shared.live.table();
        let table = outline::read(json, &present.spec).map_err(|error| self.malformed("a table", &error))?;
        if table.generation >= present.spec.generation && table != *present.spec {
            self.show(Arc::new(table), Vec::new(), &mut listening).await;
        }
        Ok(self.generation())
    }

    fn outdated(&self, offered: Generation) -> Problem {
        let current = self.generation();
        if offered == current {
            let message = format!("another table of generation {current} is served");
            return self.problem(Kind::Conflict, message);
        }
        let message = format!("generation {offered} is older than generation {current}, which is served");
        self.problem(Kind::Stale, message)
    }

    fn verify(&self, table: &Table) -> Result<(), Problem> {
        let wrong = check(table);
        if wrong.is_empty() { Ok(()) } else { Err(self.problem(Kind::Invalid, wrong.join("; "))) }
    }

    /// Listens on what is new. If any of it fails, all of it is closed again; but a preview or an address for counters that was accepted
    /// once is left out when it cannot be had any more.
    fn listen(
        &self,
        table: &Table,
        listening: &Listening,
        is_known: impl Fn(&ListenAddress) -> bool,
    ) -> Result<Vec<(ListenAddress, Bound)>, Problem> {
        let mut listeners = Vec::new();
        for listener in table.listeners.iter().filter(|listener| !listening.contains_key(&listener.address)) {
            let optional = is_known(&listener.address) && !carries(&listener.traffic);
            match bind(&listener.address) {
                Ok(bound) => listeners.push((listener.address.clone(), bound)),
                Err(error) if optional => tracing::warn!(%error, "nobody can look there"),
                Err(error) => {
                    close(listeners);
                    return Err(self.problem(Kind::Unbindable, error.to_string()));
                }
            }
        }
        Ok(listeners)
    }

    async fn show(&self, table: Arc<Table>, new: Vec<(ListenAddress, Bound)>, listening: &mut Listening) {
        let stays = |address: &ListenAddress| table.listeners.iter().any(|listener| listener.address == *address);
        let gone: Vec<ListenAddress> = listening.keys().filter(|address| !stays(address)).cloned().collect();
        listening.retain(|address, _| stays(address));
        let secured = self.certificates.show(&table);
        self.shared.answers.look_in(self.certificates.stores());
        let before = self.shared.live.table();
        let is_new = |address: &ListenAddress| new.iter().any(|(bound, _)| bound == address);
        let served =
            |at: &ListenAddress| before.spec.listeners.iter().any(|l| l.address == *at && is_served(&l.traffic));
        let had = |at: &ListenAddress| served(at) && !is_new(at);
        let carrying = table.listeners.iter().filter(|listener| is_served(&listener.traffic));
        let theirs: Vec<ListenAddress> = carrying.map(|l| l.address.clone()).filter(|at| !had(at)).collect();
        listening.extend(new);
        let mut scrapes = self.scrapes.lock().await;
        self.shared.live.publish(table.clone(), &secured, self.shared.now_ms());
        scrapes.apply(&table, (&self.counters, &self.certificates), listening);
        let done: Vec<_> = self.workers.iter().map(|worker| apply(worker, &theirs, listening)).collect();
        for done in done {
            // A worker that is gone makes no claims.
            let _ = done.await;
        }
        gone.iter().for_each(clear);
    }

    /// Gives every worker an order.
    pub fn order(&self, order: impl Fn() -> Order) {
        for worker in &self.workers {
            let _ = worker.send(order());
        }
    }

    /// Whoever asks should ask the successor.
    pub fn moved(&self) -> Problem {
        self.problem(Kind::Moved, "the proxy was replaced by another process just now; ask again".to_owned())
    }

    /// What was sent cannot be read.
    pub fn malformed(&self, what: &str, error: &dyn std::error::Error) -> Problem {
        self.problem(Kind::Malformed, format!("not {what}: {error}"))
    }

    /// A problem, with the generation that is served.
    pub fn problem(&self, kind: Kind, message: String) -> Problem {
        Problem { kind, message, current: self.generation() }
    }

    /// Accepts nothing more, and closes every copy of what is listened on. What is open goes on. The files of unix sockets stay: they are the
    /// successor's.
    pub async fn leave(&self, listening: &mut Listening) {
        listening.clear();
        *self.scrapes.lock().await = Scrapes::default();
        self.all(|done| Order::Leave { done }).await;
        self.seat.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Finishes everything. Returns when all workers have.
    pub async fn finish(&self) {
        // Empty if a successor has them.
        let closed: Vec<ListenAddress> = self.listening.lock().await.drain().map(|(address, _)| address).collect();
        *self.scrapes.lock().await = Scrapes::default();
        if !closed.is_empty() {
            // First this alone: to finish may take longer than it is waited for.
            self.all(|done| Order::Leave { done }).await;
            closed.iter().for_each(clear);
        }
        self.all(|done| Order::Quit { done }).await;
    }

    /// Gives every worker an order, and waits until all have obeyed.
    async fn all(&self, order: impl Fn(oneshot::Sender<()>) -> Order) {
        let give = |worker: &mpsc::UnboundedSender<Order>| {
            let (done, obeyed) = oneshot::channel();
            let _ = worker.send(order(done));
            obeyed
        };
        for obeyed in self.workers.iter().map(give).collect::<Vec<_>>() {
            // A worker that is gone has obeyed.
            let _ = obeyed.await;
        }
    }
}

/// Closes what is not going to be served.
fn close(listeners: Vec<(ListenAddress, Bound)>) {
    for (address, bound) in listeners {
        drop(bound);
        clear(&address);
    }
}

/// Whether what arrives at a listener is the clients'. Other listeners are for people and programs that look.
fn carries(traffic: &Traffic) -> bool {
    match traffic {
        Traffic::Http { .. } | Traffic::Tcp { .. } => true,
        Traffic::Preview { .. } | Traffic::Metrics { .. } => false,
    }
}

/// Whether the workers serve a listener. The others are the control side's own.
fn is_served(traffic: &Traffic) -> bool {
    !matches!(traffic, Traffic::Metrics { .. })
}

/// Tells a worker of a new table, with copies of the listeners that are new to it.
fn apply(worker: &mpsc::UnboundedSender<Order>, new: &[ListenAddress], listening: &Listening) -> oneshot::Receiver<()> {
    let (done, applied) = oneshot::channel();
    let copy = |address: &ListenAddress| match listening.get(address)?.try_clone() {
        Ok(listener) => Some((address.clone(), listener)),
        Err(error) => {
            // Out of descriptors. The other workers accept; this one does without.
            tracing::error!(%address, %error, "a worker gets no copy of a listener");
            None
        }
    };
    let _ = worker.send(Order::Apply { listeners: new.iter().filter_map(copy).collect(), done });
    applied
}
