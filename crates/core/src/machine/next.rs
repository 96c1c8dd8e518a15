//! What is to be done next, given what is known.

use super::event::Outcome;
use super::state::{Progress, ServiceState};
use crate::plan::{HookCall, Step};
use crate::unit::Timestamp;

/// What is to be done next with a service's deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing: no deployment is running, or it is stuck.
    Nothing,
    /// Nothing for now: somebody paused the deployment before this step.
    Wait(usize),
    /// Record that this step begins.
    Begin(usize),
    /// Carry out this step, again if need be, until this time.
    Perform(usize, Timestamp),
    /// Record that the undo of this step begins.
    BeginUndo(usize),
    /// Undo this step, again if need be, until this time.
    Undo(usize, Timestamp),
    /// There is nothing to undo in this step: record it as undone.
    SkipUndo(usize),
    /// Record that a hook begins, of those that run when all is undone.
    BeginHook(HookCall),
    /// Run that hook, again if need be, until this time.
    RunHook(HookCall, Timestamp),
    /// Record this end.
    End(Outcome),
}

impl ServiceState {
    /// What is to be done next.
    pub fn next(&self) -> Next {
        let Some(deployment) = &self.deployment else { return Next::Nothing };
        let steps = &deployment.plan.steps;
        match &deployment.progress {
            Progress::Forward { step, .. } if *step >= steps.len() => Next::End(Outcome::Done),
            Progress::Forward { step, begun: None } if deployment.stands_still() => Next::Wait(*step),
            Progress::Forward { step, begun: None } => Next::Begin(*step),
            Progress::Forward { step, begun: Some(until) } => Next::Perform(*step, *until),
            Progress::Undoing { step, begun: Some(until), .. } => Next::Undo(*step, *until),
            Progress::Undoing { step, begun: None, .. } if steps[*step].has_undo() => Next::BeginUndo(*step),
            Progress::Undoing { step, begun: None, .. } => Next::SkipUndo(*step),
            Progress::Undone { failure, aborted, hook, begun } => {
                match (deployment.plan.closing(*aborted).nth(*hook), begun) {
                    (Some(call), None) => Next::BeginHook(call.clone()),
                    (Some(call), Some(until)) => Next::RunHook(call.clone(), *until),
                    (None, _) => Next::End(Outcome::RolledBack { failure: failure.clone(), aborted: *aborted }),
                }
            }
            Progress::Stuck { .. } => Next::Nothing,
        }
    }

    /// Whether the running deployment can still be undone.
    pub fn can_abort(&self) -> bool {
        self.deployment.as_ref().is_some_and(|deployment| match deployment.progress {
            Progress::Forward { step, begun } => {
                step < deployment.plan.commit() || (step == deployment.plan.commit() && begun.is_none())
            }
            Progress::Undoing { .. } | Progress::Undone { .. } | Progress::Stuck { .. } => false,
        })
    }

    /// The step that is at work now, for people: `ready`, or `undo shift`.
    pub fn at_work(&self) -> Option<String> {
        let deployment = self.deployment.as_ref()?;
        let name = |step: usize| deployment.plan.steps.get(step).map_or("end", Step::name);
        Some(match &deployment.progress {
            Progress::Forward { step, .. } => name(*step).to_owned(),
            Progress::Undoing { step, .. } => format!("undo {}", name(*step)),
            Progress::Undone { aborted, hook, .. } => {
                let call = deployment.plan.closing(*aborted).nth(*hook);
                call.map_or("end", |call| call.hook.name()).to_owned()
            }
            Progress::Stuck { step, .. } => format!("stuck at undo {}", name(*step)),
        })
    }
}
