//! Checks of what becomes durable.

use cutover::engine::Member;
use cutover_core::machine::{Duty, Event, Progress, Record, ServiceState};
use cutover_core::plan::{Kind, Plan, Step};
use cutover_core::spec::{Hook, Undecided};

use super::{Before, Invariant};
use crate::fixture::Figure;
use crate::world::{Cause, Inner};

/// The secret that every specification of the simulation holds.
pub const SECRET: &str = "hunter2-do-not-tell";

impl Inner {
    /// Takes in an event that becomes durable now.
    pub(crate) fn check_event(&mut self, record: &Record) {
        let next = self.disk.records.last().map_or(1, |last| last.seq + 1);
        if record.seq != next {
            self.broke(Invariant::OneWriter, format!("event {} comes after {}", record.seq, next - 1));
        }
        let text = serde_json::to_string(record).expect("an event can be written");
        if text.contains(SECRET) {
            self.broke(Invariant::NoSecrets, text);
        }
        self.count_event(record);
        let fresh = || ServiceState::new(record.service.clone());
        let mut state = self.oracle.services.get(&record.service).cloned().unwrap_or_else(fresh);
        let then = state.clone();
        if let Err(error) = state.apply(record) {
            return self.broke(Invariant::OneWriter, error.to_string());
        }
        self.oracle.services.insert(record.service.clone(), state.clone());
        self.check_meaning(record, &then, &state);
    }

    /// All that are to count together do so in one entry, or none does.
    pub(crate) fn check_agreed(&mut self, fresh: &[&Record]) {
        let agreed: Vec<_> = fresh.iter().filter(|record| matches!(record.event, Event::Agreed { .. })).collect();
        let counts = |member: &&Member| agreed.iter().any(|record| record.deployment == Some(member.deployment));
        if !agreed.is_empty() && !self.agreeing.iter().all(|member| counts(&member)) {
            self.broke(Invariant::AllOrNone, format!("not all of {:?} count together", self.agreeing));
        }
    }

    fn check_meaning(&mut self, record: &Record, then: &ServiceState, state: &ServiceState) {
        let plan = || state.deployment.as_ref().or(then.deployment.as_ref()).map(|deployment| deployment.plan.clone());
        match &record.event {
            Event::Planned { plan, .. } => {
                self.check_way_back(then, plan);
                let before = Before { serving: then.serving(), routed: then.routed.is_some(), ..Before::default() };
                self.oracle.before.insert(record.service.clone(), before);
            }
            Event::StepStarted { step, .. } => {
                if let Some(plan) = plan() {
                    self.check_step(record, &plan, &plan.steps[*step]);
                }
            }
            Event::StepDone { step } => {
                if let Some(plan) = plan() {
                    self.check_step_done(record, &plan.steps[*step]);
                }
            }
            Event::Agreed { .. } => {
                let step = then.deployment.as_ref().and_then(|deployment| match deployment.progress {
                    Progress::Forward { step, .. } => deployment.plan.steps.get(step),
                    _ => None,
                });
                step.into_iter().for_each(|step| self.check_step_done(record, step));
            }
            Event::UndoStarted { step, .. } => {
                if let Some(Step::Shift { from, .. }) = plan().map(|plan| plan.steps[*step].clone()) {
                    self.check_return(&from);
                }
            }
            Event::Ended { outcome, .. } => {
                if let Some(plan) = plan() {
                    self.check_end(state, &plan, outcome);
                }
            }
            _ => {}
        }
    }

    fn check_step(&mut self, record: &Record, plan: &Plan, step: &Step) {
        self.coverage.count(&format!("step: {}", step.name()));
        match step {
            Step::Shift { to, .. } | Step::Weigh { instances: to, .. } => {
                self.check_tested(to);
                if !to.is_empty() {
                    self.check_hooks_before(plan, "traffic moves", &[Hook::BeforeStart, Hook::BeforeSwitch]);
                }
            }
            Step::Watch { .. } => {
                if let Some(before) = self.oracle.before.get_mut(&plan.service) {
                    before.watch_began = Some(record.at);
                }
            }
            Step::Drain { .. } => {
                if let Some(before) = self.oracle.before.get_mut(&plan.service) {
                    before.drained_since = Some(record.at);
                }
            }
            Step::Commit { .. } => {
                self.check_hooks_before(plan, "it commits", &[Hook::AfterSwitch]);
                if plan.kind == Kind::Deploy {
                    self.check_figure(plan);
                }
                self.check_commit(plan);
            }
            _ => {}
        }
    }

    /// Who gets traffic has passed the gate: whoever runs has been ready.
    fn check_tested(&mut self, to: &[cutover_core::InstanceId]) {
        let now = self.now();
        for id in to {
            let tested = self.instances.get(id).is_some_and(|found| found.ended.is_some() || found.has_been_ready(now));
            if !tested {
                self.broke(Invariant::TestedServes, format!("{id} is to get traffic, but has not been ready"));
            }
        }
    }

    /// Traffic goes back to somebody who is ready, unless all of them were just killed, or there is nobody.
    fn check_return(&mut self, from: &[cutover_core::InstanceId]) {
        let now = self.now();
        let able = |id: &cutover_core::InstanceId| {
            self.instances.get(id).is_some_and(|found| {
                let killed = matches!(found.ended, Some((_, Cause::Injected | Cause::Itself)));
                found.answers(now) || killed || (found.runs() && found.life.unready.is_some())
            })
        };
        if !from.is_empty() && !from.iter().any(able) {
            self.broke(Invariant::ReturnIsInstant, format!("traffic goes back to {from:?}, none of whom is ready"));
        }
    }

    /// Nobody has asked for a way past a release that forbids it.
    fn check_way_back(&mut self, then: &ServiceState, plan: &Plan) {
        if plan.kind == Kind::Rollback && plan.to < then.not_before {
            self.broke(Invariant::OursAlone, format!("{:?} is rolled back past {:?}", plan.to, then.not_before));
        }
    }

    /// What others say about a release was heard before it counts.
    fn check_figure(&mut self, plan: &Plan) {
        let Some(release) = plan.to.and_then(|to| self.disk.releases.get(&(plan.service.clone(), to))) else { return };
        let rollout = &release.spec.rollout;
        let figure = rollout.metrics.first().and_then(Figure::of);
        let running = self.oracle.service(&plan.service).and_then(|state| state.deployment.as_ref());
        let asked = running.is_some_and(|deployment| deployment.paused.is_none() && !deployment.asked.is_empty());
        let may = match (figure, rollout.undecided) {
            (None | Some(Figure::Good), _) | (Some(Figure::Silent), Undecided::Promote) => true,
            (Some(Figure::Silent), Undecided::Ask) => asked,
            (Some(Figure::Bad), _) | (Some(Figure::Silent), Undecided::RollBack) => false,
        };
        if !may {
            let said = format!("{figure:?} and {:?}", rollout.undecided);
            self.broke(Invariant::Truthful, format!("release {:?} commits with {said}", plan.to));
        }
    }

    /// At the commit all old instances still run, but those that the simulation killed.
    fn check_commit(&mut self, plan: &Plan) {
        for id in &plan.retires() {
            let rests =
                |state: &ServiceState| matches!(state.instances.get(id)?.duty, Duty::Resting { .. }).then_some(());
            if self.oracle.service(&plan.service).and_then(rests).is_some() {
                continue;
            }
            let there = self.instances.get(id).is_some_and(|found| !matches!(found.ended, Some((_, Cause::Ours))));
            let state = self.oracle.service(&plan.service);
            let down = state.and_then(|state| state.instances.get(id)).is_some_and(|instance| instance.down.is_some());
            if !there && !down {
                self.broke(Invariant::ReturnIsInstant, format!("{id} was stopped before the commit"));
            }
        }
    }

    fn check_step_done(&mut self, record: &Record, step: &Step) {
        if let Step::Watch { time, .. } = step {
            let began = self.oracle.before.get(&record.service).and_then(|before| before.watch_began);
            let watched = began.map(|began| record.at.since(began)).unwrap_or_default();
            let running = self.oracle.service(&record.service).and_then(|state| state.deployment.as_ref());
            let promoted = running.is_some_and(|deployment| deployment.promoted);
            if watched < *time && !promoted {
                self.broke(
                    Invariant::Truthful,
                    format!("{} was watched for {watched:?}, not {time:?}", record.service),
                );
            }
        }
    }

    fn count_event(&mut self, record: &Record) {
        let kind = serde_json::to_value(&record.event).ok().and_then(|v| Some(v.get("kind")?.as_str()?.to_owned()));
        self.coverage.count(&format!("event: {}", kind.unwrap_or_default()));
        match &record.event {
            Event::StepFailed { failure, .. } => self.count_failure("failure", record, &failure.summary),
            Event::UndoFailed { failure, .. } => self.count_failure("stuck", record, &failure.summary),
            Event::Planned { plan, .. } => self.coverage.count(&format!("planned: {}", plan.kind.verb())),
            _ => {}
        }
    }

    /// Counts a failure under its words, without names and numbers.
    fn count_failure(&mut self, what: &str, record: &Record, summary: &str) {
        let word = |word: &&str| !word.contains('.') && !word.contains(|c: char| c.is_ascii_digit() || c == '`');
        let service = record.service.as_str();
        let words: Vec<&str> =
            summary.split(' ').filter(word).filter(|word| !word.starts_with(service)).take(7).collect();
        self.coverage.count(&format!("{what}: {}", words.join(" ")));
    }
}
