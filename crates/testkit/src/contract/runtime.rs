//! The contract of a runtime.

use std::sync::Arc;
use std::time::Duration;

use cutover::engine::port::{Exit, Progress, ReleaseOrder, Runtime, Seen, StartOrder};
use cutover_core::spec::{RunSpec, StopSpec};
use cutover_core::{InstanceId, ReleaseNo, ServiceName};

use crate::script::name;

/// Programs for the runtime under test. All times are short enough to wait for.
#[derive(Debug, Clone)]
pub struct Programs {
    /// Runs until it is told to stop, and leaves then.
    pub good: RunSpec,
    /// Exits with status 3 soon after it was started.
    pub exits: RunSpec,
    /// Ignores its stop signal.
    pub stubborn: RunSpec,
    /// Cannot be started.
    pub broken: RunSpec,
}

/// How long anything may take that the suite waits for.
const SOON: Duration = Duration::from_secs(20);

/// Checks a runtime. `open` makes a new one over the same state each time it is called, as a new life of the agent does; it
/// knows no instance at first.
///
/// # Panics
/// Panics at the first thing that is not as it must be.
pub async fn runtime(open: impl Fn() -> Arc<dyn Runtime>, programs: &Programs) {
    let suite = Suite { open: &open, programs };
    suite.starts_once().await;
    suite.is_found_by_the_next_agent().await;
    suite.stops_and_may_be_stopped_again().await;
    suite.does_not_mind_what_it_never_started().await;
    suite.starts_anew_with_a_higher_attempt().await;
    suite.tells_how_one_ended().await;
    suite.kills_the_stubborn().await;
    suite.says_when_it_cannot_start().await;
    suite.forgets().await;
}

struct Suite<'a> {
    open: &'a dyn Fn() -> Arc<dyn Runtime>,
    programs: &'a Programs,
}

fn web() -> ServiceName {
    name("web")
}

fn id(number: u32) -> InstanceId {
    InstanceId { service: web(), release: ReleaseNo(1), number }
}

fn order(number: u32, attempt: u32, spec: &RunSpec) -> StartOrder {
    StartOrder { instance: id(number), attempt, spec: spec.clone(), fingerprint: None }
}

fn gentle() -> StopSpec {
    StopSpec { grace: Duration::from_secs(2), ..StopSpec::default() }
}

impl Suite<'_> {
    async fn starts_once(&self) {
        let runtime = (self.open)();
        self.prepare(runtime.as_ref(), &self.programs.good).await;
        let first = runtime.start(&order(1, 0, &self.programs.good)).await.expect("it starts");
        let again = runtime.start(&order(1, 0, &self.programs.good)).await.expect("it is found");
        assert_eq!(first, again, "the same start gave another instance");
        let other = runtime.start(&order(2, 0, &self.programs.good)).await.expect("a second one starts");
        assert_ne!(first, other, "two instances have one address");
        assert_eq!(self.running(runtime.as_ref()).await, [id(1), id(2)]);
    }

    async fn is_found_by_the_next_agent(&self) {
        let before = self.seen(&id(1)).await.expect("it is seen");
        let found = (self.open)().start(&order(1, 0, &self.programs.good)).await.expect("it is found");
        assert_eq!(found, before.address, "the next agent started it anew");
    }

    async fn stops_and_may_be_stopped_again(&self) {
        let runtime = (self.open)();
        let stops = async { runtime.stop(&id(2), &gentle()).await };
        let waits = async { runtime.exited(&id(2)).await };
        let (stopped, exit) = tokio::join!(stops, waits);
        let stopped = stopped.expect("it stops");
        assert!(!stopped.killed, "it was killed although it leaves when asked");
        assert_eq!(stopped.exit, exit, "the two who waited were told different ends");
        runtime.stop(&id(2), &gentle()).await.expect("what has gone may be stopped again");
        assert_eq!(self.running(runtime.as_ref()).await, [id(1)]);
        let started = runtime.start(&order(2, 0, &self.programs.good)).await;
        assert!(started.is_ok(), "a start that is repeated after the end finds what it had started");
        assert_eq!(self.running(runtime.as_ref()).await, [id(1)], "and does not start it again");
    }

    /// An undo stops what a start that never got there was to start.
    async fn does_not_mind_what_it_never_started(&self) {
        let runtime = (self.open)();
        runtime.stop(&id(77), &gentle()).await.expect("what was never started counts as stopped");
        runtime.forget(&id(77)).await.expect("what was never started counts as forgotten");
        runtime.discard(&web(), ReleaseNo(77)).await.expect("a release that was never prepared counts as removed");
        let exited = tokio::time::timeout(SOON, runtime.exited(&id(77))).await;
        assert!(exited.is_ok(), "what was never started is waited for");
    }

    async fn starts_anew_with_a_higher_attempt(&self) {
        let runtime = (self.open)();
        runtime.stop(&id(1), &gentle()).await.expect("it stops");
        runtime.start(&order(1, 1, &self.programs.good)).await.expect("it starts anew");
        let seen = self.seen(&id(1)).await.expect("it is seen");
        assert_eq!((seen.attempt, seen.pid.is_some()), (1, true));
        runtime.start(&order(1, 0, &self.programs.good)).await.expect("a late repetition of the first start");
        assert_eq!(self.seen(&id(1)).await.map(|seen| seen.attempt), Some(1), "went back to an older attempt");
        runtime.stop(&id(1), &gentle()).await.expect("it stops");
    }

    async fn tells_how_one_ended(&self) {
        let runtime = (self.open)();
        runtime.start(&order(3, 0, &self.programs.exits)).await.expect("it starts");
        let exit = tokio::time::timeout(SOON, runtime.exited(&id(3))).await.expect("its end is noticed");
        assert_eq!(exit, Exit::Code(3));
        assert_eq!((self.open)().exited(&id(3)).await, Exit::Code(3), "the next agent is told something else");
        let seen = self.seen(&id(3)).await.expect("it is seen");
        assert_eq!((seen.pid, seen.exit), (None, Some(Exit::Code(3))));
    }

    async fn kills_the_stubborn(&self) {
        let runtime = (self.open)();
        runtime.start(&order(4, 0, &self.programs.stubborn)).await.expect("it starts");
        // Whether it has got as far as ignoring the signal is its own business: it must be gone, that is all.
        let stop = StopSpec { grace: Duration::from_millis(300), ..StopSpec::default() };
        let stopped = tokio::time::timeout(SOON, runtime.stop(&id(4), &stop)).await;
        stopped.expect("it is killed in time").expect("it can be killed");
        assert_eq!(self.running(runtime.as_ref()).await, []);
    }

    async fn says_when_it_cannot_start(&self) {
        let runtime = (self.open)();
        let started = runtime.start(&order(5, 0, &self.programs.broken)).await;
        assert!(started.is_err(), "a program that does not exist was started");
        runtime.stop(&id(5), &gentle()).await.expect("its undo stops it all the same");
        assert_eq!(self.running(runtime.as_ref()).await, []);
    }

    async fn forgets(&self) {
        let runtime = (self.open)();
        for number in 1..=5 {
            runtime.forget(&id(number)).await.expect("what has ended can be forgotten");
            runtime.forget(&id(number)).await.expect("also again");
        }
        assert_eq!(runtime.observe().await.expect("it can be asked"), []);
        runtime.discard(&web(), ReleaseNo(1)).await.expect("its release can be removed");
        runtime.discard(&web(), ReleaseNo(1)).await.expect("also again");
    }

    async fn prepare(&self, runtime: &dyn Runtime, spec: &RunSpec) {
        let fingerprint = runtime.fingerprint(spec).await.expect("it can be looked at");
        let order = ReleaseOrder { service: web(), release: ReleaseNo(1), spec: spec.clone(), fingerprint };
        runtime.prepare(&order, &Progress::unheard()).await.expect("it can be prepared");
        runtime.prepare(&order, &Progress::unheard()).await.expect("also again");
    }

    async fn seen(&self, instance: &InstanceId) -> Option<Seen> {
        let seen = (self.open)().observe().await.expect("it can be asked");
        seen.into_iter().find(|seen| seen.instance == *instance)
    }

    async fn running(&self, runtime: &dyn Runtime) -> Vec<InstanceId> {
        let seen = runtime.observe().await.expect("it can be asked");
        let mut running: Vec<InstanceId> = seen.into_iter().filter(|s| s.pid.is_some()).map(|s| s.instance).collect();
        running.sort();
        running
    }
}
