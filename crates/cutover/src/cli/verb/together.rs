//! Several services that move to their next release together, or not at all.
//!
//! They are deployed in their order. Each waits when it has been observed, and when the last one does, all of them count in
//! one breath: whoever is killed at whatever moment, there is no half of it. Whatever goes wrong before turns all of them
//! back, the last one first. Should this command itself be killed, its deployments wait for an hour and turn back by themselves.

use std::time::Duration;

use cutover_core::{DeploymentId, ServiceName};

use super::super::caller;
use super::super::context::Context;
use super::super::error::{CliError, Kind};
use super::super::follow::Following;
use crate::agent::api::{Agree, Begun, Member, Reason};
use crate::client::{Client, ClientError};

/// The pause before asking again whether all may count.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Those that have begun.
pub struct Together<'a> {
    context: &'a Context,
    client: &'a Client,
    members: Vec<Following<'a>>,
}

impl<'a> Together<'a> {
    /// Nobody yet.
    pub fn new(context: &'a Context, client: &'a Client) -> Self {
        Self { context, client, members: Vec::new() }
    }

    /// One more has begun: follows it until it waits for the others.
    pub async fn join(&mut self, service: &ServiceName, deployment: DeploymentId) -> Result<(), CliError> {
        let mut following = Following::new(self.context, self.client, service, deployment);
        if following.until_it_awaits().await? {
            self.members.push(following);
        }
        Ok(())
    }

    /// All have come: they count. One that has gone back meanwhile takes the others with it.
    pub async fn count(mut self) -> Result<(), CliError> {
        while !self.members.is_empty() {
            let member = |one: &Following| Member { service: one.service.clone(), deployment: one.deployment };
            let agree = Agree { members: self.members.iter().map(member).collect(), by: caller::name() };
            match self.client.post::<serde_json::Value>("/v1/agree", &agree).await {
                // Whether they count by now is written in their journal, whatever was answered; whoever follows them finds an agent.
                Ok(_) | Err(ClientError::Broken(_) | ClientError::NoAgent(..)) => {}
                Err(ClientError::Problem(_)) => tokio::time::sleep(ASK_AGAIN).await,
                Err(error) => return Err(self.back(error.into()).await),
            }
            let mut waiting = Vec::new();
            let mut members = std::mem::take(&mut self.members).into_iter();
            while let Some(mut member) = members.next() {
                match member.until_it_awaits().await {
                    Ok(true) => waiting.push(member),
                    Ok(false) => {}
                    Err(error) => {
                        self.members = waiting.into_iter().chain(members).collect();
                        return Err(self.back(error).await);
                    }
                }
            }
            self.members = waiting;
        }
        Ok(())
    }

    /// Turns those back that have begun, the last one first, because of this error.
    pub async fn back(self, error: CliError) -> CliError {
        let mut stuck = None;
        for mut member in self.members.into_iter().rev() {
            self.context.printer.remark(format!("all or nothing: {} goes back as well", member.service));
            let reason = "another service that it was deployed together with went back".to_owned();
            let why = Reason { by: caller::name(), reason };
            let told = self.client.post::<Begun>(&format!("/v1/services/{}/abort", member.service), &why).await;
            if let Err(error) = told {
                let error = CliError::from(error).failure;
                self.context.printer.remark(format!("{} could not be told: {error}", member.service));
                continue;
            }
            let gone = member.until_its_end().await;
            stuck = stuck.or(gone.err().filter(|gone| gone.kind == Kind::Stuck));
        }
        stuck.unwrap_or(error)
    }
}
