//! The fold: what each event changes.

use super::event::{Event, Outcome, Record};
use super::state::{Deployment, Down, Duty, Instance, Last, Lock, Mark, Progress, ReleaseState, ServiceState};
use crate::failure::Failure;
use crate::id::{InstanceId, ReleaseNo};
use crate::plan::{Kind, Plan, Step};
use crate::spec::Hook;
use crate::unit::Timestamp;

/// An event that cannot follow what came before it. Live it would be a mistake of ours; in a journal that is read back it
/// means that the journal is damaged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} of {service} does not fit: {reason}")]
pub struct Inconsistent {
    /// The event's number.
    pub seq: u64,
    /// Its service.
    pub service: crate::id::ServiceName,
    /// What does not fit.
    pub reason: String,
}

/// Who has paused a deployment that nobody has.
const NOBODY: &str = "cutover";

fn undone(failure: Failure, aborted: bool) -> Progress {
    Progress::Undone { failure, aborted, hook: 0, begun: None }
}

impl ServiceState {
    /// Takes in one event. On an error nothing has changed.
    pub fn apply(&mut self, record: &Record) -> Result<(), Inconsistent> {
        let misfit = |reason: String| Inconsistent { seq: record.seq, service: self.name.clone(), reason };
        let mut next = self.clone();
        next.take(record.at, &record.event).map_err(misfit)?;
        *self = next;
        Ok(())
    }

    fn take(&mut self, at: Timestamp, event: &Event) -> Result<(), String> {
        let doing = self.deployment.as_ref().map(|deployment| deployment.progress.clone());
        match (doing, event) {
            (None, Event::Planned { .. }) => self.begin(at, event),
            (Some(Progress::Forward { step: now, begun: None }), Event::StepStarted { step, until })
                if now == *step && !self.stands_still() =>
            {
                self.step_effect(*step, at);
                self.go(Progress::Forward { step: *step, begun: Some(*until) });
            }
            (Some(Progress::Forward { step: now, begun: Some(_) }), Event::StepDone { step }) if now == *step => {
                self.done_effect(*step);
                self.go(Progress::Forward { step: step + 1, begun: None });
            }
            (Some(Progress::Forward { step: now, begun: Some(_) }), Event::StepFailed { step, failure })
                if now == *step && now < self.commit() =>
            {
                self.go(Progress::Undoing { step: *step, begun: None, failure: failure.clone(), aborted: false });
            }
            (Some(Progress::Forward { step, begun }), Event::AbortAsked { by, reason }) if self.can_abort() => {
                self.turn_back(step, begun.is_some(), Failure::new(format!("aborted by {by}: {reason}")));
            }
            (Some(Progress::Forward { step: now, begun: Some(_) }), Event::Judged { step, judgement })
                if now == *step =>
            {
                self.change(|deployment| drop(deployment.judged.insert(*step, judgement.as_ref().clone())));
            }
            (Some(Progress::Forward { step: now, begun: Some(_) }), Event::Extended { step, by, .. })
                if now == *step =>
            {
                self.change(|deployment| deployment.extend(*step, *by));
            }
            (Some(Progress::Forward { step: now, begun: Some(_) }), Event::Undecided { step, .. }) if now == *step => {
                self.change(|deployment| {
                    deployment.asked.insert(*step);
                    deployment.paused = deployment.paused.take().or(Some((at, NOBODY.to_owned())));
                });
            }
            (Some(Progress::Forward { step: now, begun: Some(_) }), Event::Asked { step, .. }) if now == *step => {}
            (Some(Progress::Forward { .. }), Event::PauseAsked { by }) if self.can_abort() => {
                self.change(|deployment| deployment.paused = deployment.paused.take().or(Some((at, by.clone()))));
            }
            (Some(Progress::Forward { .. }), Event::ResumeAsked { .. }) => {
                self.change(|deployment| deployment.resume(at))
            }
            (Some(Progress::Forward { .. }), Event::PromoteAsked { .. }) if self.can_abort() => {
                self.change(|deployment| {
                    deployment.resume(at);
                    deployment.promoted = true;
                });
            }
            (Some(Progress::Forward { step, begun: Some(_) }), Event::Agreed { .. }) if self.observes_last(step) => {
                self.go(Progress::Forward { step: step + 1, begun: None });
            }
            (
                Some(Progress::Undoing { step: now, begun: None, failure, aborted }),
                Event::UndoStarted { step, until },
            ) if now == *step => {
                self.undo_effect(*step, at);
                self.go(Progress::Undoing { step: *step, begun: Some(*until), failure, aborted });
            }
            // It is told beside the end of its step.
            (Some(Progress::Forward { step, begun: Some(_) }), Event::HookEnded { hook, .. })
                if self.plan().is_some_and(|plan| plan.steps[step].name() == hook.name()) => {}
            (
                Some(Progress::Undone { failure, aborted, hook, begun: None }),
                Event::HookStarted { hook: named, until },
            ) if self.closes_with(hook, aborted, *named) => {
                self.go(Progress::Undone { failure, aborted, hook, begun: Some(*until) });
            }
            (
                Some(Progress::Undone { failure, aborted, hook, begun: Some(_) }),
                Event::HookEnded { hook: named, .. },
            ) if self.closes_with(hook, aborted, *named) => {
                self.go(Progress::Undone { failure, aborted, hook: hook + 1, begun: None });
            }
            (Some(Progress::Undoing { step: now, failure, aborted, .. }), Event::UndoDone { step }) if now == *step => {
                self.go(match step.checked_sub(1) {
                    Some(step) => Progress::Undoing { step, begun: None, failure, aborted },
                    None => undone(failure, aborted),
                });
            }
            (
                Some(Progress::Undoing { step: now, failure, aborted, .. }),
                Event::UndoFailed { step, failure: undo },
            ) if now == *step => {
                self.go(Progress::Stuck { step: *step, failure, aborted, undo: undo.clone() });
            }
            (Some(Progress::Stuck { step, failure, aborted, .. }), Event::UndoRetried { .. }) => {
                self.go(Progress::Undoing { step, begun: None, failure, aborted });
            }
            (Some(progress), Event::Ended { outcome, .. }) => self.end(at, &progress, outcome)?,
            (_, Event::Locked { by, reason, until }) => {
                self.lock = Some(Lock { by: by.clone(), reason: reason.clone(), since: at, until: *until });
            }
            (_, Event::Unlocked { .. }) => self.lock = None,
            (_, Event::MaintenanceBegan { by, reason, settings }) => {
                let (by, reason, settings) = (by.clone(), reason.clone(), settings.clone());
                self.maintenance = Some(Down { by, reason, since: at, settings });
            }
            (_, Event::MaintenanceEnded { .. }) => self.maintenance = None,
            (_, Event::RouterReturned { .. }) => {
                if let Some(deployment) = &mut self.deployment {
                    deployment.router_returns += 1;
                }
            }
            (_, Event::InstanceStarted { instance, address }) => self.instance(instance)?.address = Some(*address),
            (_, Event::InstanceDied { instance, exit }) => self.instance(instance)?.down = Some((at, exit.clone())),
            (_, Event::InstanceRevived { instance, attempt }) => self.instance(instance)?.attempt = *attempt,
            (_, Event::InstanceBack { instance }) => self.instance(instance)?.down = None,
            (_, Event::InstanceRetired { instance, .. }) => self.instance(instance)?.duty = Duty::Gone,
            (doing, event) => return Err(format!("{event:?} while {doing:?}")),
        }
        Ok(())
    }

    fn begin(&mut self, at: Timestamp, event: &Event) {
        let Event::Planned { deployment: id, plan, by, deadline, fingerprint, baseline } = event else { return };
        if let (Kind::Deploy | Kind::Adopt, Some(release)) = (plan.kind, plan.to) {
            let made = ReleaseState {
                deployment: *id,
                made: at,
                fingerprint: fingerprint.clone(),
                mark: Mark::New,
                tried: false,
            };
            self.releases.insert(release, made);
            self.last_release = self.last_release.max(release);
        }
        self.removed = false;
        self.deployment = Some(Deployment {
            id: *id,
            plan: plan.clone(),
            by: by.clone(),
            began: at,
            deadline: *deadline,
            routed_before: self.routed,
            progress: Progress::Forward { step: 0, begun: None },
            baseline: baseline.clone(),
            router_returns: 0,
            paused: None,
            promoted: false,
            judged: std::collections::BTreeMap::new(),
            extended: std::collections::BTreeMap::new(),
            asked: std::collections::BTreeSet::new(),
        });
    }

    /// What the announcement of a step changes: the router and the runtime are brought in line with it afterwards.
    fn step_effect(&mut self, step: usize, at: Timestamp) {
        let Some(plan) = self.plan() else { return };
        match &plan.steps[step] {
            Step::Adopt { instances } | Step::Start { instances } => {
                for id in instances {
                    self.instances.entry(id.clone()).or_insert(Instance {
                        address: None,
                        duty: Duty::Starting,
                        attempt: 0,
                        down: None,
                    });
                    self.last_instance = self.last_instance.max(id.number);
                }
            }
            Step::Register { instances } => {
                self.assign(instances, Duty::Registered);
                self.routed = self.routed.or(plan.to);
            }
            Step::Shift { to, from } => {
                self.assign(to, Duty::Serving);
                self.assign(from, Duty::Standby);
                self.routed = plan.to.or(self.routed);
                self.tried(to);
            }
            Step::Weigh { instances, percent, .. } => {
                self.assign(instances, Duty::Canary { percent: *percent });
                self.tried(instances);
            }
            Step::Rest { instances, streams } => self.assign(instances, Duty::Resting { until: at + *streams }),
            Step::Commit { live } => self.commit_to(&plan, *live),
            Step::Retire { instances } => self.assign(instances, Duty::Retiring { until: at + plan.stream_drain }),
            _ => {}
        }
    }

    fn commit_to(&mut self, plan: &Plan, live: Option<ReleaseNo>) {
        if plan.kind == Kind::Rollback {
            self.mark(plan.from, Mark::RolledBack);
        }
        self.mark(live, Mark::Good);
        self.live = live;
        if plan.no_rollback_past {
            self.not_before = self.not_before.max(live);
        }
    }

    fn done_effect(&mut self, step: usize) {
        let Some(plan) = self.plan() else { return };
        if let Step::Prune { releases, instances } = &plan.steps[step] {
            self.releases.retain(|no, _| !releases.contains(no));
            self.instances.retain(|id, instance| instance.duty != Duty::Gone || !instances.contains(id));
        }
    }

    /// What the announcement of an undo changes.
    fn undo_effect(&mut self, step: usize, at: Timestamp) {
        let Some(plan) = self.plan() else { return };
        let routed_before = self.deployment.as_ref().and_then(|deployment| deployment.routed_before);
        match &plan.steps[step] {
            Step::Shift { to, from } => {
                self.assign(from, Duty::Serving);
                self.assign(to, Duty::Standby);
                // With no route to go back to, the new one stays until nobody has anything in hand that came by it.
                self.routed = routed_before.or(self.routed);
            }
            // Whatever share they had before: on the way back they have none.
            Step::Weigh { instances, .. } => self.assign(instances, Duty::Standby),
            // They are down, and whoever cares for instances brings them back.
            Step::Rest { instances, .. } => {
                for id in instances {
                    let instance = self.instances.get_mut(id);
                    // An undo that is tried again finds some of them awake.
                    if let Some(instance) = instance.filter(|found| matches!(found.duty, Duty::Resting { .. })) {
                        instance.duty = Duty::Standby;
                        instance.down = Some((at, "rests while others have its place".to_owned()));
                    }
                }
            }
            Step::Register { instances } => {
                self.assign(instances, Duty::Starting);
                self.routed = routed_before;
            }
            // What was taken over runs on: it is only not ours any more.
            Step::Adopt { instances } => {
                self.assign(instances, Duty::Gone);
                self.routed = routed_before;
            }
            Step::Start { instances } => {
                self.assign(instances, Duty::Retiring { until: at + plan.streams_when_undone() });
                self.routed = routed_before;
            }
            _ => {}
        }
    }

    fn end(&mut self, at: Timestamp, progress: &Progress, outcome: &Outcome) -> Result<(), String> {
        let ends = match (progress, outcome) {
            (Progress::Forward { step, begun: None }, Outcome::Done) => {
                Some(*step) == self.plan().map(|p| p.steps.len())
            }
            (Progress::Undone { hook, aborted, .. }, Outcome::RolledBack { .. }) => {
                Some(*hook) == self.plan().map(|p| p.closing(*aborted).count())
            }
            _ => false,
        };
        let deployment = self.deployment.take().filter(|_| ends);
        let deployment = deployment.ok_or_else(|| format!("it ends as {outcome:?} while {progress:?}"))?;
        if let Outcome::RolledBack { aborted, .. } = outcome {
            let unserved = deployment.plan.to.filter(|no| self.releases.get(no).is_some_and(|r| r.mark == Mark::New));
            self.mark(unserved, if *aborted { Mark::Aborted } else { Mark::Failed });
        }
        let removed = deployment.plan.kind == Kind::Remove && *outcome == Outcome::Done;
        if removed {
            self.removed = true;
            self.maintenance = None;
            self.routed = None;
            self.lock = None;
        }
        self.last = Some(Last { deployment: deployment.id, kind: deployment.plan.kind, at, outcome: outcome.clone() });
        Ok(())
    }

    fn turn_back(&mut self, step: usize, begun: bool, failure: Failure) {
        let last_begun = if begun { Some(step) } else { step.checked_sub(1) };
        self.go(match last_begun {
            Some(step) => Progress::Undoing { step, begun: None, failure, aborted: true },
            None => undone(failure, true),
        });
    }

    fn go(&mut self, progress: Progress) {
        self.change(|deployment| deployment.progress = progress);
    }

    fn change(&mut self, change: impl FnOnce(&mut Deployment)) {
        if let Some(deployment) = &mut self.deployment {
            change(deployment);
        }
    }

    /// Whether this is the hook that is next after the deployment was turned back.
    fn closes_with(&self, hook: usize, aborted: bool, named: Hook) -> bool {
        self.plan().is_some_and(|plan| plan.closing(aborted).nth(hook).is_some_and(|call| call.hook == named))
    }

    fn plan(&self) -> Option<Plan> {
        self.deployment.as_ref().map(|deployment| deployment.plan.clone())
    }

    fn observes_last(&self, step: usize) -> bool {
        self.deployment.as_ref().is_some_and(|deployment| deployment.observes_last(step))
    }

    fn stands_still(&self) -> bool {
        self.deployment.as_ref().is_some_and(Deployment::stands_still)
    }

    fn commit(&self) -> usize {
        self.deployment.as_ref().map_or(0, |deployment| deployment.plan.commit())
    }

    /// Gives instances a duty, but those that have ended already.
    fn assign(&mut self, instances: &[InstanceId], duty: Duty) {
        for id in instances {
            if let Some(instance) = self.instances.get_mut(id).filter(|instance| instance.duty != Duty::Gone) {
                instance.duty = duty;
            }
        }
    }

    fn tried(&mut self, instances: &[InstanceId]) {
        if let Some(state) = instances.first().and_then(|id| self.releases.get_mut(&id.release)) {
            state.tried = true;
        }
    }

    fn mark(&mut self, release: Option<ReleaseNo>, mark: Mark) {
        if let Some(state) = release.and_then(|no| self.releases.get_mut(&no)) {
            state.mark = mark;
        }
    }

    fn instance(&mut self, id: &InstanceId) -> Result<&mut Instance, String> {
        self.instances.get_mut(id).ok_or_else(|| format!("no instance {id} is known"))
    }
}
