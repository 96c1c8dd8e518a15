//! What people ask of the engine: plans, deployments, aborts, locks.

use std::sync::Arc;
use std::time::Duration;

use cutover_core::listen::ListenAddress;
use cutover_core::machine::{Deployment, Event, Outcome, Progress, ServiceState};
use cutover_core::plan::{self, Desired, Kind, Plan, Refusal};
use cutover_core::spec::{ProxyRoute, RouteSpec, RunSpec, ServiceSpec};
use cutover_core::{DeploymentId, Failure, Release, ReleaseNo, ServiceName};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::ledger::View;
use super::port::{Cramped, JournalError};
use super::{Engine, Parts};

/// What somebody wants done to a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    /// The service.
    pub service: ServiceName,
    /// What is wanted.
    pub want: Want,
    /// Who asks: shown to whoever comes next.
    pub by: String,
}

/// What is wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "want", rename_all = "snake_case")]
pub enum Want {
    /// A new release of this.
    Deploy {
        /// What to deploy.
        spec: Box<ServiceSpec>,
        /// Also if nothing has changed, or if it went back before.
        again: bool,
        /// Wait, when it has been observed, until it counts together with others (see `Engine::agree`).
        #[serde(default)]
        together: bool,
    },
    /// What runs already of this, under our care.
    Adopt {
        /// What it is.
        spec: Box<ServiceSpec>,
    },
    /// An earlier release.
    Rollback {
        /// Which; the newest that served before if not given.
        to: Option<ReleaseNo>,
        /// Also past a release that closed the way back.
        #[serde(default)]
        past: bool,
    },
    /// The same release in new instances.
    Restart,
    /// This many instances.
    Scale {
        /// How many.
        replicas: u16,
    },
    /// No instances.
    Stop,
    /// Nothing of it.
    Remove,
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It does not go together with what is known.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The journal cannot be written.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// What is to be deployed could not be looked at.
    #[error("{0}")]
    Failed(Failure),
}

/// A plan with the release that it is for, if that is new.
struct Draft {
    plan: Plan,
    release: Option<Release>,
    deadline: Duration,
}

impl Engine {
    /// What would be done. Changes nothing.
    pub async fn plan(&self, request: &Request) -> Result<Plan, CommandError> {
        Ok(self.parts.draft(request).await?.plan)
    }

    /// Begins a deployment, which then goes on by itself.
    pub async fn begin(&self, request: &Request) -> Result<DeploymentId, CommandError> {
        let request = request.clone();
        self.parts.to_its_end(|parts| async move { parts.begin(&request).await }).await
    }

    /// Turns a running deployment back, or tries a failed undo again.
    pub async fn abort(&self, service: &ServiceName, by: &str, reason: &str) -> Result<DeploymentId, CommandError> {
        let (service, by, reason) = (service.clone(), by.to_owned(), reason.to_owned());
        self.parts.to_its_end(|parts| async move { parts.abort(&service, &by, &reason).await }).await
    }

    /// Locks a service against deployments for a time.
    pub async fn lock(
        &self,
        service: &ServiceName,
        by: &str,
        reason: &str,
        time: Duration,
    ) -> Result<(), CommandError> {
        let until = self.parts.now() + time;
        let event = Event::Locked { by: by.to_owned(), reason: reason.to_owned(), until };
        let service = service.clone();
        self.parts.to_its_end(|parts| async move { parts.lock(&service, event).await }).await
    }

    /// Releases a lock. Fine if there is none.
    pub async fn unlock(&self, service: &ServiceName, by: &str) -> Result<(), CommandError> {
        let (service, by) = (service.clone(), by.to_owned());
        self.parts.to_its_end(|parts| async move { parts.unlock(&service, by).await }).await
    }

    /// Waits until a deployment has ended or is stuck; `None` if it is stuck.
    pub async fn ended(&self, service: &ServiceName, deployment: DeploymentId) -> Option<Outcome> {
        let over = |state: &ServiceState| match &state.deployment {
            Some(running) if running.id == deployment => matches!(running.progress, Progress::Stuck { .. }),
            _ => true,
        };
        let state = self.parts.ledger.until(service, over).await;
        let stuck = state.deployment.is_some_and(|running| running.id == deployment);
        if stuck { None } else { state.last.filter(|last| last.deployment == deployment).map(|last| last.outcome) }
    }
}

impl Parts {
    /// Carries out a command on a task of its own. Whoever asked may stop listening at any moment (a client that went away);
    /// were the command dropped then, an event could be in the journal that nobody has taken in, and a deployment begun that
    /// nobody drives.
    pub(super) async fn to_its_end<T: Send + 'static, F: Future<Output = Result<T, CommandError>> + Send + 'static>(
        self: &Arc<Self>,
        command: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, CommandError> {
        let (tell, told) = oneshot::channel();
        let command = command(self.clone());
        self.spawn(|_| async move { drop(tell.send(command.await)) });
        let stopping = || CommandError::Failed(Failure::new("the agent stopped before it could answer"));
        told.await.unwrap_or_else(|_| Err(stopping()))
    }

    async fn begin(self: &Arc<Self>, request: &Request) -> Result<DeploymentId, CommandError> {
        let parts = self;
        let _planning = parts.planning.lock().await;
        if let Some(running) = parts.turn_back_running(request).await? {
            return Ok(running);
        }
        let draft = parts.draft(request).await?;
        let fingerprint = draft.release.as_ref().and_then(|release| release.fingerprint.clone());
        if let Some(release) = draft.release {
            parts.ledger.save_release(&request.service, release).await?;
        }
        let baseline = parts.baseline(&request.service).await;
        let deadline = parts.now() + draft.deadline + draft.plan.holds();
        let records = parts
            .ledger
            .decide(&request.service, |view, state| {
                refuse_if_locked(parts, state)?;
                let (deployment, plan, by) = (next_deployment(view), draft.plan, request.by.clone());
                Ok::<_, CommandError>(vec![Event::Planned { deployment, plan, by, deadline, fingerprint, baseline }])
            })
            .await?;
        let service = request.service.clone();
        parts.spawn(|parts| async move { parts.drive(&service).await });
        Ok(records.iter().find_map(|record| record.deployment).unwrap_or_default())
    }

    /// To roll back while a deployment is running is to turn that back. `None` if there is none, or it cannot be any more.
    async fn turn_back_running(self: &Arc<Self>, request: &Request) -> Result<Option<DeploymentId>, CommandError> {
        let running = |deployment: &Deployment| !matches!(deployment.progress, Progress::Stuck { .. });
        let is_running = self.ledger.state(&request.service).deployment.as_ref().is_some_and(running);
        if !is_running || !matches!(request.want, Want::Rollback { to: None, .. }) {
            return Ok(None);
        }
        match self.abort(&request.service, &request.by, "asked to roll back").await {
            Err(CommandError::Refused(Refusal::NothingToAbort { .. } | Refusal::TooLate { .. })) => Ok(None),
            aborted => aborted.map(Some),
        }
    }

    async fn abort(
        self: &Arc<Self>,
        service: &ServiceName,
        by: &str,
        reason: &str,
    ) -> Result<DeploymentId, CommandError> {
        let parts = self;
        let records = parts
            .ledger
            .decide(service, |view, state| {
                known(view, service)?;
                let deployment = state.deployment.as_ref();
                let deployment = deployment.ok_or_else(|| Refusal::NothingToAbort { service: service.clone() })?;
                Ok::<_, CommandError>(match &deployment.progress {
                    Progress::Stuck { .. } => vec![Event::UndoRetried { by: by.to_owned() }],
                    Progress::Undoing { .. } | Progress::Undone { .. } => Vec::new(),
                    _ if state.can_abort() => {
                        vec![Event::AbortAsked { by: by.to_owned(), reason: reason.to_owned() }]
                    }
                    _ => return Err(Refusal::TooLate { service: service.clone(), deployment: deployment.id }.into()),
                })
            })
            .await?;
        if matches!(records.first().map(|record| &record.event), Some(Event::UndoRetried { .. })) {
            let service = service.clone();
            parts.spawn(|parts| async move { parts.drive(&service).await });
        }
        let state = parts.ledger.state(service);
        let running = state.deployment.map(|deployment| deployment.id);
        Ok(records.iter().find_map(|record| record.deployment).or(running).unwrap_or_default())
    }

    async fn lock(&self, service: &ServiceName, event: Event) -> Result<(), CommandError> {
        let decide = |view: &View, state: &ServiceState| {
            known(view, service)?;
            refuse_if_locked(self, state)?;
            Ok::<_, CommandError>(vec![event])
        };
        self.ledger.decide(service, decide).await.map(drop)
    }

    async fn unlock(&self, service: &ServiceName, by: String) -> Result<(), CommandError> {
        let decide = |view: &View, state: &ServiceState| {
            known(view, service)?;
            let locked = state.lock.is_some();
            Ok::<_, CommandError>(if locked { vec![Event::Unlocked { by }] } else { Vec::new() })
        };
        self.ledger.decide(service, decide).await.map(drop)
    }

    async fn draft(&self, request: &Request) -> Result<Draft, CommandError> {
        let service = &request.service;
        refuse_if_locked(self, &self.ledger.state(service))?;
        match &request.want {
            Want::Deploy { spec, again, together } => self.draft_deploy(service, spec, *again, *together).await,
            Want::Adopt { spec } => self.draft_adopt(service, spec).await,
            want => self.draft_known(service, want).await,
        }
    }

    async fn draft_deploy(
        &self,
        service: &ServiceName,
        spec: &ServiceSpec,
        again: bool,
        together: bool,
    ) -> Result<Draft, CommandError> {
        let fingerprint = self.world.runtime.fingerprint(&spec.run).await;
        let fingerprint = fingerprint.map_err(|error| {
            CommandError::Failed(error.about(format!("could not look at what {service} would run")))
        })?;
        let state = self.ledger.state(service);
        let fingerprint_now = fingerprint.as_deref();
        let same = self.ledger.view().releases_with(service, |kept| kept.same_as(spec, fingerprint_now));
        let mut plan =
            plan::deploy(&state, Desired { spec, fingerprint: fingerprint_now, same: &same, again, together })?;
        self.world.runtime.can_start(&spec.run).await.map_err(|failure| preflight(service, &failure))?;
        plan.notes.extend(self.check_memory(&state, spec, plan.most_more()).await?);
        if let Some(route) = &spec.route {
            self.check_route(service, route).await?;
        }
        if let Some(route) = &spec.route {
            self.can_serve(service, route).await?;
        }
        let number = plan.to.unwrap_or_default();
        let release = Release { number, made: self.now(), fingerprint, spec: spec.clone() };
        Ok(Draft { plan, release: Some(release), deadline: spec.rollout.deadline })
    }

    /// Refuses to run more at a time than there is memory for, unless the user knows better; then it is a note.
    async fn check_memory(
        &self,
        state: &ServiceState,
        spec: &ServiceSpec,
        more: usize,
    ) -> Result<Option<String>, CommandError> {
        let cramped = self.world.runtime.cramped(&state.serving(), more).await;
        let Some(Cramped { arithmetic, hopeless }) = cramped else { return Ok(None) };
        if !hopeless || !spec.rollout.check_memory {
            return Ok(Some(format!("memory may not do: {arithmetic}")));
        }
        let hint = "the strategies `rolling` with `max_surge = 0` and `recreate` need no second copy; `check_memory = false` in \
                    `rollout` deploys all the same";
        Err(CommandError::Refused(Refusal::Preflight {
            service: spec.name.clone(),
            reason: format!(
                "there is not the memory to deploy {} by {}: {arithmetic}",
                spec.name,
                spec.rollout.strategy.name()
            ),
            hint: Some(hint.to_owned()),
        }))
    }

    async fn draft_adopt(&self, service: &ServiceName, spec: &ServiceSpec) -> Result<Draft, CommandError> {
        let running = self.world.runtime.adoptable(&spec.run).await;
        let running = running
            .map_err(|error| CommandError::Failed(error.about(format!("could not look for what runs of {service}"))))?;
        let state = self.ledger.state(service);
        let plan = plan::adopt(&state, spec, running.len())?;
        if let Some(route) = &spec.route {
            self.check_route(service, route).await?;
        }
        let fingerprint = running.first().map(|found| found.fingerprint.clone());
        let mut spec = spec.clone();
        if let RunSpec::Container(container) = &mut spec.run {
            let numbers = plan.adopts().into_iter().map(|instance| instance.number);
            container.adopted = numbers.zip(running).map(|(number, found)| (number, found.container)).collect();
        }
        let (number, deadline) = (plan.to.unwrap_or_default(), spec.rollout.deadline);
        let release = Release { number, made: self.now(), fingerprint, spec };
        Ok(Draft { plan, release: Some(release), deadline })
    }

    async fn draft_known(&self, service: &ServiceName, want: &Want) -> Result<Draft, CommandError> {
        let state = known(&self.ledger.view(), service)?.clone();
        let not_running = || Refusal::NotRunning { service: service.clone() };
        let live = || state.live.ok_or_else(not_running);
        let kept = |no| self.release(service, no).map_err(CommandError::Failed);
        let (plan, release) = match want {
            Want::Rollback { to, past } => {
                let release = kept(plan::rollback(&state, *to, *past)?)?;
                let plan = plan::restart(&state, Kind::Rollback, &release)?;
                let left = state.live.and_then(|live| self.ledger.view().release(service, live));
                let plan = match left {
                    Some(left) => plan::taking_back(plan, &left),
                    None => plan,
                };
                (plan, release)
            }
            Want::Restart => {
                let release = kept(live()?)?;
                (plan::restart(&state, Kind::Restart, &release)?, release)
            }
            Want::Scale { replicas } => {
                let release = kept(live()?)?;
                (plan::scale(&state, &release, *replicas)?, release)
            }
            Want::Stop => {
                let release = kept(live()?)?;
                (plan::stop(&state, &release)?, release)
            }
            Want::Remove | Want::Deploy { .. } | Want::Adopt { .. } => {
                let newest = state.releases.keys().next_back().copied().ok_or_else(not_running)?;
                let release = kept(newest)?;
                (plan::remove(&state, &release)?, release)
            }
        };
        if let Some(route) = release.spec.route.as_ref().filter(|_| plan.to.is_some()) {
            self.check_route(service, route).await?;
        }
        Ok(Draft { plan, release: None, deadline: release.spec.rollout.deadline })
    }

    /// Whether the route can be had: no other service has it, and no stranger listens there.
    async fn check_route(&self, service: &ServiceName, route: &RouteSpec) -> Result<(), CommandError> {
        let table = self.board.table();
        if let Some(proxy) = route.proxy() {
            if let Some(conflict) = table.conflict(service, proxy) {
                let (service, wanted, owner) = (service.clone(), conflict.wanted, conflict.owner);
                return Err(Refusal::RouteTaken { service, wanted, owner }.into());
            }
            let is_ours = |address: &ListenAddress| table.listeners.iter().any(|listener| listener.address == *address);
            let beside = proxy.preview.into_iter().chain(proxy.metrics).map(ListenAddress::from);
            for beside in beside.filter(|address| !is_ours(address)) {
                let beside = ProxyRoute { listen: beside, ..proxy.clone() };
                self.can_route(service, &RouteSpec::Proxy(beside)).await?;
            }
            if is_ours(&proxy.listen) {
                return Ok(());
            }
        }
        self.can_route(service, route).await
    }

    async fn can_route(&self, service: &ServiceName, route: &RouteSpec) -> Result<(), CommandError> {
        self.world.router.can_route(route).await.map_err(|failure| preflight(service, &failure))
    }

    /// Whether a new release's route has what it needs. Not asked on the way back: what served before is in the proxy.
    async fn can_serve(&self, service: &ServiceName, route: &RouteSpec) -> Result<(), CommandError> {
        self.world.router.can_serve(route).await.map_err(|failure| preflight(service, &failure))
    }
}

fn preflight(service: &ServiceName, failure: &Failure) -> CommandError {
    let (reason, hint) = (failure.to_string(), failure.hint.clone());
    Refusal::Preflight { service: service.clone(), reason, hint }.into()
}

pub(super) fn known<'a>(view: &'a View, service: &ServiceName) -> Result<&'a ServiceState, Refusal> {
    let state = view.services.get(service).filter(|state| !state.removed);
    state.ok_or_else(|| Refusal::UnknownService { service: service.clone() })
}

fn refuse_if_locked(parts: &Parts, state: &ServiceState) -> Result<(), Refusal> {
    let Some(lock) = state.lock_at(parts.now()) else { return Ok(()) };
    Err(Refusal::Locked {
        service: state.name.clone(),
        by: lock.by.clone(),
        reason: lock.reason.clone(),
        until: lock.until,
    })
}

fn next_deployment(view: &View) -> DeploymentId {
    DeploymentId(view.last_deployment.0 + 1)
}

/// For those who hold an engine behind an `Arc`.
impl Engine {
    /// The release that is live, if one is.
    pub fn live(&self, service: &ServiceName) -> Option<Arc<Release>> {
        let view = self.parts.ledger.view();
        view.release(service, view.services.get(service)?.live?)
    }
}
