//! What the engine asks of whatever starts and stops instances.
//!
//! **Invariant.** Every call may be made twice with the same outcome: after a crash the engine repeats what it had begun.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use cutover_core::spec::{RunSpec, StopSpec};
use cutover_core::{Failure, InstanceId, ReleaseNo, ServiceName};
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::hook::{HookFilter, HookOrder, HookRun};

/// Starts, stops and observes instances.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// The content of what a release would run, as a digest: two equal digests mean nothing changed. `None` if it runs in
    /// place, so that nobody can tell.
    async fn fingerprint(&self, spec: &RunSpec) -> Result<Option<String>, RuntimeError>;

    /// Brings what the release runs to where its instances run from: copies its artifact, or pulls its image. Fails if that
    /// no longer has the digest of the order. What was cut short is begun anew; what is finished is kept.
    async fn prepare(&self, order: &ReleaseOrder, progress: &Progress) -> Result<(), RuntimeError>;

    /// Starts an instance, or finds the one that an earlier call started, also if it has exited since.
    async fn start(&self, order: &StartOrder) -> Result<SocketAddr, RuntimeError>;

    /// Asks an instance to leave, and kills its whole process group when the grace is over. Fine if it has gone already.
    async fn stop(&self, instance: &InstanceId, stop: &StopSpec) -> Result<Stopped, RuntimeError>;

    /// Every instance that this runtime started and did not forget, running or not.
    async fn observe(&self) -> Result<Vec<Seen>, RuntimeError>;

    /// Waits until the instance is not running (at once if it is not), and tells how it ended.
    async fn exited(&self, instance: &InstanceId) -> Exit;

    /// The last lines it wrote, both streams, oldest first as far as that can be told.
    async fn logs(&self, instance: &InstanceId, lines: usize) -> Vec<LogLine>;

    /// The last lines it wrote, as of [`Runtime::logs`], and all that come after them, until it ends. A runtime that can tell its next
    /// attempt may go on with that.
    fn follow(&self, instance: &InstanceId, lines: usize) -> BoxStream<'static, LogLine>;

    /// The peers of the connections that are open to the instance's own address, whoever made them: what a router that
    /// does not count has in hand. `None` if that cannot be seen.
    async fn connections(&self, instance: &InstanceId) -> Option<BTreeSet<SocketAddr>>;

    /// What may be wrong with an instance that does not get ready, as far as it can be seen from outside.
    async fn diagnose(&self, instance: &InstanceId) -> Option<String>;

    /// What runs of this already without being ours, and could be taken over as it is.
    async fn adoptable(&self, spec: &RunSpec) -> Result<Vec<Adoptable>, RuntimeError> {
        let _ = spec;
        Ok(Vec::new())
    }

    /// Forgets an instance that was taken over, and leaves it running. Fine if it is not known.
    async fn let_go(&self, instance: &InstanceId) -> Result<(), RuntimeError> {
        Err(RuntimeError::Unknown(instance.clone()))
    }

    /// What the engine's own health check of a container says; `Err` if it is not (yet) healthy, or has none.
    async fn health(&self, instance: &InstanceId) -> Result<(), Unhealthy> {
        Err(Unhealthy::Unchecked(format!("{instance} has no health check of its own")))
    }

    /// Why what this would run could not be started here, as far as that can be known before; said while planning.
    async fn can_start(&self, spec: &RunSpec) -> Result<(), Failure> {
        let _ = spec;
        Ok(())
    }

    /// What speaks against running this many more beside those that run, as far as memory goes, judged by what those take.
    async fn cramped(&self, running: &[InstanceId], more: usize) -> Option<Cramped> {
        let _ = (running, more);
        None
    }

    /// Runs a hook to its end in the surroundings of a release, for as long as it may take at most, and keeps a part of what it
    /// writes. When this returns nothing of it is left, nor of what it started. If it fails, is dropped or never returns,
    /// [`Runtime::end_hooks`] ends what is left.
    async fn hook(&self, order: &HookOrder) -> Result<HookRun, RuntimeError>;

    /// Ends what is left of the hooks with a key that satisfies `of`, also of those that an earlier agent began. Fine if nothing is.
    async fn end_hooks(&self, of: &HookFilter<'_>) -> Result<(), RuntimeError>;

    /// Removes what is kept of an instance that is not running: its records and logs.
    async fn forget(&self, instance: &InstanceId) -> Result<(), RuntimeError>;

    /// Removes a release's copy of its artifact.
    async fn discard(&self, service: &ServiceName, release: ReleaseNo) -> Result<(), RuntimeError>;
}

/// Memory for more instances seems to be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cramped {
    /// How that was reckoned.
    pub arithmetic: String,
    /// Whether it would not do even with all of the swap space.
    pub hopeless: bool,
}

/// Why an engine does not call a container healthy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unhealthy {
    /// It is not, so far, or could not be asked.
    #[error("{0}")]
    NotNow(String),
    /// It never will be: there is no check.
    #[error("{0}")]
    Unchecked(String),
}

/// Which release to prepare.
#[derive(Debug, Clone)]
pub struct ReleaseOrder {
    /// The service.
    pub service: ServiceName,
    /// The release.
    pub release: ReleaseNo,
    /// What it runs.
    pub spec: RunSpec,
    /// The digest that was seen while planning.
    pub fingerprint: Option<String>,
}

/// Where a runtime tells how far it has come with something that takes long: a line at a time, each in place of the last.
#[derive(Clone)]
pub struct Progress(Arc<dyn Fn(String) + Send + Sync>);

impl Progress {
    /// Hands each line to `to`.
    pub fn new(to: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self(Arc::new(to))
    }

    /// For those who do not want to know.
    pub fn unheard() -> Self {
        Self::new(drop)
    }

    /// Tells a line: `pulling: 3 of 5 layers, 12 of 40 MB`.
    pub fn say(&self, line: impl Into<String>) {
        (self.0)(line.into());
    }
}

/// A line that an instance wrote, without its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Where it was written to.
    pub stream: LogStream,
    /// What was written; what is not UTF-8 is replaced.
    pub text: String,
}

/// Where a program writes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogStream {
    /// Its standard output.
    Stdout,
    /// Its standard error.
    Stderr,
}

impl LogStream {
    /// Both, in the order in which they are told.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Its name: `stdout` or `stderr`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Which instance to start.
#[derive(Debug, Clone)]
pub struct StartOrder {
    /// The instance. Starting the same one twice starts it once.
    pub instance: InstanceId,
    /// How often it has been started before, because it died while serving: a higher number starts it anew, on the same
    /// port if that is free.
    pub attempt: u32,
    /// What it runs.
    pub spec: RunSpec,
    /// The digest of what it runs, as the release has it.
    pub fingerprint: Option<String>,
}

/// Something that runs without being ours. It is taken over by starting the instance that a specification says it becomes
/// (`ContainerSpec::adopted`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoptable {
    /// The container's id.
    pub container: String,
    /// The digest of what it runs.
    pub fingerprint: String,
}

/// An instance as it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Which one.
    pub instance: InstanceId,
    /// The attempt it was last started with.
    pub attempt: u32,
    /// Its own address.
    pub address: SocketAddr,
    /// Its main process, while it runs.
    pub pid: Option<u32>,
    /// How it ended, if it did.
    pub exit: Option<Exit>,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It left with this status.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
    /// It is gone, and nobody saw how (its supervisor was killed, or the machine restarted).
    Unknown,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exited with status {code}"),
            Self::Signal(9) => f.write_str("was killed (SIGKILL; out of memory?)"),
            Self::Signal(signal) => write!(f, "was ended by signal {signal}"),
            Self::Unknown => f.write_str("is gone, and nobody saw how"),
        }
    }
}

/// How a stop went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// How it ended.
    pub exit: Exit,
    /// Whether it had to be killed because it ignored the signal for the whole grace.
    pub killed: bool,
}

/// What a runtime could not do.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The artifact could not be read or copied.
    #[error("could not copy the artifact {path}")]
    Artifact {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The artifact is not what it was while planning.
    #[error("the artifact {0} changed while it was being copied")]
    ArtifactChanged(PathBuf),
    /// The program could not be started.
    #[error("could not start {instance}: {program}")]
    Start {
        /// Which instance.
        instance: InstanceId,
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// None of the configured ports is free.
    #[error("no port for {instance}: {tried}")]
    NoPort {
        /// Which instance.
        instance: InstanceId,
        /// Which were tried, and who has them as far as that can be seen.
        tried: String,
    },
    /// The instance is not known here.
    #[error("no instance {0} is known here")]
    Unknown(InstanceId),
    /// Anything else, with what was tried.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// What a fake or a later adapter has to say.
    #[error("{}", .0.summary)]
    Other(Failure),
}

impl RuntimeError {
    /// What was tried, and all that is known of why it failed and what to do.
    pub fn about(self, summary: impl Into<String>) -> Failure {
        match self {
            Self::Other(inner) => {
                let causes = std::iter::once(inner.summary).chain(inner.causes).collect();
                Failure { summary: summary.into(), causes, ..inner }
            }
            error => Failure::because(summary, &error),
        }
    }
}
