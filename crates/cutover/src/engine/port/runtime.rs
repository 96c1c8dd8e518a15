//! What the engine asks of whatever starts and stops instances.
//!
//! **Invariant.** Every call may be made twice with the same outcome: after a crash the engine repeats what it had begun.

use std::net::SocketAddr;
use std::path::PathBuf;

use async_trait::async_trait;
use cutover_core::spec::{ProcessSpec, StopSpec};
use cutover_core::{Failure, InstanceId, ReleaseNo, ServiceName};
use serde::{Deserialize, Serialize};

/// Starts, stops and observes instances.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// The content of what a release would run, as a digest: two equal digests mean nothing changed. `None` if it runs in
    /// place, so that nobody can tell.
    async fn fingerprint(&self, spec: &ProcessSpec) -> Result<Option<String>, RuntimeError>;

    /// Copies the release's artifact to where its instances run from. Fails if it no longer has the digest of the order.
    /// A copy that was cut short is begun anew; a finished one is kept.
    async fn prepare(&self, order: &ReleaseOrder) -> Result<(), RuntimeError>;

    /// Starts an instance, or finds the one that an earlier call started, also if it has exited since.
    async fn start(&self, order: &StartOrder) -> Result<SocketAddr, RuntimeError>;

    /// Asks an instance to leave, and kills its whole process group when the grace is over. Fine if it has gone already.
    async fn stop(&self, instance: &InstanceId, stop: &StopSpec) -> Result<Stopped, RuntimeError>;

    /// Every instance that this runtime started and did not forget, running or not.
    async fn observe(&self) -> Result<Vec<Seen>, RuntimeError>;

    /// Waits until the instance is not running (at once if it is not), and tells how it ended.
    async fn exited(&self, instance: &InstanceId) -> Exit;

    /// The last lines it wrote, both streams, oldest first.
    async fn tail(&self, instance: &InstanceId, lines: usize) -> Vec<String>;

    /// What may be wrong with an instance that does not get ready, as far as it can be seen from outside.
    async fn diagnose(&self, instance: &InstanceId) -> Option<String>;

    /// What speaks against running this many more beside those that run, as far as memory goes, judged by what those take.
    async fn cramped(&self, running: &[InstanceId], more: usize) -> Option<String> {
        let _ = (running, more);
        None
    }

    /// Removes what is kept of an instance that is not running: its records and logs.
    async fn forget(&self, instance: &InstanceId) -> Result<(), RuntimeError>;

    /// Removes a release's copy of its artifact.
    async fn discard(&self, service: &ServiceName, release: ReleaseNo) -> Result<(), RuntimeError>;
}

/// Which release to prepare.
#[derive(Debug, Clone)]
pub struct ReleaseOrder {
    /// The service.
    pub service: ServiceName,
    /// The release.
    pub release: ReleaseNo,
    /// What it runs.
    pub spec: ProcessSpec,
    /// The digest that was seen while planning.
    pub fingerprint: Option<String>,
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
    pub spec: ProcessSpec,
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
    /// Its process, while it runs.
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
