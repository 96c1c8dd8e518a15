//! Runs instances as plain processes.
//!
//! Each instance has a supervisor process of its own (see [`crate::supervise`]), which outlives the agent. This side
//! starts supervisors, and finds instances again by what they left on disk:
//!
//! - the **lock** says whether anything of an instance lives ([`lock`]);
//! - the **record** says who and where ([`record`]);
//! - a **process** is ours if number, start time and boot agree ([`identity`]), and its offspring if it carries the run's
//!   mark ([`members`]).
//!
//! **Invariant.** Kill the agent or a supervisor at any line: there is never more than one running copy of an instance,
//! and never one that [`ProcessRuntime::observe`] does not tell.
//!
//! Deliberately absent: memory. Nothing here is cached between calls, so that a new agent knows what the old one knew.

pub mod artifact;
pub mod diagnose;
pub mod durable;
mod forget;
mod hook;
pub mod identity;
pub mod layout;
pub mod lock;
pub mod logs;
pub mod members;
pub mod observe;
pub mod order;
pub mod party;
pub mod record;
pub mod signal;
mod start;
mod stop;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use cutover_core::spec::{ProcessSpec, RunSpec, StopSpec};
use cutover_core::{Failure, InstanceId, ReleaseNo, ServiceName};
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use self::artifact::ArtifactError;
use self::layout::{InstanceDir, Layout};
use self::logs::Follower;
use self::record::Record;
use super::sockets;
use crate::engine::port::{
    Cramped, Exit, HookFilter, HookOrder, HookRun, LogLine, Progress, ReleaseOrder, Runtime, RuntimeError, Seen,
    StartOrder, Stopped,
};
use crate::runtime::memory;

/// The runtime of plain processes.
#[derive(Debug, Clone)]
pub struct ProcessRuntime {
    layout: Layout,
    supervisor: PathBuf,
    /// Held while a release is copied or removed: a second copy of the same one would meddle with the first's.
    copying: Arc<Mutex<()>>,
}

impl ProcessRuntime {
    /// Keeps things below `state`, which need not exist yet, and must be enterable by the users that services run as.
    /// `supervisor` is the `cutover` executable.
    pub fn new(state: impl AsRef<Path>, supervisor: impl Into<PathBuf>) -> Self {
        Self { layout: Layout::new(state.as_ref()), supervisor: supervisor.into(), copying: Arc::default() }
    }

    /// Whether this runtime keeps anything of an instance.
    pub fn knows(&self, instance: &InstanceId) -> bool {
        self.dir(instance).path().exists()
    }

    fn dir(&self, instance: &InstanceId) -> InstanceDir {
        self.layout.instance(instance)
    }
}

#[async_trait]
impl Runtime for ProcessRuntime {
    async fn fingerprint(&self, spec: &RunSpec) -> Result<Option<String>, RuntimeError> {
        let spec = process(spec)?;
        let Some(artifact) = spec.artifact.clone() else { return Ok(None) };
        Ok(Some(blocking(move || artifact::digest(&artifact)).await??))
    }

    async fn prepare(&self, order: &ReleaseOrder, progress: &Progress) -> Result<(), RuntimeError> {
        let Some(artifact) = process(&order.spec)?.artifact.clone() else { return Ok(()) };
        let copying = Arc::clone(&self.copying).lock_owned().await;
        let to = self.layout.copy(&order.service, order.release, &artifact);
        let release = self.layout.release(&order.service, order.release);
        let expected = order.fingerprint.clone();
        progress.say(format!("copying {}", artifact.display()));
        let copy = move || {
            // Goes along, so that a caller who loses patience does not let a second copy begin beside this one.
            let _copying = copying;
            artifact::copy(&artifact, &release, &to, expected.as_deref())
        };
        Ok(blocking(copy).await??)
    }

    async fn start(&self, order: &StartOrder) -> Result<SocketAddr, RuntimeError> {
        start::start(&self.layout, &self.supervisor, order).await
    }

    async fn stop(&self, instance: &InstanceId, stop: &StopSpec) -> Result<Stopped, RuntimeError> {
        stop::stop(&self.layout, instance, stop).await
    }

    async fn observe(&self) -> Result<Vec<Seen>, RuntimeError> {
        let what = "could not read the records of the instances";
        let mut seen = Vec::new();
        for record in observe::records(&self.layout).map_err(failed(what))? {
            seen.push(observe::look(&self.layout, record).await.map_err(failed(what))?);
        }
        Ok(seen)
    }

    async fn exited(&self, instance: &InstanceId) -> Exit {
        let dir = self.dir(instance);
        match Record::read(&dir) {
            Ok(Some(record)) => observe::wait(&dir, &record).await.unwrap_or(Exit::Unknown),
            _ => Exit::Unknown,
        }
    }

    /// Of its standard output, then of its standard error: what of the two came first cannot be told, for the program
    /// writes to the files itself and the lines carry no time.
    async fn logs(&self, instance: &InstanceId, lines: usize) -> Vec<LogLine> {
        let dir = self.dir(instance);
        spawn_blocking(move || logs::last(&dir, lines)).await.unwrap_or_default()
    }

    fn follow(&self, instance: &InstanceId, lines: usize) -> BoxStream<'static, LogLine> {
        let follower = Follower::new(self.dir(instance), lines);
        let next = |mut follower: Follower| async move { Some((follower.next().await?, follower)) };
        stream::unfold(follower, next).boxed()
    }

    async fn connections(&self, instance: &InstanceId) -> Option<BTreeSet<SocketAddr>> {
        let dir = self.dir(instance);
        let look = move || {
            // Another instance may have its port by now.
            let record = Record::read(&dir).ok()?.filter(members::any)?;
            sockets::peers(record.address(), std::process::id().cast_signed())
        };
        spawn_blocking(look).await.ok().flatten()
    }

    async fn diagnose(&self, instance: &InstanceId) -> Option<String> {
        let dir = self.dir(instance);
        let look = move || Record::read(&dir).ok().flatten().and_then(|record| diagnose::diagnose(&dir, &record));
        spawn_blocking(look).await.ok().flatten()
    }

    async fn cramped(&self, running: &[InstanceId], more: usize) -> Option<Cramped> {
        let dirs: Vec<InstanceDir> = running.iter().map(|instance| self.dir(instance)).collect();
        let look = move || {
            let records = dirs.iter().filter_map(|dir| Record::read(dir).ok().flatten());
            let pids: Vec<i32> = records.map(|record| record.main.pid).collect();
            memory::cramped(&pids, more)
        };
        spawn_blocking(look).await.ok().flatten()
    }

    async fn hook(&self, order: &HookOrder) -> Result<HookRun, RuntimeError> {
        hook::run(&self.layout, &self.supervisor, order).await
    }

    async fn end_hooks(&self, of: &HookFilter<'_>) -> Result<(), RuntimeError> {
        hook::end(&self.layout, of).await
    }

    async fn forget(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        forget::forget(&self.dir(instance)).await.map_err(failed(format!("could not forget {instance}")))
    }

    async fn discard(&self, service: &ServiceName, release: ReleaseNo) -> Result<(), RuntimeError> {
        let copying = Arc::clone(&self.copying).lock_owned().await;
        let path = self.layout.release(service, release);
        let what = format!("could not remove the copy of release {release} of {service}");
        let discard = move || {
            let _copying = copying;
            artifact::discard(&path)
        };
        blocking(discard).await?.map_err(failed(what))
    }
}

/// The process of a specification; whoever chose this runtime has looked that it is one.
fn process(spec: &RunSpec) -> Result<&ProcessSpec, RuntimeError> {
    spec.process().ok_or_else(|| RuntimeError::Other(Failure::new(format!("{} is not a process", spec.title()))))
}

/// What was tried, for an I/O error that does not say.
fn failed(what: impl Into<String>) -> impl FnOnce(io::Error) -> RuntimeError {
    move |source| RuntimeError::Io { what: what.into(), source }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, RuntimeError> {
    spawn_blocking(work).await.map_err(|error| failed("a thread that worked with files died")(error.into()))
}

impl From<ArtifactError> for RuntimeError {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Io { path, source } => Self::Artifact { path, source },
            ArtifactError::Changed(path) => Self::ArtifactChanged(path),
        }
    }
}
