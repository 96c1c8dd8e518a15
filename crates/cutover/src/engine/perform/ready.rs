//! The readiness gate, the warm-up and the smoke command: everything that is asked of an instance before it gets traffic.

use std::time::Duration;

use cutover_core::rule::{Gate, GateAnswer};
use cutover_core::spec::{Check, ReadySpec};
use cutover_core::unit::duration;
use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};
use futures_util::future::try_join_all;

use super::super::Parts;
use super::super::port::{Exit, ProbeTarget, Unhealthy};

/// How many log lines a failure shows.
const LOG_LINES: usize = 10;

impl Parts {
    /// Waits until all are ready. The first that fails, fails all.
    pub(super) async fn await_ready(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Result<(), Failure> {
        try_join_all(instances.iter().map(|instance| async move {
            let spec = self.release(service, instance.release)?.spec.ready.clone();
            self.pass_gate(&spec, &self.target(service, instance)?, until).await
        }))
        .await?;
        self.note_ready(service);
        Ok(())
    }

    /// Waits until one instance passes the gate: fails when it exits, and when time is up.
    pub(in super::super) async fn pass_gate(
        &self,
        spec: &ReadySpec,
        at: &ProbeTarget,
        until: Timestamp,
    ) -> Result<(), Failure> {
        let mut gate = Gate::default();
        tokio::select! {
            biased;
            why = self.never_asked(spec, at) => {
                let failure = Failure::new(format!("{} can never be ready: {why}", at.instance));
                Err(self.with_evidence(failure, &at.instance).await)
            }
            exit = self.world.runtime.exited(&at.instance) => Err(self.exited_early(&at.instance, &exit).await),
            () = self.poll(spec, at, &mut gate) => Ok(()),
            () = self.sleep_until(until) => Err(self.never_ready(spec, at, &gate).await),
        }
    }

    async fn poll(&self, spec: &ReadySpec, at: &ProbeTarget, gate: &mut Gate) {
        loop {
            let outcome = self.probe(&spec.check, at, spec.timeout).await;
            match gate.probed(spec, self.now(), outcome) {
                GateAnswer::Ready => return,
                GateAnswer::Again(pause) => tokio::time::sleep(pause).await,
            }
        }
    }

    pub(super) async fn exited_early(&self, instance: &InstanceId, exit: &Exit) -> Failure {
        let failure = Failure::new(format!("{instance} {exit} before it was ready"));
        self.with_evidence(failure, instance).await
    }

    async fn never_ready(&self, spec: &ReadySpec, at: &ProbeTarget, gate: &Gate) -> Failure {
        let last = gate.last_failure().unwrap_or("it passed, but not for long enough");
        let within = duration::text(spec.within);
        let summary = format!("{} at {} was not ready within {within}: {last}", at.instance, at.place());
        self.with_evidence(Failure::new(summary), &at.instance).await
    }

    /// Ends if the check has nothing to ask, so that nobody waits for the time to be up.
    async fn never_asked(&self, spec: &ReadySpec, at: &ProbeTarget) -> String {
        if spec.check == Check::Health
            && let Err(Unhealthy::Unchecked(why)) = self.world.runtime.health(&at.instance).await
        {
            return why;
        }
        std::future::pending().await
    }

    /// Adds the instance's last words, and what can be guessed.
    pub(super) async fn with_evidence(&self, failure: Failure, instance: &InstanceId) -> Failure {
        let runtime = &self.world.runtime;
        // A process that is to listen nowhere is not told where it should.
        let release = self.release(&instance.service, instance.release);
        let told = release.is_ok_and(|release| release.spec.listens() || release.spec.run.container().is_some());
        let hint = if told { runtime.diagnose(instance).await } else { None };
        Failure { hint: hint.or(failure.hint), log: self.last_words(instance).await, ..failure }
    }

    /// One try. What only the runtime can tell is asked there.
    pub(super) async fn probe(&self, check: &Check, at: &ProbeTarget, timeout: Duration) -> Result<(), String> {
        match check {
            Check::Health => {
                let asked = tokio::time::timeout(timeout, self.world.runtime.health(&at.instance)).await;
                match asked {
                    Ok(health) => health.map_err(|why| why.to_string()),
                    Err(_) => Err(format!("no answer within {}", duration::text(timeout))),
                }
            }
            check => self.world.prober.probe(check, at, timeout).await,
        }
    }

    async fn last_words(&self, instance: &InstanceId) -> Vec<String> {
        let lines = self.world.runtime.logs(instance, LOG_LINES).await;
        lines.into_iter().map(|line| line.text).collect()
    }

    /// Makes the warm-up requests to all; an instance that exits meanwhile fails.
    pub(super) async fn warm_up(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Result<(), Failure> {
        let one = |instance: InstanceId| async move {
            let at = self.target(service, &instance)?;
            let Some(warm_up) = self.release(service, instance.release)?.spec.ready.warm_up.clone() else {
                return Ok(());
            };
            tokio::select! {
                biased;
                exit = self.world.runtime.exited(&instance) => Err(self.exited_early(&instance, &exit).await),
                () = self.world.prober.warm_up(&warm_up, &at) => Ok(()),
                () = self.sleep_until(until) => Ok(()),
            }
        };
        try_join_all(instances.iter().cloned().map(one)).await.map(drop)
    }

    /// Runs the smoke command against one instance.
    pub(super) async fn smoke(
        &self,
        service: &ServiceName,
        instance: &InstanceId,
        until: Timestamp,
    ) -> Result<(), Failure> {
        let release = self.release(service, instance.release)?;
        let Some(command) = &release.spec.rollout.smoke else { return Ok(()) };
        let at = self.target(service, instance)?;
        let left = until.since(self.now());
        let tried = self.world.prober.smoke(command, &at, left).await;
        tried.map_err(|failed| {
            Failure::new(format!("the smoke command `{}` {}", command.join(" "), failed.summary)).log(failed.log)
        })
    }
}
