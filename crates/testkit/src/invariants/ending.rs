//! Checks of how a deployment says it ended.

use cutover_core::InstanceId;
use cutover_core::machine::{Outcome, ServiceState};
use cutover_core::plan::{Kind, Plan};

use super::Invariant;
use crate::world::{Cause, Inner};

impl Inner {
    pub(super) fn check_end(&mut self, state: &ServiceState, plan: &Plan, outcome: &Outcome) {
        let (text, expected) = match outcome {
            Outcome::Done => ("done", self.serving_after(plan)),
            Outcome::RolledBack { aborted: true, .. } => ("aborted", self.serving_before(plan)),
            Outcome::RolledBack { .. } => ("rolled back", self.serving_before(plan)),
        };
        self.coverage.count(&format!("outcome: {} {text}", plan.kind.verb()));
        if self.router.forgot.is_some() {
            return;
        }
        self.check_who_serves(plan, &expected);
        if matches!(outcome, Outcome::RolledBack { .. }) {
            let before = self.oracle.before.get(&plan.service).is_some_and(|before| before.routed);
            if before != state.routed.is_some() {
                self.broke(
                    Invariant::Truthful,
                    format!("{} had a route before: {before}, and not after", plan.service),
                );
            }
        }
    }

    fn check_who_serves(&mut self, plan: &Plan, expected: &[InstanceId]) {
        let serving = self.router.serving(&plan.service);
        if let Some(stranger) = serving.iter().find(|id| !expected.contains(id)) {
            self.broke(Invariant::Truthful, format!("a deployment ends while {stranger} gets traffic"));
        }
        for id in expected {
            let found = self.instances.get(id);
            let killed = found.is_some_and(|found| matches!(found.ended, Some((_, Cause::Injected | Cause::Itself))));
            // One that was there before may be on its way back from a death of its own, which no deployment waits for.
            let neighbour = !plan.starts().contains(id);
            let revived = self.oracle.service(&plan.service).and_then(|state| state.instances.get(id)?.down.clone());
            if killed || revived.is_some() || (neighbour && self.was_revived(id)) {
                continue;
            }
            if !found.is_some_and(|found| found.runs()) {
                self.broke(Invariant::Truthful, format!("a deployment ends, but {id} does not run"));
            } else if !serving.contains(id) && self.is_routed(id) {
                self.broke(Invariant::Truthful, format!("a deployment ends, but {id} gets no traffic"));
            }
        }
    }

    /// Whether it died before: then its traffic may come back later than the end of a deployment that it has no part in.
    fn was_revived(&self, id: &InstanceId) -> bool {
        let state = self.oracle.service(&id.service);
        state.and_then(|state| state.instances.get(id)).is_some_and(|instance| instance.attempt > 0)
    }

    fn is_routed(&self, id: &InstanceId) -> bool {
        let release = self.disk.releases.get(&(id.service.clone(), id.release));
        release.is_some_and(|release| release.spec.route.is_some())
    }

    fn serving_before(&self, plan: &Plan) -> Vec<InstanceId> {
        self.oracle.before.get(&plan.service).map(|before| before.serving.clone()).unwrap_or_default()
    }

    fn serving_after(&self, plan: &Plan) -> Vec<InstanceId> {
        let mut serving = self.serving_before(plan);
        match plan.kind {
            Kind::Deploy | Kind::Rollback | Kind::Restart => plan.starts(),
            Kind::Adopt => plan.adopts(),
            Kind::Scale => {
                serving.retain(|id| !plan.retires().contains(id));
                serving.extend(plan.starts());
                serving
            }
            Kind::Stop | Kind::Remove => Vec::new(),
        }
    }
}
