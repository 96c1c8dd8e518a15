//! The simulated world: a journal, a runtime, a router and a prober over one shared state and virtual time.
//!
//! The state outlives the agent. What belongs to one life of the agent is a [`Port`], which knows its epoch: a crash raises
//! the epoch, and whatever an old port is asked after that never happens.
//!
//! Deliberately absent: threads, real time, sockets, and any chance that does not come from the seed.

mod call;
mod clock;
mod hook;
mod journal;
mod life;
mod metrics;
mod prober;
mod router;
mod runtime;
mod traffic;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cutover::engine::port;
use cutover_core::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

pub use call::Call;
pub(crate) use call::Group;
pub use hook::{HookLife, Hooks, SimHook};
pub use journal::Disk;
pub use life::Life;
pub use router::SimRouter;
pub use runtime::{Cause, SimInstance};

use crate::coverage::Coverage;
use crate::faults::{Fault, Faults, Weather};
use crate::invariants::{Invariant, Oracle};
use crate::seed::Seed;

/// When the simulated world begins.
pub const EPOCH: Timestamp = Timestamp(1_750_000_000_000);

/// The secret for looking through the simulated router.
pub const TOKEN: &str = "look-through-token";

/// The simulated world.
#[derive(Clone)]
pub struct World {
    shared: Arc<Shared>,
}

struct Shared {
    inner: Mutex<Inner>,
    changed: Notify,
}

/// The world as one life of the agent reaches it.
#[derive(Clone)]
pub(crate) struct Port {
    pub(crate) world: World,
    pub(crate) epoch: u64,
}

/// All there is.
pub struct Inner {
    began: Instant,
    /// How often the agent was started.
    pub epoch: u64,
    /// Whether the agent has just died.
    pub crashed: bool,
    calls: Vec<Call>,
    armed_at: Option<Timestamp>,
    faults: Faults,
    failing: Vec<(Group, Timestamp)>,
    pub(crate) seed: Seed,
    pub(crate) traffic_seed: Seed,
    /// What the journal holds.
    pub disk: Disk,
    /// The router and what it counts.
    pub router: SimRouter,
    /// The instances that were ever started and not forgotten.
    pub instances: std::collections::BTreeMap<cutover_core::InstanceId, SimInstance>,
    /// The hooks that were ever begun.
    pub hooks: std::collections::BTreeMap<port::HookKey, SimHook>,
    pub(crate) artifacts: std::collections::BTreeSet<(cutover_core::ServiceName, cutover_core::ReleaseNo)>,
    pub(crate) next_port: u16,
    /// What the durable events add up to.
    pub oracle: Oracle,
    /// Those that somebody last asked to count together.
    pub(crate) agreeing: Vec<cutover::engine::Member>,
    checked: bool,
    /// The first invariant that did not hold.
    pub broken: Option<(Invariant, String)>,
    pub(crate) trace: Option<Vec<String>>,
    /// What has occurred.
    pub coverage: Coverage,
}

impl World {
    /// A world in which nothing has happened. It must be made inside a runtime whose time is paused.
    pub fn new(seed: Seed, traced: bool) -> Self {
        let mut seed = seed;
        let traffic_seed = seed.fork();
        let inner = Inner {
            began: Instant::now(),
            epoch: 0,
            crashed: false,
            calls: Vec::new(),
            armed_at: None,
            faults: Faults::none(),
            failing: Vec::new(),
            seed,
            traffic_seed,
            disk: Disk::default(),
            router: SimRouter::default(),
            instances: Default::default(),
            hooks: Default::default(),
            artifacts: Default::default(),
            next_port: 20_000,
            oracle: Oracle::default(),
            agreeing: Vec::new(),
            checked: true,
            broken: None,
            trace: traced.then(Vec::new),
            coverage: Coverage::default(),
        };
        Self { shared: Arc::new(Shared { inner: Mutex::new(inner), changed: Notify::new() }) }
    }

    /// A world that nobody checks, for calls that no engine makes.
    pub fn unchecked(seed: Seed) -> Self {
        let world = Self::new(seed, false);
        world.lock().checked = false;
        world
    }

    /// The state, settled up to now.
    pub fn lock(&self) -> MutexGuard<'_, Inner> {
        self.shared.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The ports for a new life of the agent.
    pub fn ports(&self) -> port::World {
        let epoch = {
            let mut inner = self.lock();
            // Where no engine runs, nobody crashes: earlier ports go on beside later ones.
            inner.epoch += u64::from(inner.checked);
            inner.crashed = false;
            inner.note("--- the agent starts ---".to_owned());
            inner.epoch
        };
        let port = Port { world: self.clone(), epoch };
        port::World {
            journal: Arc::new(journal::SimJournal(port.clone())),
            runtime: Arc::new(runtime::SimRuntime(port.clone())),
            router: Arc::new(router::SimRouterPort::new(port.clone())),
            prober: Arc::new(prober::SimProber(port.clone())),
            metrics: Arc::new(metrics::SimMetrics),
            clock: Arc::new(clock::SimClock(port)),
        }
    }

    /// From here on these faults strike, and calls are counted anew.
    pub fn arm(&self, faults: Faults) {
        let mut inner = self.lock();
        inner.calls.clear();
        inner.armed_at = Some(inner.now());
        inner.faults = faults;
    }

    /// No more faults: what is failing works again, and a router that is gone comes back.
    pub fn calm(&self) {
        let mut inner = self.lock();
        inner.note("--- no more faults ---".to_owned());
        inner.faults = Faults::none();
        inner.failing.clear();
        inner.return_router();
        drop(inner);
        self.wake();
    }

    /// The calls made since the faults were armed.
    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// The agent dies, here and now.
    pub fn crash(&self) {
        let mut inner = self.lock();
        inner.crashed = true;
        inner.coverage.count("fault: crash");
        inner.note("*** the agent dies ***".to_owned());
        drop(inner);
        self.wake();
    }

    /// Wakes all who wait for the world to change.
    pub(crate) fn wake(&self) {
        self.shared.changed.notify_waiters();
    }

    /// Waits until something holds of the world.
    pub async fn until<T>(&self, mut of: impl FnMut(&mut Inner) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            let (found, next) = {
                let mut inner = self.lock();
                inner.settle();
                (of(&mut inner), inner.next_change())
            };
            if let Some(found) = found {
                return found;
            }
            let soon = async {
                match next {
                    Some(moment) => tokio::time::sleep_until(moment).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = soon => {}
            }
        }
    }

    /// Lets time pass for the world itself: traffic arrives, and the weather strikes. Never returns.
    pub async fn live(&self) {
        loop {
            tokio::time::sleep(traffic::TICK).await;
            let mut inner = self.lock();
            inner.settle();
            let crash = inner.weather();
            inner.traffic();
            drop(inner);
            if crash {
                self.crash();
            }
        }
    }
}

impl Inner {
    /// The time.
    pub fn now(&self) -> Timestamp {
        EPOCH + self.began.elapsed()
    }

    fn instant(&self, moment: Timestamp) -> Instant {
        self.began + moment.since(EPOCH)
    }

    /// Writes a line into the trace, if one is kept.
    pub fn note(&mut self, line: String) {
        let now = self.now().since(EPOCH).as_millis();
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{now:>8} {line}"));
        }
    }

    /// An invariant does not hold. The first one counts.
    pub(crate) fn broke(&mut self, invariant: Invariant, how: String) {
        self.note(format!("### {invariant:?}: {how}"));
        if self.checked {
            self.broken.get_or_insert((invariant, how));
        }
    }

    /// Brings everything that time decides up to now.
    pub(crate) fn settle(&mut self) {
        let now = self.now();
        self.settle_instances(now);
        if self.router.back_at.is_some_and(|at| at <= now) {
            self.return_router();
        }
    }

    /// When something changes that nobody has to do anything for.
    fn next_change(&self) -> Option<Instant> {
        let deaths =
            self.instances.values().filter(|i| i.ended.is_none()).filter_map(|i| i.dies.as_ref().map(|(at, ..)| *at));
        deaths.chain(self.router.back_at).min().map(|at| self.instant(at))
    }

    fn fault_for(&mut self, call: Call) -> Option<Fault> {
        let number = self.calls.len() as u64;
        self.calls.push(call);
        let now = self.now();
        if self.failing.iter().any(|(group, until)| *group == call.group() && now < *until) {
            self.coverage.count("fault: failing call");
            return Some(Fault::Fail);
        }
        let fault = self.faults.draw(number, call, &mut self.seed)?;
        self.coverage.count(match fault {
            Fault::Fail => "fault: failing call",
            Fault::SlowFail(_) => "fault: call fails after a while",
            Fault::FailFor(_) => "fault: port fails for a time",
            Fault::LoseAnswer => "fault: lost answer",
            Fault::CrashBefore => "fault: crash before effect",
            Fault::CrashAfter => "fault: crash after effect",
            Fault::Twice => "fault: done twice",
            Fault::Delay(_) => "fault: slow call",
        });
        if let Fault::FailFor(time) = fault {
            self.failing.push((call.group(), now + std::time::Duration::from_millis(time)));
        }
        Some(fault)
    }

    /// Lets the weather strike that is due. True if it is the agent that it strikes.
    fn weather(&mut self) -> bool {
        let (Some(armed), now) = (self.armed_at, self.now()) else { return false };
        let mut crash = false;
        while let Some((at, weather)) = self.faults.weather.first().copied() {
            if armed + std::time::Duration::from_millis(at) > now {
                break;
            }
            self.faults.weather.remove(0);
            self.note(format!("weather: {weather:?}"));
            match weather {
                Weather::Kill(which) => self.kill_one(which),
                Weather::RouterGone { time, forgets } => self.lose_router(time, forgets),
                Weather::JournalFull(time) => {
                    self.coverage.count("fault: journal full");
                    self.failing.push((Group::Journal, now + std::time::Duration::from_millis(time)));
                }
                Weather::Crash => crash = !self.crashed,
            }
        }
        crash
    }

    pub(crate) fn take_calls(&mut self) -> Vec<Call> {
        std::mem::take(&mut self.calls)
    }

    pub(crate) fn restore_calls(&mut self, calls: Vec<Call>) {
        self.calls = calls;
    }

    /// How long the agent stays away this time.
    pub(crate) fn draw_downtime(&mut self) -> std::time::Duration {
        let most = self.faults.downtime;
        std::time::Duration::from_millis(self.seed.between(0, most))
    }
}
