//! Where the user's hooks stand among the steps.
//!
//! Only a deployment of a new release has them, and the way back from one. Whatever brings the same release up again (a restart, more
//! instances) finds what they did already done.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Plan, Step};
use crate::id::{InstanceId, ReleaseNo};
use crate::release::Release;
use crate::spec::{Hook, RolloutSpec};
use crate::unit::duration;

/// A hook that is to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookCall {
    /// Which.
    pub hook: Hook,
    /// The release whose command it is.
    pub release: ReleaseNo,
    /// How long it may take.
    #[serde(with = "duration")]
    pub within: Duration,
}

/// Puts the hooks of a new release in their places. The plan begins with its preparation.
pub(super) fn weave(plan: &mut Plan, release: ReleaseNo, rollout: &RolloutSpec) {
    let call = |hook| rollout.hooks.get(&hook).map(|spec| HookCall { hook, release, within: spec.within });
    // From the last place to the first, so that none moves another.
    if let Some(call) = call(Hook::AfterWatch) {
        let at = behind_the_commit(&plan.steps);
        plan.steps.insert(at, call.step(None));
    }
    if let Some(call) = call(Hook::AfterSwitch) {
        let at = behind_the_switch(plan);
        plan.steps.insert(at, call.step(None));
    }
    if let Some(call) = call(Hook::BeforeSwitch) {
        let (at, instance) = behind_the_gate(&plan.steps);
        plan.steps.insert(at, call.step(instance));
        if plan.hold.is_some() {
            plan.notes.push("requests wait while before_switch runs: it should be quick".to_owned());
        }
    }
    if let Some(call) = call(Hook::BeforeStart) {
        plan.steps.insert(1, call.step(None));
        if plan.from.is_some() {
            plan.notes.push("what before_start changes, the release that serves now must get along with".to_owned());
        }
    }
    plan.if_undone = [Hook::OnFailure, Hook::OnRollback].into_iter().filter_map(call).collect();
    plan.no_rollback_past = rollout.no_rollback_past;
    if plan.no_rollback_past {
        plan.notes.push("once it has committed, `cutover rollback` does not go to a release before it".to_owned());
    }
}

/// Gives a roll back the hook of the release that it takes back.
pub fn taking_back(mut plan: Plan, left: &Release) -> Plan {
    let hook = Hook::OnRollback;
    if let Some(spec) = left.spec.rollout.hooks.get(&hook).filter(|_| plan.to != Some(left.number)) {
        let call = HookCall { hook, release: left.number, within: spec.within };
        plan.steps.insert(behind_the_commit(&plan.steps), call.step(None));
    }
    plan
}

impl HookCall {
    fn step(self, instance: Option<InstanceId>) -> Step {
        Step::Hook { hook: self.hook, release: self.release, instance, within: self.within }
    }
}

/// When the first new instances have passed their gate, and whom one may look at then.
fn behind_the_gate(steps: &[Step]) -> (usize, Option<InstanceId>) {
    let starts = steps.iter().position(|step| matches!(step, Step::Start { .. })).unwrap_or(steps.len());
    let gate = |step: &&Step| {
        matches!(step, Step::Start { .. } | Step::Ready { .. } | Step::WarmUp { .. } | Step::Smoke { .. })
    };
    let first = steps.get(starts).and_then(|step| match step {
        Step::Start { instances } => instances.first().cloned(),
        _ => None,
    });
    (starts + steps[starts..].iter().take_while(gate).count(), first)
}

/// When all traffic is on the new instances, and requests in flight on the old ones have had their time.
fn behind_the_switch(plan: &Plan) -> usize {
    let behind = plan.last_shift() + 1;
    behind + usize::from(matches!(plan.steps.get(behind), Some(Step::Drain { .. })))
}

/// When the old instances have been stopped, but for those that still have streams.
fn behind_the_commit(steps: &[Step]) -> usize {
    let last = steps.iter().rposition(|step| matches!(step, Step::Commit { .. } | Step::Retire { .. }));
    last.map_or(steps.len(), |last| last + 1)
}
