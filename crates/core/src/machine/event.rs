//! What the journal holds. The state of a service is the fold of its events, and of nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::id::{DeploymentId, InstanceId, ReleaseNo};
use crate::plan::Plan;
use crate::proof::{Baseline, Proof};
use crate::rule::verdict;
use crate::rules::Maintenance;
use crate::spec::Hook;
use crate::unit::{Timestamp, duration};

/// One thing that happened, or is about to be done. Once written it never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A deployment begins: from here on the service is locked by it.
    Planned {
        /// Its id.
        deployment: DeploymentId,
        /// What will be done.
        plan: Plan,
        /// Who asked.
        by: String,
        /// When it is undone if it has not committed.
        deadline: Timestamp,
        /// The digest of the new release's content, if the plan makes one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<String>,
        /// What the router had counted by then.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        baseline: Option<Box<Baseline>>,
    },
    /// A step is about to be carried out.
    StepStarted {
        /// Its index in the plan.
        step: usize,
        /// When it must have ended.
        until: Timestamp,
    },
    /// A step has been carried out.
    StepDone {
        /// Its index in the plan.
        step: usize,
    },
    /// A step could not be carried out; it and those before it will be undone.
    StepFailed {
        /// Its index in the plan.
        step: usize,
        /// Why.
        failure: Failure,
    },
    /// The new release was compared with the old one, while a step observes it.
    Judged {
        /// The step's index in the plan.
        step: usize,
        /// What is known by now.
        judgement: Box<Judgement>,
    },
    /// Somebody outside was asked for a figure about the new release, and what came differs from what came before.
    Asked {
        /// The step that observes it.
        step: usize,
        /// Which figure.
        metric: String,
        /// What it means.
        outcome: verdict::Outcome,
        /// What was answered, and what is allowed.
        said: String,
    },
    /// Too little was seen for a verdict: the step goes on observing, once.
    Extended {
        /// The step that observes.
        step: usize,
        /// For how much longer.
        #[serde(with = "duration")]
        by: Duration,
        /// What is missing.
        reason: String,
    },
    /// Too little was seen for a verdict, and a person is to say what comes of it: the deployment stands still.
    Undecided {
        /// The step that observes it.
        step: usize,
        /// What is missing.
        reason: String,
    },
    /// Somebody wants the deployment undone.
    AbortAsked {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Somebody wants it to go no further for now.
    PauseAsked {
        /// Who.
        by: String,
    },
    /// It may go on.
    ResumeAsked {
        /// Who.
        by: String,
    },
    /// Somebody wants all traffic on the new release, without further holds.
    PromoteAsked {
        /// Who.
        by: String,
    },
    /// All that are deployed together with it have been observed, too: it counts.
    Agreed {
        /// Who asked for them.
        by: String,
    },
    /// A step is about to be undone.
    UndoStarted {
        /// Its index in the plan.
        step: usize,
        /// When the undo must have ended.
        until: Timestamp,
    },
    /// A step has been undone.
    UndoDone {
        /// Its index in the plan.
        step: usize,
    },
    /// A step could not be undone: a person is needed.
    UndoFailed {
        /// Its index in the plan.
        step: usize,
        /// Why.
        failure: Failure,
    },
    /// Somebody asked to try the failed undo again.
    UndoRetried {
        /// Who.
        by: String,
    },
    /// A hook is about to run after the deployment was turned back. One that is a step has begun with that.
    HookStarted {
        /// Which.
        hook: Hook,
        /// When it must have ended.
        until: Timestamp,
    },
    /// A hook has ended, well or not.
    HookEnded {
        /// Which.
        hook: Hook,
        /// What it came to.
        report: Box<HookReport>,
    },
    /// The deployment is over.
    Ended {
        /// How.
        outcome: Outcome,
        /// What was counted at the router meanwhile.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<Proof>,
    },
    /// An instance was started and has an address.
    InstanceStarted {
        /// Which.
        instance: InstanceId,
        /// Its own address.
        address: SocketAddr,
    },
    /// A serving instance died. It gets no traffic until it is back.
    InstanceDied {
        /// Which.
        instance: InstanceId,
        /// How it ended, in words.
        exit: String,
    },
    /// It is about to be started again.
    InstanceRevived {
        /// Which.
        instance: InstanceId,
        /// How often it has been started again, this time included.
        attempt: u32,
    },
    /// It passed the readiness gate again.
    InstanceBack {
        /// Which.
        instance: InstanceId,
    },
    /// A retiring instance has been stopped.
    InstanceRetired {
        /// Which.
        instance: InstanceId,
        /// How it went, in words.
        how: String,
    },
    /// The proxy was gone and came back.
    RouterReturned {
        /// How long nobody served, in milliseconds.
        down_ms: u64,
        /// How many requests and streams it had in hand when it was last asked.
        in_hand: u64,
    },
    /// Somebody locked the service against deployments.
    Locked {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When the lock ends by itself.
        until: Timestamp,
    },
    /// The lock was released.
    Unlocked {
        /// Who.
        by: String,
    },
    /// Somebody took the service down for maintenance: clients get a page instead of answers.
    MaintenanceBegan {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// What clients get, where that differs from what is configured.
        settings: Maintenance,
    },
    /// The service is up again.
    MaintenanceEnded {
        /// Who.
        by: String,
    },
}

/// A comparison of the new release with the old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// What had been counted of the new release when the comparison began.
    pub candidate: verdict::Counts,
    /// The same of the old one; if it served alone before, all that it is compared with.
    pub baseline: verdict::Baseline,
    /// What must be remembered from one look to the next.
    pub memory: verdict::Memory,
    /// What the last look found.
    pub findings: Option<verdict::Findings>,
}

/// What a hook came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HookReport {
    /// Why it failed, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// The first and the last lines that it wrote, without secrets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
}

/// How a deployment ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It did what was asked, and that was observed.
    Done,
    /// It was undone; what was live before still is.
    RolledBack {
        /// Why.
        failure: Failure,
        /// Whether somebody asked for it, rather than something having failed.
        aborted: bool,
    },
}

/// An event with its place in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its number: counted over all services, without gaps.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The service it is about.
    pub service: crate::id::ServiceName,
    /// The deployment it belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// What happened.
    pub event: Event,
}

impl Event {
    /// The release that a deployment moves to, for those who list deployments.
    pub fn target_release(&self) -> Option<ReleaseNo> {
        if let Self::Planned { plan, .. } = self { plan.to } else { None }
    }
}
