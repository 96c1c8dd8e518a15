//! What people ask of a deployment that is under way: to pause, to go on, to pass over what is left of its holds.

use std::sync::Arc;

use cutover_core::machine::{Event, ServiceState};
use cutover_core::plan::Refusal;
use cutover_core::{DeploymentId, ServiceName};
use serde::{Deserialize, Serialize};

use super::command::{CommandError, known};
use super::{Engine, LONGEST_PAUSE, Parts, RETRY};

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Steer {
    /// No further step for now.
    Pause,
    /// On with it.
    Resume,
    /// All traffic, without the holds that are left.
    Promote,
}

impl Steer {
    fn event(self, by: String) -> Event {
        match self {
            Self::Pause => Event::PauseAsked { by },
            Self::Resume => Event::ResumeAsked { by },
            Self::Promote => Event::PromoteAsked { by },
        }
    }

    /// Whether it changes anything.
    fn matters(self, state: &ServiceState) -> bool {
        state.deployment.as_ref().is_some_and(|deployment| match self {
            Self::Pause => deployment.paused.is_none(),
            Self::Resume => deployment.paused.is_some(),
            Self::Promote => !deployment.promoted || deployment.paused.is_some(),
        })
    }
}

impl Engine {
    /// Asks something of a running deployment. To ask twice is to ask once.
    pub async fn steer(&self, service: &ServiceName, by: &str, steer: Steer) -> Result<DeploymentId, CommandError> {
        let (service, by) = (service.clone(), by.to_owned());
        self.parts.to_its_end(|parts| async move { parts.steer(&service, by, steer).await }).await
    }
}

impl Parts {
    async fn steer(
        self: &Arc<Self>,
        service: &ServiceName,
        by: String,
        steer: Steer,
    ) -> Result<DeploymentId, CommandError> {
        let mut running = DeploymentId::default();
        let id = &mut running;
        self.ledger
            .decide(service, |view, state| {
                known(view, service)?;
                let deployment = state.deployment.as_ref();
                let deployment = deployment.ok_or_else(|| Refusal::NothingToAbort { service: service.clone() })?;
                *id = deployment.id;
                if !state.can_abort() {
                    return Err(Refusal::TooLate { service: service.clone(), deployment: deployment.id }.into());
                }
                Ok::<_, CommandError>(if steer.matters(state) { vec![steer.event(by)] } else { Vec::new() })
            })
            .await?;
        Ok(running)
    }

    /// Waits while a deployment is paused. One that nobody takes up again is turned back in the end.
    pub(super) async fn wait_while_paused(&self, service: &ServiceName) {
        let waits = |state: &ServiceState| matches!(state.next(), cutover_core::machine::Next::Wait(_));
        let Some((since, _)) = self.ledger.state(service).deployment.and_then(|deployment| deployment.paused) else {
            return;
        };
        tokio::select! {
            biased;
            _ = self.ledger.until(service, |state| !waits(state)) => {}
            () = self.sleep_until(since + LONGEST_PAUSE) => {
                let reason = "it was paused for a day".to_owned();
                let asked = Event::AbortAsked { by: "cutover".to_owned(), reason };
                let decided = self.ledger.decide(service, |_, state| {
                    Ok::<_, CommandError>(if waits(state) { vec![asked] } else { Vec::new() })
                });
                if decided.await.is_err() {
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
    }
}
