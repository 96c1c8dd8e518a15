//! Which runtime an instance belongs to.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use async_trait::async_trait;
use cutover_core::spec::{RunSpec, StopSpec};
use cutover_core::{Failure, InstanceId, ReleaseNo, ServiceName};
use futures_util::stream::BoxStream;

use super::docker::DockerRuntime;
use super::process::ProcessRuntime;
use crate::engine::port::{
    Adoptable, Cramped, Exit, HookFilter, HookOrder, HookRun, LogLine, Progress, ReleaseOrder, Runtime, RuntimeError,
    Seen, StartOrder, Stopped, Unhealthy,
};

/// All runtimes as one: an order goes to the one that its specification names, anything else to the one that keeps a record
/// of the instance.
pub struct Runtimes {
    process: ProcessRuntime,
    docker: DockerRuntime,
}

impl Runtimes {
    /// Keeps things below `state`; `executable` is this program.
    pub fn new(state: &Path, executable: &Path) -> Self {
        Self { process: ProcessRuntime::new(state, executable), docker: DockerRuntime::new(state) }
    }

    fn of_spec(&self, spec: &RunSpec) -> &dyn Runtime {
        match spec {
            RunSpec::Process(_) => &self.process,
            RunSpec::Container(_) => &self.docker,
        }
    }

    fn of(&self, instance: &InstanceId) -> &dyn Runtime {
        if self.docker.knows(instance) { &self.docker } else { &self.process }
    }
}

#[async_trait]
impl Runtime for Runtimes {
    async fn fingerprint(&self, spec: &RunSpec) -> Result<Option<String>, RuntimeError> {
        self.of_spec(spec).fingerprint(spec).await
    }

    async fn prepare(&self, order: &ReleaseOrder, progress: &Progress) -> Result<(), RuntimeError> {
        self.of_spec(&order.spec).prepare(order, progress).await
    }

    async fn start(&self, order: &StartOrder) -> Result<SocketAddr, RuntimeError> {
        self.of_spec(&order.spec).start(order).await
    }

    async fn stop(&self, instance: &InstanceId, stop: &StopSpec) -> Result<Stopped, RuntimeError> {
        self.of(instance).stop(instance, stop).await
    }

    async fn observe(&self) -> Result<Vec<Seen>, RuntimeError> {
        let mut seen = self.process.observe().await?;
        seen.extend(self.docker.observe().await?);
        Ok(seen)
    }

    async fn exited(&self, instance: &InstanceId) -> Exit {
        self.of(instance).exited(instance).await
    }

    async fn logs(&self, instance: &InstanceId, lines: usize) -> Vec<LogLine> {
        self.of(instance).logs(instance, lines).await
    }

    fn follow(&self, instance: &InstanceId, lines: usize) -> BoxStream<'static, LogLine> {
        self.of(instance).follow(instance, lines)
    }

    async fn connections(&self, instance: &InstanceId) -> Option<BTreeSet<SocketAddr>> {
        self.of(instance).connections(instance).await
    }

    async fn diagnose(&self, instance: &InstanceId) -> Option<String> {
        self.of(instance).diagnose(instance).await
    }

    async fn adoptable(&self, spec: &RunSpec) -> Result<Vec<Adoptable>, RuntimeError> {
        self.of_spec(spec).adoptable(spec).await
    }

    async fn let_go(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        self.of(instance).let_go(instance).await
    }

    async fn health(&self, instance: &InstanceId) -> Result<(), Unhealthy> {
        self.of(instance).health(instance).await
    }

    async fn can_start(&self, spec: &RunSpec) -> Result<(), Failure> {
        self.of_spec(spec).can_start(spec).await
    }

    async fn cramped(&self, running: &[InstanceId], more: usize) -> Option<Cramped> {
        match running.first() {
            Some(one) => self.of(one).cramped(running, more).await,
            None => None,
        }
    }

    async fn hook(&self, order: &HookOrder) -> Result<HookRun, RuntimeError> {
        self.of_spec(&order.spec).hook(order).await
    }

    async fn end_hooks(&self, of: &HookFilter<'_>) -> Result<(), RuntimeError> {
        self.process.end_hooks(of).await?;
        self.docker.end_hooks(of).await
    }

    async fn forget(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        self.of(instance).forget(instance).await
    }

    async fn discard(&self, service: &ServiceName, release: ReleaseNo) -> Result<(), RuntimeError> {
        self.docker.discard(service, release).await?;
        self.process.discard(service, release).await
    }
}
