//! Follows a deployment to its end.
//!
//! The deployment belongs to the agent, not to us: if the agent goes away it is started again and takes the deployment up, and
//! we go on where we were. Ctrl-C and SIGTERM ask for an abort; a second one lets go of it.

use std::time::Duration;

use cutover_core::machine::{Event, Outcome, Record};
use cutover_core::proof::Proof;
use cutover_core::{DeploymentId, Failure, ServiceName};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::context::Context;
use super::error::{CliError, Kind};
use super::show::progress::Progress;
use super::{caller, show};
use crate::agent::api::{self, Reason};
use crate::client::{Client, ClientError};

/// The pause before looking for the agent again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// When nothing has happened for this time, the agent is asked how far it has come.
const ASK_PROGRESS: Duration = Duration::from_millis(500);

/// How it ended, or that it has come as far as it can alone.
enum End {
    Over { outcome: Outcome, proof: Option<Proof> },
    Stuck(Failure),
    Awaits,
}

/// Follows it, shows it, and turns its outcome into ours.
pub async fn to_the_end(
    context: &Context,
    client: &Client,
    service: &ServiceName,
    deployment: DeploymentId,
) -> Result<(), CliError> {
    Following::new(context, client, service, deployment).until_its_end().await
}

/// Waits for Ctrl-C or SIGTERM.
pub async fn interrupted() {
    match Signals::new() {
        Ok(mut signals) => signals.next().await,
        Err(_) => std::future::pending().await,
    }
}

/// A deployment that is followed.
pub struct Following<'a> {
    context: &'a Context,
    client: &'a Client,
    /// Its service.
    pub service: ServiceName,
    /// Which it is.
    pub deployment: DeploymentId,
    progress: Progress,
    after: u64,
    abort: Abort,
    /// Why a hook failed that could not turn the deployment back any more.
    hook_failed: Option<Failure>,
}

/// Whether the user wants it turned back, and whether an agent knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Abort {
    NotWanted,
    Wanted,
    Told,
}

impl<'a> Following<'a> {
    /// From its beginning.
    pub fn new(context: &'a Context, client: &'a Client, service: &ServiceName, deployment: DeploymentId) -> Self {
        let progress = Progress::new(&context.printer);
        Self {
            context,
            client,
            service: service.clone(),
            deployment,
            progress,
            after: 0,
            abort: Abort::NotWanted,
            hook_failed: None,
        }
    }

    /// Follows it, shows it, and turns its outcome into ours.
    pub async fn until_its_end(&mut self) -> Result<(), CliError> {
        self.outcome(false).await.map(drop)
    }

    /// The same until it waits for those that it counts together with: then it is true.
    pub async fn until_it_awaits(&mut self) -> Result<bool, CliError> {
        self.outcome(true).await
    }

    async fn outcome(&mut self, may_await: bool) -> Result<bool, CliError> {
        let end = self.follow(may_await).await;
        self.progress.finish();
        let (context, client, service) = (self.context, self.client, &self.service);
        match end? {
            End::Awaits => Ok(true),
            End::Stuck(failure) => {
                let summary = format!("{service} is stuck: what was begun could not be undone: {}", failure.summary);
                let failure = Failure { summary, ..failure };
                let command = format!("look at it, then `cutover abort {service}` tries the undo again");
                let failure = Failure { hint: failure.hint.or(Some(command)), ..failure };
                Err(CliError::new(Kind::Stuck, failure))
            }
            End::Over { outcome: Outcome::Done, proof } => {
                let live = show::now_live(client, service).await;
                context.printer.line(show::proof::done(&live, proof.as_ref()));
                if let Some(failure) = &self.hook_failed {
                    context.printer.remark(show::hook_failed(failure, self.deployment));
                }
                Ok(false)
            }
            End::Over { outcome: Outcome::RolledBack { failure, aborted }, proof } => {
                context.printer.line(show::proof::text(proof.as_ref()));
                let live = show::live_line(client, service).await;
                let kind = if aborted { Kind::Aborted } else { Kind::RolledBack };
                Err(CliError { live, ..CliError::new(kind, failure) })
            }
        }
    }

    async fn follow(&mut self, may_await: bool) -> Result<End, CliError> {
        let mut signals = Signals::new()?;
        loop {
            let path = format!("/v1/events?deployment={}&after={}&follow=true", self.deployment, self.after);
            match self.read(&path, may_await, &mut signals).await {
                Ok(Some(end)) => return Ok(end),
                // The agent left or died in the middle: the next one takes the deployment up, and so do we.
                Ok(None) | Err(ClientError::Broken(_) | ClientError::NoAgent(..)) => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    self.context.agent().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn read(&mut self, path: &str, may_await: bool, signals: &mut Signals) -> Result<Option<End>, ClientError> {
        let mut records = self.client.lines::<Record>(path).await?;
        if self.abort == Abort::Wanted {
            // The agent that was to be told had gone.
            self.tell_abort().await?;
        }
        loop {
            let record = tokio::select! {
                record = records.next() => record?,
                () = signals.next() => {
                    self.interrupted().await?;
                    continue;
                }
                () = tokio::time::sleep(ASK_PROGRESS) => {
                    let come = self.come().await;
                    if may_await && come.as_ref().is_some_and(|come| come.awaits_others) {
                        return Ok(Some(End::Awaits));
                    }
                    self.progress.come(come.and_then(|come| come.progress));
                    continue;
                }
            };
            let Some(record) = record else { return Ok(None) };
            self.after = record.seq;
            self.progress.take(&record);
            match record.event {
                Event::HookEnded { report, .. } => self.hook_failed = report.failure,
                Event::Ended { outcome, proof } => return Ok(Some(End::Over { outcome, proof })),
                Event::UndoFailed { failure, .. } => return Ok(Some(End::Stuck(failure))),
                _ => {}
            }
        }
    }

    /// How far the step at work has come, if it tells.
    async fn come(&self) -> Option<api::Come> {
        self.client.get(&format!("/v1/services/{}/progress", self.service)).await.ok()
    }

    async fn interrupted(&mut self) -> Result<(), ClientError> {
        if self.abort != Abort::NotWanted {
            let service = &self.service;
            let goes_on = format!("the deployment goes on without you; `cutover events -f {service}` follows it");
            self.context.printer.remark(goes_on);
            std::process::exit(1);
        }
        self.abort = Abort::Wanted;
        self.tell_abort().await
    }

    async fn tell_abort(&mut self) -> Result<(), ClientError> {
        let why = Reason { by: caller::name(), reason: "interrupted at the terminal".to_owned() };
        let path = format!("/v1/services/{}/abort", self.service);
        match self.client.post::<serde_json::Value>(&path, &why).await {
            Ok(_) => self.context.printer.remark("asked the agent to turn back; interrupt again to leave it alone"),
            Err(ClientError::Problem(problem)) => self.context.printer.remark(problem.error.to_string()),
            Err(error) => return Err(error),
        }
        self.abort = Abort::Told;
        Ok(())
    }
}

struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> Result<Self, CliError> {
        let listen = |kind| signal(kind).map_err(|error| CliError::io("could not listen for signals", &error));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
