//! Drives one deployment to its end: ask the machine, announce, act, record.

use std::sync::{Arc, PoisonError};

use cutover_core::machine::{Event, Next, Outcome, Progress, ServiceState};
use cutover_core::plan::Step;
use cutover_core::{Failure, ServiceName, Timestamp};

use super::port::JournalError;
use super::{Parts, RETRY};

impl Parts {
    /// Carries on until nothing is left to do for this service. One drives at a time: who comes while another does waits, and
    /// then finds what that one left.
    pub(super) async fn drive(self: &Arc<Self>, service: &ServiceName) {
        let wheel =
            self.driven.lock().unwrap_or_else(PoisonError::into_inner).entry(service.clone()).or_default().clone();
        let _alone = wheel.lock().await;
        loop {
            let state = self.ledger.state(service);
            match state.next() {
                Next::Nothing => return,
                Next::Wait(_) => self.wait_while_paused(service).await,
                Next::Begin(step) => self.announce(service, Next::Begin(step)).await,
                Next::Perform(step, until) => self.forward(service, &state, step, until).await,
                Next::BeginUndo(step) => self.turn_back(service, &state, step).await,
                Next::Undo(step, until) => self.backward(service, &state, step, until).await,
                Next::SkipUndo(step) => {
                    self.record_if(service, Next::SkipUndo(step), vec![Event::UndoDone { step }]).await;
                }
                Next::BeginHook(call) => self.announce(service, Next::BeginHook(call)).await,
                Next::RunHook(call, until) => self.closing_hook(service, &state, call, until).await,
                Next::End(outcome) => self.end(service, outcome).await,
            }
        }
    }

    async fn forward(self: &Arc<Self>, service: &ServiceName, state: &ServiceState, index: usize, until: Timestamp) {
        let Some(step) = step_of(state, index) else { return };
        if matches!(step, Step::Hook { .. }) {
            return self.hook_step(service, state, index, until).await;
        }
        let performed = self.perform(service, &step, until);
        let result = if step.only_observes() {
            tokio::select! {
                biased;
                result = performed => result,
                () = self.no_longer(service, Next::Perform(index, until)) => return,
            }
        } else {
            performed.await
        };
        let event = match result {
            Ok(()) => Event::StepDone { step: index },
            Err(failure) => Event::StepFailed { step: index, failure },
        };
        self.record_if(service, Next::Perform(index, until), vec![event]).await;
    }

    /// Before the traffic goes back, those who get it back must be ready. Until then the new ones keep it.
    async fn turn_back(self: &Arc<Self>, service: &ServiceName, state: &ServiceState, index: usize) {
        let ready = match step_of(state, index) {
            Some(Step::Shift { from, .. }) => self.ready_to_return(service, &from).await,
            _ => Ok(()),
        };
        match ready {
            Ok(()) => self.announce(service, Next::BeginUndo(index)).await,
            Err(failure) => {
                self.record_if(service, Next::BeginUndo(index), vec![Event::UndoFailed { step: index, failure }]).await;
            }
        }
    }

    async fn backward(self: &Arc<Self>, service: &ServiceName, state: &ServiceState, index: usize, until: Timestamp) {
        let Some(step) = step_of(state, index) else { return };
        let event = match self.undo(service, &step, until).await {
            Ok(()) => Event::UndoDone { step: index },
            Err(failure) => Event::UndoFailed { step: index, failure: with_way_on(failure, service) },
        };
        self.record_if(service, Next::Undo(index, until), vec![event]).await;
    }

    async fn end(self: &Arc<Self>, service: &ServiceName, outcome: Outcome) {
        let proof = self.finish_proof(service).await;
        self.record_if(service, Next::End(outcome.clone()), vec![Event::Ended { outcome, proof }]).await;
        // The end of a removal takes the service out of the table. A router that is gone must not hold up what comes next.
        let service = service.clone();
        self.spawn(|parts| async move { parts.publish(&service).await });
    }

    /// Announces what is next, if it still is.
    async fn announce(&self, service: &ServiceName, next: Next) {
        self.until_recorded(service, move |state| {
            if state.next() == next { announcement(state, self.now()).into_iter().collect() } else { Vec::new() }
        })
        .await;
    }

    /// Records what came of something, if the machine still waits for it, and announces what follows in the same breath.
    pub(super) async fn record_if(&self, service: &ServiceName, awaited: Next, came: Vec<Event>) {
        self.until_recorded(service, move |state| {
            if state.next() != awaited {
                return Vec::new();
            }
            let mut events = came.clone();
            if let Some(Event::StepDone { step }) = came.last() {
                events.extend(follow_up(state, step + 1, self.now()));
            }
            events
        })
        .await;
    }

    async fn until_recorded(&self, service: &ServiceName, events: impl Fn(&ServiceState) -> Vec<Event>) {
        loop {
            match self.ledger.decide(service, |_, state| Ok::<_, JournalError>(events(state))).await {
                Ok(_) => return,
                Err(error) => {
                    tracing::error!("{error}; the deployment of {service} stands still until it can be written");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }

    /// Waits until the machine wants something else than it wanted.
    pub(super) async fn no_longer(&self, service: &ServiceName, wanted: Next) {
        self.ledger.until(service, |state| state.next() != wanted).await;
    }
}

fn step_of(state: &ServiceState, index: usize) -> Option<Step> {
    state.deployment.as_ref()?.plan.steps.get(index).cloned()
}

/// The event that announces what the machine wants next.
fn announcement(state: &ServiceState, now: Timestamp) -> Option<Event> {
    match state.next() {
        Next::Begin(step) => Some(start_of(state, step, now)),
        Next::BeginUndo(step) => {
            let limit = step_of(state, step)?.limit() + undo_grace(state);
            Some(Event::UndoStarted { step, until: now + limit })
        }
        Next::BeginHook(call) => Some(Event::HookStarted { hook: call.hook, until: now + call.within }),
        _ => None,
    }
}

/// The announcement of the step behind one that is done, to be made durable together with its end.
pub(super) fn follow_up(state: &ServiceState, next: usize, now: Timestamp) -> Option<Event> {
    let deployment = state.deployment.as_ref()?;
    let goes_on = matches!(deployment.progress, Progress::Forward { .. }) && !deployment.stands_still();
    let follows = goes_on && next < deployment.plan.steps.len();
    follows.then(|| start_of(state, next, now))
}

fn start_of(state: &ServiceState, step: usize, now: Timestamp) -> Event {
    let deployment = state.deployment.as_ref().expect("a step begins only in a deployment");
    let planned = &deployment.plan.steps[step];
    let limit = now + planned.limit();
    let until = if planned.heeds_deadline() { limit.min(deployment.deadline) } else { limit };
    Event::StepStarted { step, until }
}

/// Undoing a shift drains the new instances as long as a drain may take.
fn undo_grace(state: &ServiceState) -> std::time::Duration {
    let steps = state.deployment.iter().flat_map(|deployment| &deployment.plan.steps);
    steps.filter(|step| matches!(step, Step::Drain { .. })).map(Step::limit).max().unwrap_or_default()
}

/// A failed undo needs a person, who is told which command goes on.
fn with_way_on(failure: Failure, service: &ServiceName) -> Failure {
    let command = format!("`cutover abort {service}` tries again");
    let hint = failure.hint.as_ref().map_or(command.clone(), |hint| format!("{hint}; then {command}"));
    failure.hint(hint)
}

/// What a deployment that ran out of time says.
pub(super) fn out_of_time(step: &Step) -> Failure {
    Failure::new(format!("the step '{}' did not end in time", step.name()))
}
