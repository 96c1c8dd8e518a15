//! Why a command is not carried out: said while planning, before anything has changed.

use serde::{Deserialize, Serialize};

use crate::id::{DeploymentId, ReleaseNo, ServiceName};
use crate::unit::Timestamp;

/// Why a command is refused. Nothing has been changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum Refusal {
    /// Nobody has deployed this service here.
    #[error("no service {service} is known here")]
    UnknownService {
        /// The name that was given.
        service: ServiceName,
    },
    /// Nothing of it runs that is not under our care already.
    #[error("there is nothing of {service} to take over: nothing runs that is not cutover's already")]
    NothingToAdopt {
        /// The service.
        service: ServiceName,
    },
    /// What is asked for is live already.
    #[error("{service} already runs this: release {release} is live and nothing has changed since")]
    Unchanged {
        /// The service.
        service: ServiceName,
        /// Its live release.
        release: ReleaseNo,
    },
    /// The same was deployed before, and was taken back.
    #[error(
        "{service} went back from this before: it is the same as release {release}, which deployment {deployment} brought"
    )]
    WentBack {
        /// The service.
        service: ServiceName,
        /// The release that was the same.
        release: ReleaseNo,
        /// The deployment that made it.
        deployment: DeploymentId,
    },
    /// Another deployment of this service is running.
    #[error("{service} is busy: {by} began deployment {deployment}, now at step {step}")]
    Busy {
        /// The service.
        service: ServiceName,
        /// The running deployment.
        deployment: DeploymentId,
        /// Who began it.
        by: String,
        /// When.
        since: Timestamp,
        /// The step it is at.
        step: String,
    },
    /// An undo failed, and a person must look first.
    #[error("{service} is stuck since deployment {deployment}: {reason}")]
    Stuck {
        /// The service.
        service: ServiceName,
        /// The deployment that got stuck.
        deployment: DeploymentId,
        /// What failed.
        reason: String,
    },
    /// Somebody locked the service.
    #[error("{service} is locked by {by}: {reason}")]
    Locked {
        /// The service.
        service: ServiceName,
        /// Who locked it.
        by: String,
        /// Why.
        reason: String,
        /// When the lock ends by itself.
        until: Timestamp,
    },
    /// There is no earlier release to go back to.
    #[error("{service} has no earlier release to go back to")]
    NothingToRollBackTo {
        /// The service.
        service: ServiceName,
    },
    /// The release that was named is not kept.
    #[error("{service} has no release {release}; it keeps {}", list(.kept))]
    UnknownRelease {
        /// The service.
        service: ServiceName,
        /// The release that was named.
        release: ReleaseNo,
        /// Those it keeps.
        kept: Vec<ReleaseNo>,
    },
    /// A release in between has closed the way back.
    #[error(
        "{service} does not go back to release {release}: release {closed} came after it with `no_rollback_past`, and what it \
         changed the releases before it cannot work with"
    )]
    NoWayPast {
        /// The service.
        service: ServiceName,
        /// The release that was wanted.
        release: ReleaseNo,
        /// The release that closed the way.
        closed: ReleaseNo,
    },
    /// The service does not run, so there is nothing to act on.
    #[error("{service} is stopped")]
    NotRunning {
        /// The service.
        service: ServiceName,
    },
    /// Two releases cannot run side by side.
    #[error("{service} cannot run two releases side by side: {reason}")]
    CannotOverlap {
        /// The service.
        service: ServiceName,
        /// Why not.
        reason: String,
    },
    /// The strategy asks for what the service or its router cannot do.
    #[error("{service} cannot be deployed by the strategy {strategy}: {reason}")]
    Strategy {
        /// The service.
        service: ServiceName,
        /// The strategy.
        strategy: String,
        /// Why not.
        reason: String,
    },
    /// The route is taken by another service.
    #[error("{service} wants {wanted}, which {owner} already has")]
    RouteTaken {
        /// The service.
        service: ServiceName,
        /// What it wants.
        wanted: String,
        /// Who has it.
        owner: ServiceName,
    },
    /// Nothing is running that could be aborted.
    #[error("no deployment of {service} is running")]
    NothingToAbort {
        /// The service.
        service: ServiceName,
    },
    /// The deployment has committed; its release is live.
    #[error("deployment {deployment} of {service} can no longer be aborted: its release is live")]
    TooLate {
        /// The service.
        service: ServiceName,
        /// The deployment.
        deployment: DeploymentId,
    },
    /// It cannot count together with others now.
    #[error(
        "deployment {deployment} of {service} does not wait for others: it has ended, turned back, or is not so far"
    )]
    NotAwaiting {
        /// The service.
        service: ServiceName,
        /// The deployment.
        deployment: DeploymentId,
    },
    /// A look at the machine before planning found a reason not to begin.
    #[error("{reason}")]
    Preflight {
        /// The service.
        service: ServiceName,
        /// What was found.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
}

impl Refusal {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownService { .. } => "`cutover status` lists what is known here".to_owned(),
            Self::Unchanged { .. } => {
                "`--again` deploys it anyway, `cutover restart` replaces its instances".to_owned()
            }
            Self::WentBack { deployment, .. } => {
                format!("`cutover show {deployment}` tells why; `--again` deploys it all the same")
            }
            Self::NotAwaiting { deployment, .. } => format!("`cutover show {deployment}` tells how far it is"),
            Self::Busy { service, .. } => {
                format!("`cutover events -f {service}` follows it, `cutover abort {service}` ends it")
            }
            Self::Stuck { service, .. } => format!("`cutover abort {service}` tries again to undo it"),
            Self::Locked { service, .. } => format!("`cutover lock {service} --release` ends the lock"),
            Self::NothingToRollBackTo { service } | Self::UnknownRelease { service, .. } => {
                format!("`cutover history {service}` shows its releases")
            }
            Self::NoWayPast { service, .. } => format!(
                "deploy what mends it; `cutover rollback {service} --past` goes back all the same, if you have undone that change yourself"
            ),
            Self::NotRunning { service } => format!("`cutover deploy {service} --again` starts it"),
            Self::CannotOverlap { .. } => "give more of them, or leave them out; what is retiring frees its own (`stream_drain` bounds how long that takes)".to_owned(),
            Self::Strategy { .. } => {
                "see docs/strategies.md for what each strategy needs; `blue_green` needs least".to_owned()
            }
            Self::RouteTaken { .. } => "give one of them another host, path or address".to_owned(),
            Self::NothingToAbort { .. } | Self::NothingToAdopt { .. } => return None,
            Self::TooLate { service, .. } => format!("`cutover rollback {service}` goes back"),
            Self::Preflight { hint, .. } => return hint.clone(),
        })
    }
}

fn list(releases: &[ReleaseNo]) -> String {
    let mut text: Vec<String> = releases.iter().map(ToString::to_string).collect();
    match text.pop() {
        None => "none".to_owned(),
        Some(last) if text.is_empty() => last,
        Some(last) => format!("{} and {last}", text.join(", ")),
    }
}
