//! Publishing a table: check, listen, store, show, acknowledge. Up to "show" nothing has changed and everything can fail;
//! after it nothing can.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use cutover_core::Generation;
use cutover_core::table::{Table, Traffic};
use tokio::sync::{Mutex, Notify, mpsc, oneshot};

use super::{Kind, Problem};
use crate::bind::bind;
use crate::check::check;
use crate::disk;
use crate::tls::certificates::Certificates;
use crate::worker::Shared;
use crate::worker::order::Order;

/// What the control side owns.
#[derive(Debug)]
pub struct Control {
    /// What it shares with the workers.
    pub shared: Arc<Shared>,
    /// Rings when the process is asked to quit.
    pub quit: Notify,
    /// The certificates in use.
    pub certificates: Certificates,
    state: PathBuf,
    workers: Vec<mpsc::UnboundedSender<Order>>,
    listening: Mutex<HashMap<SocketAddr, TcpListener>>,
}

impl Control {
    /// Over these workers, with tables kept in `state`.
    pub fn new(state: PathBuf, shared: Arc<Shared>, workers: Vec<mpsc::UnboundedSender<Order>>) -> Self {
        let certificates = Certificates::new(state.clone());
        Self { shared, quit: Notify::new(), certificates, state, workers, listening: Mutex::default() }
    }

    /// The generation that is served.
    pub fn generation(&self) -> Generation {
        self.shared.live.table().spec.generation
    }

    /// Serves a table that was read from disk.
    pub async fn resume(&self, table: Table) -> Result<(), Problem> {
        let mut listening = self.listening.lock().await;
        self.verify(&table)?;
        // The others must be served, whatever became of one certificate.
        let _ = self.certificates.prepare(&table, true);
        // Traffic must come back after a crash, whoever has taken the address of a preview meanwhile.
        let new = self.listen(&table, &listening, |_| true)?;
        self.show(table, new, &mut listening).await;
        Ok(())
    }

    /// Serves another table. Once this returns, the table is on disk, and no claim is made by an older one.
    pub async fn publish(&self, table: Table) -> Result<Generation, Problem> {
        let mut listening = self.listening.lock().await;
        let generation = table.generation;
        let current = self.shared.live.table();
        if generation == current.spec.generation && table == current.spec {
            return Ok(generation);
        }
        if generation <= current.spec.generation {
            return Err(self.outdated(generation));
        }
        self.verify(&table)?;
        let unusable = |wrong: Vec<String>| self.problem(Kind::Invalid, wrong.join("; "));
        self.certificates.prepare(&table, false).map_err(unusable)?;
        let known = |address| current.spec.listeners.iter().any(|listener| listener.address == address);
        let new = self.listen(&table, &listening, known)?;
        disk::store(&self.state, &table)
            .map_err(|error| self.problem(Kind::Storage, format!("the table could not be written to disk: {error}")))?;
        self.show(table, new, &mut listening).await;
        Ok(generation)
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

    /// Listens on what is new. If any of it fails, all of it is closed again; but a preview that was accepted once is left out
    /// when its address cannot be had any more.
    fn listen(
        &self,
        table: &Table,
        listening: &HashMap<SocketAddr, TcpListener>,
        is_known: impl Fn(SocketAddr) -> bool,
    ) -> Result<Vec<(SocketAddr, TcpListener)>, Problem> {
        let mut listeners = Vec::new();
        for listener in table.listeners.iter().filter(|listener| !listening.contains_key(&listener.address)) {
            let optional = is_known(listener.address) && matches!(listener.traffic, Traffic::Preview { .. });
            match bind(listener.address) {
                Ok(bound) => listeners.push((listener.address, bound)),
                Err(error) if optional => tracing::warn!(%error, "nothing can be previewed there"),
                Err(error) => return Err(self.problem(Kind::Unbindable, error.to_string())),
            }
        }
        Ok(listeners)
    }

    async fn show(
        &self,
        table: Table,
        new: Vec<(SocketAddr, TcpListener)>,
        listening: &mut HashMap<SocketAddr, TcpListener>,
    ) {
        listening.retain(|address, _| table.listeners.iter().any(|listener| listener.address == *address));
        let doors = self.certificates.show(&table);
        self.shared.live.publish(table, &doors);
        let done: Vec<_> = self.workers.iter().map(|worker| apply(worker, &new)).collect();
        listening.extend(new);
        for done in done {
            // A worker that is gone makes no claims.
            let _ = done.await;
        }
    }

    /// Gives every worker an order.
    pub fn order(&self, order: impl Fn() -> Order) {
        for worker in &self.workers {
            let _ = worker.send(order());
        }
    }

    /// A problem, with the generation that is served.
    pub fn problem(&self, kind: Kind, message: String) -> Problem {
        Problem { kind, message, current: self.generation() }
    }

    /// Finishes everything. Returns when all workers have.
    pub async fn finish(&self) {
        self.listening.lock().await.clear();
        let quit = |worker: &mpsc::UnboundedSender<Order>| {
            let (done, finished) = oneshot::channel();
            let _ = worker.send(Order::Quit { done });
            finished
        };
        for finished in self.workers.iter().map(quit).collect::<Vec<_>>() {
            let _ = finished.await;
        }
    }
}

/// Tells a worker of a new table, with copies of the new listeners.
fn apply(worker: &mpsc::UnboundedSender<Order>, new: &[(SocketAddr, TcpListener)]) -> oneshot::Receiver<()> {
    let (done, applied) = oneshot::channel();
    let copy = |(address, listener): &(SocketAddr, TcpListener)| match listener.try_clone() {
        Ok(listener) => Some((*address, listener)),
        Err(error) => {
            // Out of descriptors. The other workers accept; this one does without.
            tracing::error!(%address, %error, "a worker gets no copy of a listener");
            None
        }
    };
    let _ = worker.send(Order::Apply { listeners: new.iter().filter_map(copy).collect(), done });
    applied
}
