//! Checks of a world at rest: the faults have stopped and everything has ended.

use cutover::engine::Engine;
use cutover_core::machine::{Duty, Progress, ServiceState};

use super::{Invariant, Oracle, effect};
use crate::world::Inner;

/// Whether nothing is left to do for a service: no deployment, nobody who retires, nobody who is down.
pub fn is_at_rest(state: &ServiceState) -> bool {
    let settled = state.instances.values().all(|instance| {
        let waits = matches!(instance.duty, Duty::Retiring { .. });
        !waits && (instance.down.is_none() || instance.duty == Duty::Gone)
    });
    state.deployment.is_none() && settled
}

/// Whether a service is stuck.
pub fn is_stuck(state: &ServiceState) -> bool {
    state.deployment.as_ref().is_some_and(|deployment| matches!(deployment.progress, Progress::Stuck { .. }))
}

impl Inner {
    /// A deployment that is stuck says which command goes on from there.
    pub fn check_stuck(&mut self, state: &ServiceState) {
        let Some(Progress::Stuck { undo, .. }) = state.deployment.as_ref().map(|d| d.progress.clone()) else { return };
        if !undo.hint.as_ref().is_some_and(|hint| hint.contains("cutover abort")) {
            self.broke(Invariant::Ends, format!("{} is stuck without a command to go on: {undo:?}", state.name));
        }
    }

    /// What holds when everything has ended.
    pub fn check_rest(&mut self, engine: &Engine) {
        self.check_replay(engine);
        self.check_no_hook_runs();
        let expected = engine.board().table();
        if self.router.table.services != expected.services || self.router.table.listeners != expected.listeners {
            let how = effect::differs(&expected, &self.router.table).unwrap_or_else(|| "has too much".to_owned());
            self.broke(Invariant::Ends, format!("at rest, the router's table {how}"));
        }
        let states: Vec<ServiceState> = self.oracle.services().cloned().collect();
        for state in &states {
            self.check_instances(state);
        }
        let strangers: Vec<String> = self
            .instances
            .iter()
            .filter(|(id, found)| found.runs() && !states.iter().any(|state| state.instances.contains_key(id)))
            .map(|(id, _)| id.to_string())
            .collect();
        if !strangers.is_empty() {
            self.broke(Invariant::Ends, format!("at rest, nobody knows why {strangers:?} run"));
        }
    }

    fn check_replay(&mut self, engine: &Engine) {
        let replayed = Oracle::fold(&self.disk.records);
        let live = engine.ledger().view().services.clone();
        if replayed != live {
            self.broke(Invariant::OneWriter, "the journal does not replay to what the engine believes".to_owned());
        }
    }

    fn check_instances(&mut self, state: &ServiceState) {
        for (id, instance) in &state.instances {
            let runs = self.instances.get(id).is_some_and(|found| found.runs());
            let serves = instance.duty == Duty::Serving;
            if runs != serves {
                let duty = instance.duty;
                self.broke(Invariant::Ends, format!("at rest, {id} is {duty:?}, and that it runs is {runs}"));
            }
        }
        if state.live.is_some() && state.serving().is_empty() {
            self.broke(Invariant::Ends, format!("at rest, nobody serves {}", state.name));
        }
        if state.live.is_none() && !state.serving().is_empty() {
            self.broke(Invariant::Ends, format!("at rest, {} serves without a live release", state.name));
        }
    }
}
