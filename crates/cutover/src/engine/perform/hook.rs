//! Runs the user's hooks: each in the surroundings of its release, once for each deployment, or again under the same key if the agent
//! died meanwhile.
//!
//! **Invariant.** A hook does not run beside an earlier run of itself: what that left is ended first. When a hook has ended, is cut
//! short or is undone, nothing of it is left, or somebody keeps trying to end it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cutover_core::machine::{Deployment, Event, HookReport, Next, Progress, ServiceState};
use cutover_core::plan::{HookCall, Step};
use cutover_core::spec::{Hook, RunSpec, Secret};
use cutover_core::unit::duration;
use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};

use super::super::Parts;
use super::super::port::{HookFilter, HookKey, HookOrder, HookRun, RuntimeError};

/// How long a runtime may take beyond the hook's own limit, to begin it and to end it.
const OVERHEAD: Duration = Duration::from_secs(60);

/// How long the end of what is left may hold up what comes next. Then it goes on in the background.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

/// The pause before that is tried again, at first and at most.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(10));

/// How many lines of its output a failure shows.
const LINES: usize = 20;

/// Values that are shorter than this say nothing secret, and may be common words.
const SHORTEST_SECRET: usize = 6;

impl Parts {
    /// Carries out a step that is a hook, and records what came of it. Before the commit the new instances are observed meanwhile;
    /// behind it a failure is told, and changes nothing.
    pub(in super::super) async fn hook_step(
        self: &Arc<Self>,
        service: &ServiceName,
        state: &ServiceState,
        index: usize,
        until: Timestamp,
    ) {
        let Some(deployment) = &state.deployment else { return };
        let Some(Step::Hook { hook, release, instance, within }) = deployment.plan.steps.get(index).cloned() else {
            return;
        };
        let call = HookCall { hook, release, within };
        let committed = index > deployment.plan.commit();
        let work = async {
            let run = self.run_hook(service, deployment, &call, instance.as_ref());
            if committed {
                return run.await;
            }
            let watched = self.while_watched(service, self.now() + within, run).await;
            watched.unwrap_or_else(|failure| HookReport { failure: Some(failure), ..HookReport::default() })
        };
        let awaited = Next::Perform(index, until);
        let report = tokio::select! {
            biased;
            report = work => report,
            () = self.no_longer(service, awaited.clone()) => return,
        };
        let ended = match report.failure.clone() {
            Some(failure) if !committed => Event::StepFailed { step: index, failure },
            _ => Event::StepDone { step: index },
        };
        let told = Event::HookEnded { hook, report: Box::new(report) };
        self.record_if(service, awaited, vec![told, ended]).await;
    }

    /// Runs a hook after the deployment was turned back. Whatever comes of it is told, and changes nothing.
    pub(in super::super) async fn closing_hook(
        self: &Arc<Self>,
        service: &ServiceName,
        state: &ServiceState,
        call: HookCall,
        until: Timestamp,
    ) {
        let Some(deployment) = &state.deployment else { return };
        let report = self.run_hook(service, deployment, &call, None).await;
        let told = Event::HookEnded { hook: call.hook, report: Box::new(report) };
        self.record_if(service, Next::RunHook(call, until), vec![told]).await;
    }

    /// Ends what is left of a hook's run: soon, or in the background.
    pub(in super::super) async fn end_hook(self: &Arc<Self>, state: &ServiceState, hook: Hook) {
        let Some(deployment) = &state.deployment else { return };
        self.end_soon(key_of(&state.name, deployment, hook)).await;
    }

    /// Ends what an earlier agent's hooks have left: whatever is not at work now. That it is, is recorded before it begins.
    pub(in super::super) async fn end_old_hooks(&self) {
        let old = |key: &HookKey| {
            let state = self.ledger.state(&key.service);
            let running = state.deployment.as_ref().is_some_and(|deployment| deployment.id == key.deployment);
            !running || at_work(&state) != Some(key.hook)
        };
        self.end_hooks(&old).await;
    }

    async fn end_soon(self: &Arc<Self>, key: HookKey) {
        let it = |found: &HookKey| *found == key;
        if !matches!(tokio::time::timeout(ENDED_WITHIN, self.world.runtime.end_hooks(&it)).await, Ok(Ok(()))) {
            self.spawn(|parts| async move { parts.end_hooks(&|found| *found == key).await });
        }
    }

    async fn end_hooks(&self, of: &HookFilter<'_>) {
        let mut pause = TRY_AGAIN.0;
        while let Err(error) = self.world.runtime.end_hooks(of).await {
            tracing::warn!("what a hook left could not be ended: {error}");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(TRY_AGAIN.1);
        }
    }

    /// Runs a hook to its end. Its limit counts from here: one that is repeated has all of it again.
    async fn run_hook(
        self: &Arc<Self>,
        service: &ServiceName,
        deployment: &Deployment,
        call: &HookCall,
        instance: Option<&InstanceId>,
    ) -> HookReport {
        let failed = |failure| HookReport { failure: Some(failure), ..HookReport::default() };
        let order = match self.hook_order(service, deployment, call, instance) {
            Ok(order) => order,
            Err(failure) => return failed(failure),
        };
        let key = &order.key;
        if let Err(error) = self.world.runtime.end_hooks(&|found| found == key).await {
            // This one is not run, but neither may the earlier one go on.
            self.end_soon(order.key.clone()).await;
            return failed(error.about(format!("could not end what an earlier run of {} left", call.hook.name())));
        }
        match tokio::time::timeout(call.within + OVERHEAD, self.world.runtime.hook(&order)).await {
            Ok(Ok(run)) => report(&order, run),
            Ok(Err(error)) => {
                self.end_soon(order.key.clone()).await;
                failed(could_not_run(&order, error))
            }
            Err(_) => {
                self.end_soon(order.key.clone()).await;
                failed(Failure::new(format!("{} did not end within {}", named(&order), duration::text(call.within))))
            }
        }
    }

    fn hook_order(
        &self,
        service: &ServiceName,
        deployment: &Deployment,
        call: &HookCall,
        instance: Option<&InstanceId>,
    ) -> Result<HookOrder, Failure> {
        let release = self.release(service, call.release)?;
        let spec = release.spec.rollout.hooks.get(&call.hook);
        let spec = spec.ok_or_else(|| Failure::new(format!("release {} has no {}", call.release, call.hook.name())))?;
        let key = key_of(service, deployment, call.hook);
        let mut variables = facts(deployment, call, &key);
        variables.insert("CUTOVER_PROJECT".to_owned(), release.spec.project.clone());
        if let Some(instance) = instance {
            let at = self.target(service, instance)?;
            variables.insert("CUTOVER_PREVIEW_URL".to_owned(), at.url());
            let socket = at.socket.map(|path| path.display().to_string());
            variables.extend(socket.map(|path| ("CUTOVER_SOCKET".to_owned(), path)));
        }
        Ok(HookOrder {
            key,
            release: call.release,
            spec: release.spec.run.clone(),
            fingerprint: release.fingerprint.clone(),
            command: spec.command.clone(),
            variables,
            within: call.within,
        })
    }
}

/// The hook that runs now.
fn at_work(state: &ServiceState) -> Option<Hook> {
    match state.next() {
        Next::Perform(step, _) => match state.deployment.as_ref()?.plan.steps.get(step)? {
            Step::Hook { hook, .. } => Some(*hook),
            _ => None,
        },
        Next::RunHook(call, _) => Some(call.hook),
        _ => None,
    }
}

fn key_of(service: &ServiceName, deployment: &Deployment, hook: Hook) -> HookKey {
    HookKey { service: service.clone(), deployment: deployment.id, began: deployment.began, hook }
}

/// What a hook is told. No value can hold a NUL; whoever asked for an abort may have given a strange reason.
fn facts(deployment: &Deployment, call: &HookCall, key: &HookKey) -> BTreeMap<String, String> {
    let plan = &deployment.plan;
    let other = if plan.to == Some(call.release) { plan.from } else { plan.to };
    let reason = match &deployment.progress {
        Progress::Undone { failure, .. } => failure.to_string(),
        _ if call.hook == Hook::OnRollback => format!("{} asked to roll back", deployment.by),
        _ => String::new(),
    };
    let variables = [
        ("SERVICE", plan.service.to_string()),
        ("DEPLOYMENT", deployment.id.to_string()),
        ("RELEASE", call.release.to_string()),
        ("PREVIOUS_RELEASE", other.map(|release| release.to_string()).unwrap_or_default()),
        ("HOOK", call.hook.name().to_owned()),
        ("KEY", key.to_string()),
        ("BY", deployment.by.clone()),
        ("REASON", reason),
    ];
    variables.into_iter().map(|(name, value)| (format!("CUTOVER_{name}"), value.replace('\0', ""))).collect()
}

fn report(order: &HookOrder, run: HookRun) -> HookReport {
    let hidden = secrets(&order.spec);
    let output: Vec<String> = run.output.into_iter().map(|line| without(line, &hidden)).collect();
    let failure = run.failed.map(|how| {
        let last = output[output.len().saturating_sub(LINES)..].to_vec();
        Failure::new(format!("{} {how}", named(order))).log(last)
    });
    HookReport { failure, output }
}

fn could_not_run(order: &HookOrder, error: RuntimeError) -> Failure {
    error.about(format!("{} could not be run", named(order)))
}

fn named(order: &HookOrder) -> String {
    format!("the hook {} `{}`", order.key.hook.name(), order.command.join(" "))
}

/// What must not be seen: the values of the service's variables, and the password in one that is an address. The longest first, lest a
/// part of it leaves the rest behind.
fn secrets(spec: &RunSpec) -> Vec<String> {
    let env = match spec {
        RunSpec::Process(process) => &process.env,
        RunSpec::Container(container) => &container.env,
    };
    let parts = |value: &Secret| {
        let password = |text: &str| {
            let (_, rest) = text.split_once("://")?;
            let (user, _) = rest.split_once('@')?;
            Some(user.split_once(':').map_or(user, |(_, password)| password).to_owned())
        };
        let whole = value.reveal();
        whole.lines().map(str::to_owned).chain(password(whole)).collect::<Vec<_>>()
    };
    let mut hidden: Vec<String> = env.values().flat_map(parts).filter(|part| part.len() >= SHORTEST_SECRET).collect();
    hidden.sort_by_key(|part| std::cmp::Reverse(part.len()));
    hidden
}

fn without(line: String, hidden: &[String]) -> String {
    hidden.iter().fold(line, |line, secret| if line.contains(secret) { line.replace(secret, "***") } else { line })
}
