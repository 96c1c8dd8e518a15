//! Checks of hooks: each in its place, once, and never beside itself.

use cutover::engine::port::HookOrder;
use cutover_core::InstanceId;
use cutover_core::machine::{Duty, Progress, ServiceState};
use cutover_core::plan::{Kind, Plan, Step};
use cutover_core::spec::Hook;

use super::Invariant;
use crate::world::Inner;

impl Inner {
    /// A hook begins when the journal says so, in its place, and again only if the agent died meanwhile.
    pub(crate) fn check_hook(&mut self, order: &HookOrder, epoch: u64) {
        let key = &order.key;
        self.coverage.count(&format!("hook: {}", key.hook.name()));
        let Some(state) = self.oracle.service(&key.service).cloned() else {
            return self.broke(Invariant::IntentFirst, format!("{key} runs, and nobody knows its service"));
        };
        if let Some(how) = self.out_of_place(order, &state) {
            self.broke(Invariant::IntentFirst, format!("{key} {how}"));
        }
        if order.variables.get("CUTOVER_KEY") != Some(&key.to_string()) {
            self.broke(Invariant::Once, format!("{key} is told another key: {:?}", order.variables));
        }
        let same =
            |other: &&cutover::engine::port::HookKey| (other.deployment, other.hook) == (key.deployment, key.hook);
        if let Some(other) = self.hooks.keys().find(|other| same(other) && *other != key).cloned() {
            self.broke(Invariant::Once, format!("{key} was {other} before"));
        }
        let Some(known) = self.hooks.get(key).cloned() else { return };
        if known.running {
            self.broke(Invariant::Once, format!("{key} runs beside what an earlier run of it left"));
        }
        match known.begun.last() {
            Some(last) if *last == epoch => {
                self.broke(Invariant::Once, format!("{key} runs again, though the agent lived on"));
            }
            Some(_) => self.coverage.count("hook: repeated after a crash"),
            None => {}
        }
    }

    /// Why a hook must not begin now, if it must not.
    fn out_of_place(&self, order: &HookOrder, state: &ServiceState) -> Option<String> {
        let key = &order.key;
        let Some(deployment) = state.deployment.as_ref().filter(|d| d.id == key.deployment && d.began == key.began)
        else {
            return Some("belongs to no deployment that runs".to_owned());
        };
        let plan = &deployment.plan;
        let is_it = |step: &Step| matches!(step, Step::Hook { hook, .. } if *hook == key.hook);
        let (announced, committed, undone) = match &deployment.progress {
            Progress::Forward { step, begun: Some(_) } => (is_it(&plan.steps[*step]), *step > plan.commit(), None),
            // An abort is recorded while it is about to begin; it is cut short then.
            Progress::Undoing { step, .. } => (is_it(&plan.steps[*step]), false, None),
            Progress::Undone { hook, aborted, begun: Some(_), .. } => {
                let next = plan.closing(*aborted).nth(*hook);
                (next.is_some_and(|call| call.hook == key.hook), false, Some(*aborted))
            }
            _ => (false, false, None),
        };
        if !announced {
            return Some(format!("is not announced, at {:?}", deployment.progress));
        }
        let new = plan.starts();
        let served = |id: &InstanceId| state.instances.get(id).is_some_and(|found| found.duty == Duty::Serving);
        let in_place = match key.hook {
            Hook::BeforeBuild => false,
            Hook::BeforeStart => new.iter().all(|id| !self.instances.contains_key(id)),
            Hook::BeforeSwitch => new.iter().all(|id| !self.gets_traffic(id)),
            Hook::AfterSwitch => !committed && new.iter().all(served),
            Hook::AfterWatch => committed && state.live == plan.to,
            Hook::OnFailure => undone == Some(false),
            Hook::OnRollback => undone.is_some() || (committed && plan.kind == Kind::Rollback),
        };
        // One that is about to be cut short may find its place left.
        let turned = matches!(deployment.progress, Progress::Undoing { .. });
        let owned = plan.kind == Kind::Deploy || key.hook == Hook::OnRollback;
        (!owned || !(in_place || turned)).then(|| format!("is out of its place in a {}", plan.kind.verb()))
    }

    /// Nothing of a release starts, gets all the traffic's watch or counts before what must come first has ended well.
    pub(crate) fn check_hooks_before(&mut self, plan: &Plan, what: &str, needed: &[Hook]) {
        let Some(deployment) = self.oracle.service(&plan.service).and_then(|state| state.deployment.as_ref()) else {
            return;
        };
        let id = deployment.id;
        for step in &plan.steps {
            let Step::Hook { hook, .. } = step else { continue };
            let well = self.hooks.iter().any(|(key, seen)| {
                key.deployment == id && key.hook == *hook && key.service == plan.service && seen.succeeded
            });
            if needed.contains(hook) && !well {
                return self.broke(Invariant::Order, format!("{what} although {} has not ended well", hook.name()));
            }
        }
    }

    /// At rest nothing of a hook runs.
    pub(super) fn check_no_hook_runs(&mut self) {
        let left: Vec<String> = self.hooks.iter().filter(|(_, h)| h.running).map(|(key, _)| key.to_string()).collect();
        if !left.is_empty() {
            self.broke(Invariant::Ends, format!("at rest, {left:?} run"));
        }
    }
}
