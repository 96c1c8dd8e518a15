//! The engine: carries out what the core decides, and records before it acts.
//!
//! One task per running deployment asks the machine what is next, announces it in the journal, does it, and records what came
//! of it (`drive`). One task per instance keeps it alive or lets it retire (`care`). They meet only in the [`Ledger`], and
//! whatever they do to the outside goes through a port, so the same code runs against the real world and the simulated one.
//!
//! **Invariant.** Dropping the engine at any await point and opening a new one on the same journal continues where it was.
//!
//! Deliberately absent: any knowledge of processes, HTTP, SQLite or terminals.

mod board;
mod care;
mod command;
mod drive;
mod ledger;
mod maintenance;
mod perform;
pub mod port;
mod sampler;
mod steer;
mod together;
mod undo;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cutover_core::machine::{Event, Progress};
use cutover_core::{DeploymentId, Failure, Release, ReleaseNo, ServiceName};
use tokio::task::JoinSet;

pub use board::{Board, Identity};
pub use command::{CommandError, Request, Want};
pub use ledger::{Ledger, View};
use port::{JournalError, World};
use sampler::Sampler;
pub use steer::Steer;
pub use together::Member;

/// How long to pause before trying again what the outside refused.
const RETRY: Duration = Duration::from_millis(250);

/// The longest that a deployment stays paused; then it is turned back.
const LONGEST_PAUSE: Duration = Duration::from_secs(24 * 3600);

/// The longest pause before what one service is reached by is tried again.
const LONGEST_RETRY: Duration = Duration::from_secs(4);

/// A running engine. Dropping it stops all its tasks where they are; nothing is lost by that.
pub struct Engine {
    parts: Arc<Parts>,
}

/// What the tasks of an engine share.
struct Parts {
    ledger: Arc<Ledger>,
    board: Board,
    world: World,
    sampler: Sampler,
    tasks: Mutex<JoinSet<()>>,
    cared_for: Mutex<BTreeSet<cutover_core::InstanceId>>,
    let_go: Mutex<BTreeSet<cutover_core::InstanceId>>,
    driven: Mutex<BTreeMap<ServiceName, Arc<tokio::sync::Mutex<()>>>>,
    /// The deployments that have been observed, and wait for others.
    awaiting: Mutex<BTreeMap<ServiceName, DeploymentId>>,
    planning: tokio::sync::Mutex<()>,
    /// How far a step has come that takes long, by service.
    progress: Arc<Mutex<BTreeMap<ServiceName, String>>>,
}

impl Engine {
    /// Reads the journal, brings the router in line, and takes up whatever was running.
    pub async fn open(world: World, identity: impl Into<Identity>) -> Result<Self, JournalError> {
        let ledger = Arc::new(Ledger::open(world.journal.clone(), world.clock.clone()).await?);
        let board = Board::new(ledger.clone(), world.router.clone(), identity.into());
        let parts = Parts {
            ledger,
            board,
            world,
            sampler: Sampler::default(),
            tasks: Mutex::default(),
            cared_for: Mutex::default(),
            let_go: Mutex::default(),
            driven: Mutex::default(),
            awaiting: Mutex::default(),
            planning: tokio::sync::Mutex::default(),
            progress: Arc::default(),
        };
        let engine = Self { parts: Arc::new(parts) };
        engine.resume();
        Ok(engine)
    }

    /// The ledger, for those who show it.
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.parts.ledger
    }

    /// The switchboard, for those who show it.
    pub fn board(&self) -> &Board {
        &self.parts.board
    }

    /// How far a step of this service has come, if it is one that takes long.
    pub fn progress(&self, service: &ServiceName) -> Option<String> {
        self.parts.progress.lock().unwrap_or_else(PoisonError::into_inner).get(service).cloned()
    }

    /// The world, for those who show it.
    pub fn world(&self) -> &World {
        &self.parts.world
    }

    fn resume(&self) {
        let parts = &self.parts;
        parts.spawn(|parts| async move { parts.keep_router_in_line().await });
        parts.spawn(|parts| async move { parts.sample().await });
        parts.spawn(|parts| async move { parts.care_for_all().await });
        parts.spawn(|parts| async move { parts.end_old_hooks().await });
        let running: Vec<ServiceName> = {
            let view = parts.ledger.view();
            view.services.values().filter(|state| state.deployment.is_some()).map(|state| state.name.clone()).collect()
        };
        for service in running {
            parts.spawn(|parts| async move { parts.drive(&service).await });
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The tasks hold the parts, and the parts hold the tasks: this is what breaks the circle.
        self.parts.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl Parts {
    /// Runs a task that ends with the engine.
    fn spawn<F: Future<Output = ()> + Send + 'static>(self: &Arc<Self>, task: impl FnOnce(Arc<Self>) -> F) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task(self.clone()));
    }

    fn now(&self) -> cutover_core::Timestamp {
        self.world.clock.now()
    }

    /// Waits until a moment; at once if it has passed.
    async fn sleep_until(&self, moment: cutover_core::Timestamp) {
        tokio::time::sleep(moment.since(self.now())).await;
    }

    /// A release that the journal refers to.
    fn release(&self, service: &ServiceName, number: ReleaseNo) -> Result<Arc<Release>, Failure> {
        let release = self.ledger.view().release(service, number);
        release.ok_or_else(|| Failure::new(format!("release {number} of {service} is not kept any more")))
    }

    /// Records an event, and waits for the journal if it cannot be written: nothing else is done meanwhile.
    async fn record(&self, service: &ServiceName, event: Event) {
        while let Err(error) = self.ledger.record(service, event.clone()).await {
            tracing::error!("{error}; nothing more is done until it can be written");
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Publishes what is known of a service, and tries again until the router has it, at growing pauses: somebody may have to
    /// mend an nginx first.
    async fn publish(&self, service: &ServiceName) {
        let mut pause = RETRY;
        while let Err(error) = self.board.publish(service).await {
            tracing::warn!("the router did not take what is new of {service}: {error}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_RETRY);
        }
    }

    /// Asserts the table at the start and whenever the router was gone: what it lost it gets again.
    async fn keep_router_in_line(self: &Arc<Self>) {
        while let Err(error) = self.board.publish_own().await {
            tracing::warn!("the router did not take the table: {error}");
            tokio::time::sleep(RETRY).await;
        }
        let services: Vec<ServiceName> = self.ledger.view().services.keys().cloned().collect();
        for service in services {
            self.spawn(|parts| async move { parts.publish(&service).await });
        }
        loop {
            let gone = self.world.router.returned().await;
            while let Err(error) = self.board.assert().await {
                tracing::warn!("the router came back, but did not take the table: {error}");
                tokio::time::sleep(RETRY).await;
            }
            let down_ms = u64::try_from(gone.down.as_millis()).unwrap_or(u64::MAX);
            let routed: Vec<ServiceName> = {
                let view = self.ledger.view();
                view.services.values().filter(|s| s.routed.is_some()).map(|s| s.name.clone()).collect()
            };
            for service in routed {
                self.record(&service, Event::RouterReturned { down_ms, in_hand: gone.in_hand }).await;
            }
        }
    }

    /// Whether an instance belongs to a deployment that has not committed: if it dies, that is the deployment's business.
    fn on_trial(state: &cutover_core::machine::ServiceState, instance: &cutover_core::InstanceId) -> bool {
        state.deployment.as_ref().is_some_and(|deployment| {
            let committed = match deployment.progress {
                Progress::Forward { step, begun } => {
                    let commit = deployment.plan.commit();
                    step > commit || (step == commit && begun.is_some())
                }
                // Nobody watches one that got stuck, and the new instances may have the traffic.
                Progress::Stuck { .. } => true,
                _ => false,
            };
            !committed && deployment.plan.starts().contains(instance)
        })
    }
}
