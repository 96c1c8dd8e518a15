//! Tells what happened, from the journal.

use cutover_core::machine::{Event, Record};
use cutover_core::plan::Refusal;
use cutover_core::{DeploymentId, ServiceName};

use super::Agent;
use super::api::{History, Notification, ReleaseRow, Story, Summary};
use crate::engine::CommandError;
use crate::notify::message::Message;
use crate::store::{Entry, Filter, State};

impl Agent {
    /// What a service has been through.
    pub async fn history(&self, service: &ServiceName) -> Result<History, CommandError> {
        let filter = Filter { service: Some(service.clone()), ..Filter::default() };
        let records = self.journal.read(filter).await?;
        if records.is_empty() {
            return Err(Refusal::UnknownService { service: service.clone() }.into());
        }
        let state = self.engine.ledger().state(service);
        let releases = state.releases.iter().rev().map(|(no, release)| ReleaseRow {
            release: *no,
            made: release.made,
            fingerprint: release.fingerprint.clone(),
            mark: release.mark,
            live: state.live == Some(*no),
        });
        let releases = releases.collect();
        let mut deployments = summaries(&records);
        deployments.reverse();
        Ok(History { service: service.clone(), releases, deployments })
    }

    /// One deployment; `None` if there is none of this number.
    pub async fn story(&self, deployment: DeploymentId) -> Result<Option<Story>, CommandError> {
        let filter = Filter { deployment: Some(deployment), ..Filter::default() };
        let events = self.journal.read(filter).await?;
        let summary = summaries(&events).pop();
        let notifications = self.journal.notifications(deployment).await?.into_iter().map(notification).collect();
        Ok(summary.map(|summary| Story { summary, events, notifications }))
    }
}

fn notification(entry: Entry) -> Notification {
    let told = serde_json::from_str::<Message>(&entry.message);
    Notification {
        event: entry.event,
        on: told.map(|message| message.event).unwrap_or_default(),
        sink: entry.sink,
        state: entry.state.name().to_owned(),
        tries: entry.tries,
        due: (entry.state == State::Waiting).then_some(entry.due),
        said: entry.said,
    }
}

/// The deployments that these events tell of, in order.
pub fn summaries(records: &[Record]) -> Vec<Summary> {
    let mut summaries: Vec<Summary> = Vec::new();
    for record in records {
        match &record.event {
            Event::Planned { deployment, plan, by, .. } => summaries.push(Summary {
                deployment: *deployment,
                service: record.service.clone(),
                kind: plan.kind,
                from: plan.from,
                to: plan.to,
                by: by.clone(),
                began: record.at,
                ended: None,
                outcome: None,
                proof: None,
            }),
            Event::Ended { outcome, proof } => {
                let ended = summaries.iter_mut().rev().find(|summary| Some(summary.deployment) == record.deployment);
                if let Some(summary) = ended {
                    summary.ended = Some(record.at);
                    summary.outcome = Some(outcome.clone());
                    summary.proof.clone_from(proof);
                }
            }
            _ => {}
        }
    }
    summaries
}
