//! What goes over the agent's socket, as JSON: the types that the agent and its clients share.
//!
//! | request | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/stats` | the proxy's counters: [`cutover_core::stats::Stats`] |
//! | `POST /v1/plan` with [`Request`] | [`cutover_core::plan::Plan`] |
//! | `POST /v1/deployments` with [`Begin`] | [`Begun`] |
//! | `POST /v1/agree` with [`Agree`] | `{}` |
//! | `GET /v1/deployments/{id}` | [`Story`] |
//! | `GET /v1/services/{name}/history` | [`History`] |
//! | `GET /v1/services/{name}/logs?…` | a line of JSON per log line: [`LogEntry`] |
//! | `GET /v1/services/{name}/progress` | [`Come`] |
//! | `GET /v1/events?service=&deployment=&after=&follow=` | a line of JSON per event: [`Record`] |
//! | `POST /v1/services/{name}/abort` with [`Reason`] | [`Begun`] |
//! | `POST /v1/services/{name}/pause` with [`Reason`], `…/resume`, `…/promote` | [`Begun`] |
//! | `POST /v1/services/{name}/lock` with [`LockFor`], `…/unlock` with [`Reason`] | `{}` |
//! | `POST /v1/services/{name}/maintenance/on` with [`TakeDown`], `…/off` with [`Reason`] | `{}` |
//! | `POST /v1/services/{name}/notify` with [`Notify`] | `{}` |
//! | `POST /v1/notify/test` with [`TestNotify`] | a list of [`SinkAnswer`] |
//! | `POST /v1/stop` | `{}`, and the agent leaves |
//!
//! What is refused is answered with 409, what is malformed with 400, what could not be looked at with 422; while the
//! journal cannot be written, with 503. Each with a [`Problem`].

use std::net::SocketAddr;
use std::path::PathBuf;

use cutover_core::machine::{Deployment, Down, Duty, Last, Lock, Mark, Outcome, Record};
use cutover_core::plan::{Kind, Refusal};
use cutover_core::proof::Proof;
use cutover_core::rules::Maintenance;
use cutover_core::spec::NotifySpec;
use cutover_core::{DeploymentId, Failure, Generation, InstanceId, ReleaseNo, ServiceName, Timestamp};
use serde::{Deserialize, Serialize};

pub use crate::engine::{Member, Request, Want};

/// Everything at a glance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// The agent itself.
    pub agent: AgentStatus,
    /// The proxy; `None` if it does not answer.
    pub proxy: Option<ProxyStatus>,
    /// The services, by name.
    pub services: Vec<ServiceStatus>,
}

/// The agent itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Since when it runs.
    pub started: Timestamp,
    /// Where it keeps its state.
    pub state: PathBuf,
    /// Why nothing moves, if the journal cannot be written.
    pub trouble: Option<Failure>,
    /// Resident memory in bytes.
    pub memory: u64,
}

/// The proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProxyStatus {
    /// Its process.
    pub pid: u32,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Processes that were the proxy before and still have something in hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leaving: Vec<u32>,
    /// That it is older than this agent, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outdated: Option<String>,
    /// Since when it runs.
    pub started: Timestamp,
    /// The generation it serves.
    pub generation: Generation,
    /// The generation it should serve.
    pub wanted: Generation,
    /// Client connections open now.
    pub connections: u64,
    /// Resident memory in bytes.
    pub memory: u64,
}

/// One service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: ServiceName,
    /// Its project.
    pub project: String,
    /// The release that serves.
    pub live: Option<ReleaseNo>,
    /// Where it can be reached.
    pub address: Option<String>,
    /// Its instances, but those that are gone.
    pub instances: Vec<InstanceStatus>,
    /// What is running, or stuck.
    pub deployment: Option<Deployment>,
    /// The step at work, in words.
    pub at_work: Option<String>,
    /// How far that has come, if it takes long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// The lock that holds, if one does.
    pub lock: Option<Lock>,
    /// Who took it down for maintenance, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Down>,
    /// How the last deployment ended.
    pub last: Option<Last>,
    /// Requests answered since the proxy started.
    pub served: u64,
    /// Requests not answered since then.
    pub failed: u64,
    /// What to know about how it is reached: that somebody edited a file which leads to it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// One instance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Which.
    pub instance: InstanceId,
    /// What it is there for.
    pub duty: Duty,
    /// Since when it is down, and how it ended.
    pub down: Option<(Timestamp, String)>,
    /// How often it was started again.
    pub restarts: u32,
    /// Its own address.
    pub address: Option<SocketAddr>,
    /// The unix socket on which it listens in place of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
    /// Its process.
    pub pid: Option<u32>,
    /// Its share of new requests, in percent.
    pub share: f64,
    /// Requests it has in hand.
    pub in_flight: u64,
    /// Streams it has in hand.
    pub streams: u64,
    /// Whether the proxy leaves it out for failing, as long as others can be asked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ejected: bool,
}

/// What is to be begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Begin {
    /// What is wanted.
    pub request: Request,
    /// Whether to wait while another deployment of the service is running, instead of being refused.
    #[serde(default)]
    pub wait: bool,
}

/// What was begun.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Begun {
    /// The deployment.
    pub deployment: DeploymentId,
}

/// How far a step has come.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Come {
    /// In words, if it is one that takes long.
    pub progress: Option<String>,
    /// Whether it has been observed, and waits for those that it is deployed together with.
    #[serde(default)]
    pub awaits_others: bool,
}

/// Deployments that are to count together.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Agree {
    /// Which; each waits for that.
    pub members: Vec<Member>,
    /// Who asks.
    pub by: String,
}

/// Why somebody does something, and who it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reason {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A lock to be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LockFor {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// For how many seconds at most.
    pub seconds: u64,
}

/// A service to be taken down for maintenance.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TakeDown {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// What clients get, where that differs from what is configured: `page` (`kind` and `body`), `retry_after` in seconds, `allow`
    /// (addresses and ranges).
    #[serde(default)]
    pub settings: Maintenance,
}

/// One deployment, told from its events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Story {
    /// Its summary.
    pub summary: Summary,
    /// Its events.
    pub events: Vec<Record>,
    /// Who was told of it, and what came back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<Notification>,
}

/// Somebody who was to be told of an event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notification {
    /// The number of the event.
    pub event: u64,
    /// The occasion.
    pub on: String,
    /// Who was to be told: its name in the configuration.
    pub sink: String,
    /// `waiting`, `delivered` or `given_up`.
    pub state: String,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried again, if it waits.
    pub due: Option<Timestamp>,
    /// What came back the last time, without secrets.
    pub said: Option<String>,
}

/// Who is told what becomes of a service, in place of whoever was. No answer ever holds it: it has secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Notify {
    /// They, as the command line makes them of the configuration.
    pub notify: NotifySpec,
}

/// Who is to get a test message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TestNotify {
    /// They, as the command line makes them of the configuration.
    pub notify: NotifySpec,
    /// Who asks.
    pub by: String,
}

/// What came of a test message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SinkAnswer {
    /// Who was told: its name in the configuration.
    pub sink: String,
    /// Its kind.
    pub kind: String,
    /// Whether it took the message.
    pub taken: bool,
    /// What came back, without secrets.
    pub said: String,
}

/// What a service has been through.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct History {
    /// The service.
    pub service: ServiceName,
    /// Its releases, newest first.
    pub releases: Vec<ReleaseRow>,
    /// Its deployments, newest first.
    pub deployments: Vec<Summary>,
}

/// A release that is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// Its number.
    pub release: ReleaseNo,
    /// When it was made.
    pub made: Timestamp,
    /// The digest of its content.
    pub fingerprint: Option<String>,
    /// How it fared.
    pub mark: Mark,
    /// Whether it serves now.
    pub live: bool,
}

/// A deployment in one line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Summary {
    /// Its id.
    pub deployment: DeploymentId,
    /// The service.
    pub service: ServiceName,
    /// What was asked for.
    pub kind: Kind,
    /// From this release.
    pub from: Option<ReleaseNo>,
    /// To this one.
    pub to: Option<ReleaseNo>,
    /// Who asked.
    pub by: String,
    /// Since when.
    pub began: Timestamp,
    /// Until when.
    pub ended: Option<Timestamp>,
    /// How it ended; `None` while it runs or is stuck.
    pub outcome: Option<Outcome>,
    /// What was counted meanwhile.
    pub proof: Option<Proof>,
}

/// A line that an instance wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogEntry {
    /// Which instance.
    pub instance: InstanceId,
    /// `stdout` or `stderr`.
    pub stream: String,
    /// The line, without its end.
    pub text: String,
}

/// Why something was not done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Problem {
    /// What was tried, on what, and what came back.
    pub error: Failure,
    /// The refusal, if it is one: then nothing has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// What is live now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
}
