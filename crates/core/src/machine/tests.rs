//! Tables and properties of the machine. Nothing here performs anything: the outcomes of steps are drawn.

mod tables;

use proptest::prelude::*;

use super::*;
use crate::failure::Failure;
use crate::id::{DeploymentId, InstanceId, ReleaseNo, ServiceName};
use crate::plan::tests::{release, spec};
use crate::plan::{self, Desired, Kind, Plan, Step};
use crate::unit::Timestamp;

fn name() -> ServiceName {
    ServiceName::new("web").unwrap()
}

/// A service with its records, as an engine would write them.
struct Run {
    state: ServiceState,
    records: Vec<Record>,
}

impl Run {
    fn new() -> Self {
        Self { state: ServiceState::new(name()), records: Vec::new() }
    }

    /// With a live release of two instances.
    fn live() -> Self {
        let mut run = Self::new();
        run.begin(plan::deploy(&run.state, desired(&spec())).unwrap());
        run.finish();
        run
    }

    fn record(&self, event: Event) -> Record {
        let seq = self.records.len() as u64 + 1;
        let deployment = self.state.deployment.as_ref().map(|deployment| deployment.id);
        Record { seq, at: Timestamp(1000 * seq), service: name(), deployment, event }
    }

    fn take(&mut self, event: Event) {
        let record = self.record(event);
        self.state.apply(&record).unwrap();
        self.records.push(record);
    }

    fn begin(&mut self, plan: Plan) {
        let deployment = DeploymentId(self.records.len() as u64 + 1);
        let (by, deadline) = ("anna".to_owned(), Timestamp(u64::MAX));
        self.take(Event::Planned { deployment, plan, by, deadline, fingerprint: None, baseline: None });
    }

    fn step(&self, index: usize) -> Step {
        self.state.deployment.as_ref().unwrap().plan.steps[index].clone()
    }

    /// Goes one step of the machine; `fails` says whether what is performed fails.
    fn go(&mut self, fails: bool) {
        let until = Timestamp(0);
        let event = match self.state.next() {
            Next::Nothing | Next::Wait(_) => return,
            Next::Begin(step) => Event::StepStarted { step, until },
            Next::Perform(step, _) if fails && !self.committed() => Event::StepFailed { step, failure: failure() },
            Next::Perform(step, _) => Event::StepDone { step },
            Next::BeginUndo(step) if fails => Event::UndoFailed { step, failure: failure() },
            Next::BeginUndo(step) => Event::UndoStarted { step, until },
            Next::Undo(step, _) if fails => Event::UndoFailed { step, failure: failure() },
            Next::Undo(step, _) | Next::SkipUndo(step) => Event::UndoDone { step },
            Next::BeginHook(call) => Event::HookStarted { hook: call.hook, until },
            Next::RunHook(call, _) => Event::HookEnded { hook: call.hook, report: Box::default() },
            Next::End(outcome) => Event::Ended { outcome, proof: None },
        };
        self.take(event);
    }

    fn committed(&self) -> bool {
        let deployment = self.state.deployment.as_ref();
        deployment.is_some_and(|d| matches!(d.progress, Progress::Forward { step, .. } if step >= d.plan.commit()))
    }

    fn stuck(&self) -> bool {
        let deployment = self.state.deployment.as_ref();
        deployment.is_some_and(|d| matches!(d.progress, Progress::Stuck { .. }))
    }

    fn finish(&mut self) {
        while self.state.deployment.is_some() {
            self.go(false);
        }
    }

    fn undone(&self) -> Vec<usize> {
        let undone = |record: &Record| if let Event::UndoDone { step } = record.event { Some(step) } else { None };
        self.records.iter().filter_map(undone).collect()
    }
}

fn desired(spec: &crate::spec::ServiceSpec) -> Desired<'_> {
    Desired { spec, fingerprint: None, same: &[], again: false, together: false }
}

fn failure() -> Failure {
    Failure::new("it did not work")
}

/// With a command at each place.
fn hooked() -> crate::spec::ServiceSpec {
    let mut spec = spec();
    let hook = |hook| (hook, crate::spec::HookSpec { command: vec!["hook".into()], within: Default::default() });
    spec.rollout.hooks = crate::spec::Hook::ALL.into_iter().map(hook).collect();
    spec.rollout.no_rollback_past = true;
    spec
}

/// When it is undone its hooks run one after the other, each announced, and only then does it end. Seen to fail with the end taken
/// while one was left.
#[test]
fn what_is_left_after_the_undo_runs_before_the_end() {
    use crate::spec::Hook::{OnFailure, OnRollback};
    let closing = |aborted: bool| {
        let mut run = Run::live();
        run.begin(plan::deploy(&run.state, desired(&hooked())).unwrap());
        (0..9).for_each(|_| run.go(false));
        if aborted {
            run.take(abort())
        } else {
            run.go(true)
        }
        assert!(run.state.not_before.is_none(), "the way back is closed by the commit only");
        run.finish();
        let started =
            |record: &Record| if let Event::HookStarted { hook, .. } = record.event { Some(hook) } else { None };
        run.records.iter().filter_map(started).collect::<Vec<_>>()
    };
    assert_eq!(closing(false), [OnFailure, OnRollback]);
    assert_eq!(closing(true), [OnRollback]);
    let mut run = Run::live();
    run.begin(plan::deploy(&run.state, desired(&hooked())).unwrap());
    run.take(abort());
    let outcome = Outcome::RolledBack { failure: failure(), aborted: true };
    let early = run.record(Event::Ended { outcome, proof: None });
    assert!(run.state.apply(&early).is_err(), "it ended before its hook");
    run.finish();
    run.begin(plan::deploy(&run.state, desired(&hooked())).unwrap());
    run.finish();
    assert_eq!(run.state.not_before, run.state.live);
}

fn abort() -> Event {
    Event::AbortAsked { by: "anna".into(), reason: "why not".into() }
}

/// A plan of each kind, from a service with a live release and one before it.
fn plans(state: &ServiceState) -> Vec<Plan> {
    vec![
        plan::deploy(state, desired(&spec())).unwrap(),
        plan::deploy(state, desired(&hooked())).unwrap(),
        plan::restart(state, Kind::Rollback, &release(1)).unwrap(),
        plan::restart(state, Kind::Restart, &release(1)).unwrap(),
        plan::scale(state, &release(1), 4).unwrap(),
        plan::scale(state, &release(1), 1).unwrap(),
        plan::stop(state, &release(1)).unwrap(),
        plan::remove(state, &release(1)).unwrap(),
    ]
}

/// What ran before us is live as it is, and a failure leaves it running: no step of it, done or undone, retires anybody.
/// Seen to fail with the undo of a start.
#[test]
fn what_ran_before_us_is_taken_over_and_never_stopped() {
    let fresh = || Run::new();
    let plan = |run: &Run| plan::adopt(&run.state, &spec(), 2).unwrap();
    let steps = plan(&fresh()).steps.len();
    for fails_at in 0..=steps {
        let mut run = fresh();
        let adopted = plan(&run).adopts().to_vec();
        run.begin(plan(&run));
        for _ in 0..2 * fails_at {
            run.go(false);
        }
        run.go(false);
        run.go(true);
        run.finish();
        for id in &adopted {
            let duty = run.state.instances.get(id).map(|instance| instance.duty);
            assert!(matches!(duty, None | Some(Duty::Gone | Duty::Serving)), "{duty:?} after a failure at {fails_at}");
        }
        assert_eq!(run.state.live.is_some(), run.state.serving() == adopted, "after a failure at {fails_at}");
    }
    assert!(matches!(plan::adopt(&Run::live().state, &spec(), 2), Err(plan::Refusal::NothingToAdopt { .. })));
    assert!(matches!(plan::adopt(&fresh().state, &spec(), 0), Err(plan::Refusal::NothingToAdopt { .. })));
}

/// The events about steps and deployments, all about step 0.
fn events() -> Vec<Event> {
    let (step, until) = (0, Timestamp(0));
    let planned = Run::live().records[0].event.clone();
    vec![
        planned,
        Event::StepStarted { step, until },
        Event::StepDone { step },
        Event::StepFailed { step, failure: failure() },
        abort(),
        Event::UndoStarted { step, until },
        Event::UndoDone { step },
        Event::UndoFailed { step, failure: failure() },
        Event::UndoRetried { by: "anna".into() },
        Event::Ended { outcome: Outcome::Done, proof: None },
        Event::Ended { outcome: Outcome::RolledBack { failure: failure(), aborted: false }, proof: None },
    ]
}

/// Which of [`events`] fit, as a row of `x` and `.`.
fn row(run: &Run) -> String {
    let fits = |event: Event| {
        let mut state = run.state.clone();
        let fits = state.apply(&run.record(event.clone())).is_ok();
        assert!(fits || state == run.state, "{event:?} was refused, and changed something");
        if fits { 'x' } else { '.' }
    };
    events().into_iter().map(fits).collect()
}

#[test]
fn each_event_fits_where_it_may_follow_and_nowhere_else() {
    let mut run = Run::new();
    let mut table = vec![("nothing begun", row(&run))];
    run.begin(plan::deploy(&run.state, desired(&spec())).unwrap());
    table.push(("step 0 to begin", row(&run)));
    run.go(false);
    table.push(("step 0 at work", row(&run)));
    run.go(true);
    table.push(("undo of 0 to begin", row(&run)));
    run.go(false);
    table.push(("undo of 0 at work", row(&run)));
    let mut stuck = Run { state: run.state.clone(), records: run.records.clone() };
    stuck.go(true);
    table.push(("stuck at 0", row(&stuck)));
    run.go(false);
    table.push(("all undone", row(&run)));
    // planned, started, done, failed, abort, undo started, undo done, undo failed, retried, ended done, ended undone
    let expected = [
        ("nothing begun", "x.........."),
        ("step 0 to begin", ".x..x......"),
        ("step 0 at work", "..xxx......"),
        ("undo of 0 to begin", ".....xxx..."),
        ("undo of 0 at work", "......xx..."),
        ("stuck at 0", "........x.."),
        ("all undone", "..........x"),
    ];
    assert_eq!(table, expected.map(|(at, row)| (at, row.to_owned())));
}

#[test]
fn what_has_committed_neither_fails_nor_is_aborted() {
    let mut run = Run::live();
    run.begin(plan::deploy(&run.state, desired(&spec())).unwrap());
    while !run.committed() {
        run.go(false);
    }
    assert!(run.state.can_abort(), "until the commit is announced it can be aborted");
    run.go(false);
    while run.state.deployment.is_some() {
        assert!(!run.state.can_abort());
        assert!(run.state.clone().apply(&run.record(abort())).is_err());
        if let Next::Perform(step, _) = run.state.next() {
            let failed = Event::StepFailed { step, failure: failure() };
            assert!(run.state.clone().apply(&run.record(failed)).is_err(), "step {step} failed after the commit");
        }
        run.go(false);
    }
}

#[test]
fn an_undone_deployment_leaves_routes_and_duties_as_they_were() {
    for plan in plans(&Run::live().state) {
        let (kind, commit) = (plan.kind, plan.commit());
        for failing in 0..commit {
            let mut run = Run::live();
            let before = run.state.clone();
            run.begin(plan.clone());
            while run.state.next() != Next::Perform(failing, Timestamp(0)) {
                run.go(false);
            }
            run.go(true);
            run.finish();
            let after = &run.state;
            assert_eq!((after.routed, after.live), (before.routed, before.live), "{kind:?} failing at {failing}");
            assert_eq!(after.serving(), before.serving(), "{kind:?} failing at {failing}");
            let strays = after.instances_with(|i| matches!(i.duty, Duty::Starting | Duty::Registered | Duty::Standby));
            assert_eq!(strays, [], "{kind:?} failing at {failing}");
        }
    }
}

#[test]
fn a_deployment_after_a_stop_that_is_undone_leaves_the_route() {
    let mut run = Run::live();
    run.begin(plan::stop(&run.state, &release(1)).unwrap());
    run.finish();
    let routed = run.state.routed;
    assert!(routed.is_some() && run.state.live.is_none(), "a stopped service keeps its route");
    run.begin(plan::deploy(&run.state, desired(&spec())).unwrap());
    while !matches!(run.state.next(), Next::Perform(step, _) if matches!(run.step(step), Step::Watch { .. })) {
        run.go(false);
    }
    run.go(true);
    run.finish();
    assert_eq!(run.state.routed, routed, "seen to fail with the live release's route put back");
}

#[test]
fn a_lock_ends_with_its_service() {
    let mut run = Run::live();
    run.begin(plan::remove(&run.state, &release(1)).unwrap());
    run.take(Event::Locked { by: "anna".into(), reason: "holiday".into(), until: Timestamp(u64::MAX) });
    run.finish();
    assert!(run.state.removed);
    assert_eq!(run.state.lock, None, "nobody could release the lock of a service that is not known any more");
}

/// What happens at each turn: the step succeeds or fails, somebody aborts, an instance dies or comes back.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Succeeds,
    Fails,
    Aborts,
    Dies(u8),
    ComesBack(u8),
}

fn turns() -> impl Strategy<Value = Vec<Turn>> {
    let turn = prop_oneof![
        20 => Just(Turn::Succeeds),
        1 => Just(Turn::Fails),
        1 => Just(Turn::Aborts),
        1 => any::<u8>().prop_map(Turn::Dies),
        1 => any::<u8>().prop_map(Turn::ComesBack),
    ];
    prop::collection::vec(turn, 0..80)
}

impl Run {
    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Succeeds => self.go(false),
            Turn::Fails => self.go(true),
            Turn::Aborts if self.state.can_abort() => self.take(abort()),
            Turn::Aborts => {}
            Turn::Dies(which) => self.about(which, |instance| Event::InstanceDied { instance, exit: "killed".into() }),
            Turn::ComesBack(which) => self.about(which, |instance| Event::InstanceBack { instance }),
        }
    }

    fn about(&mut self, which: u8, event: impl Fn(InstanceId) -> Event) {
        let kept = self.state.instances_with(Instance::is_kept_alive);
        if let Some(id) = usize::from(which).checked_rem(kept.len()).map(|at| kept[at].clone()) {
            self.take(event(id));
        }
    }

    /// Any plan with any luck; what gets stuck is retried by a patient person.
    fn play(which: usize, turns: Vec<Turn>) -> Self {
        let mut run = Self::live();
        run.begin(plans(&run.state)[which].clone());
        turns.into_iter().for_each(|turn| {
            if run.stuck() {
                run.take(Event::UndoRetried { by: "anna".into() });
            }
            run.turn(turn);
        });
        run
    }
}

proptest! {
    #[test]
    fn every_prefix_of_a_journal_reads_back_to_the_live_state(which in 0..7usize, turns in turns()) {
        let run = Run::play(which, turns);
        let mut state = ServiceState::new(name());
        for record in &run.records {
            let text = serde_json::to_string(record).unwrap();
            let read: Record = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(&read, record);
            state.apply(&read).unwrap();
        }
        prop_assert_eq!(&state, &run.state);
        let text = serde_json::to_string(&state).unwrap();
        prop_assert_eq!(serde_json::from_str::<ServiceState>(&text).unwrap(), state);
    }

    #[test]
    fn with_some_patience_every_deployment_ends(which in 0..7usize, turns in turns()) {
        let mut run = Run::play(which, turns);
        let mut left = 200;
        while run.state.deployment.is_some() && left > 0 {
            if run.stuck() {
                run.take(Event::UndoRetried { by: "anna".into() });
            }
            run.go(false);
            left -= 1;
        }
        prop_assert!(left > 0, "it does not end: {:?}", run.state.deployment);
    }

    #[test]
    fn undo_goes_backwards_from_where_it_was_and_never_from_behind_the_commit(which in 0..7usize, turns in turns()) {
        let run = Run::play(which, turns);
        let commit = plans(&Run::live().state)[which].commit();
        let undone = run.undone();
        prop_assert!(undone.windows(2).all(|pair| pair[1] + 1 == pair[0]), "not one by one backwards: {:?}", undone);
        prop_assert!(undone.iter().all(|step| *step < commit), "undone behind the commit: {:?}", undone);
    }

    #[test]
    fn somebody_serves_or_requests_wait_as_long_as_a_release_is_live(which in 0..5usize, turns in turns()) {
        let run = Run::play(which, turns);
        let mut state = ServiceState::new(name());
        for record in &run.records {
            state.apply(record).unwrap();
            if state.live.is_some() {
                let serving = state.instances.values().filter(|i| matches!(i.mode(), Some(crate::table::Mode::Serving { .. })));
                let all_down = state.serving().iter().all(|id| state.instances[id].down.is_some());
                prop_assert!(serving.count() > 0 || (all_down && !state.serving().is_empty()), "nobody serves after {:?}", record);
            }
        }
    }

    #[test]
    fn a_table_reads_back_as_written(which in 0..7usize, turns in turns()) {
        let run = Run::play(which, turns);
        let (spec, hold) = (spec(), crate::table::Hold { wait: std::time::Duration::from_secs(1), requests: 7 });
        let table = table(crate::Generation(3), &[(&run.state, spec.route.as_ref())], Some("token"), &hold);
        let text = serde_json::to_string(&table).unwrap();
        prop_assert_eq!(serde_json::from_str::<crate::table::Table>(&text).unwrap(), table);
    }
}

#[test]
fn an_instance_that_is_unknown_is_refused() {
    let run = Run::live();
    let instance = InstanceId { service: name(), release: ReleaseNo(1), number: 99 };
    let mut state = run.state.clone();
    assert!(state.apply(&run.record(Event::InstanceBack { instance })).is_err());
    assert_eq!(state, run.state);
}
