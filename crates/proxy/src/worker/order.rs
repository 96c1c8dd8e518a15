//! What the control side asks of a worker, and how the worker does it.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use cutover_core::InstanceId;
use cutover_core::listen::ListenAddress;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Worker;
use super::accept::{Entrance, accept};
use crate::bind::Bound;
use crate::live::gate::Admits;
use crate::live::target::LiveTarget;

/// One thing to do.
#[derive(Debug)]
pub enum Order {
    /// A new table is served.
    Apply {
        /// Listeners that are new with it: a copy of each for this worker.
        listeners: Vec<(ListenAddress, Bound)>,
        /// Told when this worker has nothing left of the table before.
        done: oneshot::Sender<()>,
    },
    /// End the streams of these targets.
    CloseStreams {
        /// Which targets.
        targets: Vec<Arc<LiveTarget>>,
        /// Spread over this time.
        over: Duration,
    },
    /// Accept nothing new. What is open goes on, and connections are closed after their next answer.
    Leave {
        /// Told when this worker has closed its copies of the listeners.
        done: oneshot::Sender<()>,
    },
    /// Accept nothing new and finish.
    Quit {
        /// Told when nothing is left.
        done: oneshot::Sender<()>,
    },
}

/// The instance whose streams are meant.
pub fn streams_of(targets: &[Arc<LiveTarget>], instance: &InstanceId) -> Vec<Arc<LiveTarget>> {
    targets.iter().filter(|target| target.instance == *instance).cloned().collect()
}

/// Does what is ordered until the end.
pub async fn obey(worker: Rc<Worker>, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut accepting = HashMap::new();
    while let Some(order) = orders.recv().await {
        match order {
            Order::Apply { listeners, done } => {
                apply(&worker, &mut accepting, listeners).await;
                let _ = done.send(());
            }
            Order::CloseStreams { targets, over } => {
                let ours = |serial| targets.iter().any(|target| target.serial == serial);
                worker.clock.close_streams(ours, worker.shared.now_ms(), millis(over));
            }
            Order::Leave { done } => {
                stop_all(&mut accepting).await;
                worker.clock.leave();
                let _ = done.send(());
            }
            Order::Quit { done } => {
                quit(&worker, &mut accepting).await;
                let _ = done.send(());
                return;
            }
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Opens and closes listeners, closes idle connections to what admits nothing, and wakes held requests.
async fn apply(
    worker: &Rc<Worker>,
    accepting: &mut HashMap<ListenAddress, JoinHandle<()>>,
    listeners: Vec<(ListenAddress, Bound)>,
) {
    let gone: Vec<ListenAddress> =
        worker.table(|table| accepting.keys().filter(|at| table.listener(at).is_none()).cloned().collect());
    for address in gone {
        if let Some(task) = accepting.remove(&address) {
            stop(task).await;
        }
        retire(worker, |listener| *listener == address);
    }
    for (address, listener) in listeners {
        match Entrance::new(listener) {
            Ok(entrance) => {
                let task = tokio::task::spawn_local(accept(worker.clone(), entrance, address.clone()));
                accepting.insert(address, task);
            }
            Err(error) => tracing::error!(%address, %error, "this worker cannot accept"),
        }
    }
    worker.pool.purge(|target| !target.gate.admits(Admits::Named));
    worker.trunks.purge(|target| !target.gate.admits(Admits::Named));
    worker.changed.notify_waiters();
}

/// Ends a task and waits until what it owned is closed.
async fn stop(task: JoinHandle<()>) {
    task.abort();
    let _ = task.await;
}

async fn stop_all(accepting: &mut HashMap<ListenAddress, JoinHandle<()>>) {
    for (_, task) in accepting.drain() {
        stop(task).await;
    }
}

fn retire(worker: &Worker, which: impl Fn(&ListenAddress) -> bool) {
    for slot in worker.clock.slots() {
        if which(slot.listener()) {
            slot.retire();
        }
    }
}

/// Streams are ended at once, idle connections closed, requests finished. The caller limits the time.
async fn quit(worker: &Rc<Worker>, accepting: &mut HashMap<ListenAddress, JoinHandle<()>>) {
    stop_all(accepting).await;
    worker.quitting.set(true);
    retire(worker, |_| true);
    while !worker.clock.slots().is_empty() {
        worker.clock.close_streams(|serial| serial != 0, worker.shared.now_ms(), 0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
