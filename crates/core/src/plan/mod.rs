//! Plans: what a command is going to do, worked out before anything is done.
//!
//! A plan is immutable and complete. `cutover plan` prints it, the journal keeps it, the engine carries it out, and after a
//! crash the same plan is taken up again; nobody plans twice.

mod make;
mod refusal;
mod step;
#[cfg(test)]
pub(crate) mod tests;

use serde::{Deserialize, Serialize};

pub use make::{Desired, adopt, deploy, remove, restart, rollback, scale, stop};
pub use refusal::Refusal;
pub use step::Step;

use crate::id::{InstanceId, ReleaseNo, ServiceName};

/// What a command is going to do to one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The service.
    pub service: ServiceName,
    /// What was asked for.
    pub kind: Kind,
    /// The release that is live now.
    pub from: Option<ReleaseNo>,
    /// The release that will be live.
    pub to: Option<ReleaseNo>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// How long streams may live on the instances that it stops.
    #[serde(with = "crate::unit::duration")]
    pub stream_drain: std::time::Duration,
    /// What the user should know beforehand.
    pub notes: Vec<String>,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A new release.
    Deploy,
    /// What runs already comes under our care, as a release of its own.
    Adopt,
    /// An earlier release.
    Rollback,
    /// The same release in new instances.
    Restart,
    /// More or fewer instances of the same release.
    Scale,
    /// No instances; the releases stay.
    Stop,
    /// Nothing of it stays.
    Remove,
}

impl Kind {
    /// The verb, as in "web: deploy".
    pub fn verb(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Adopt => "adopt",
            Self::Rollback => "rollback",
            Self::Restart => "restart",
            Self::Scale => "scale",
            Self::Stop => "stop",
            Self::Remove => "remove",
        }
    }
}

impl Plan {
    /// The instances it starts.
    pub fn starts(&self) -> &[InstanceId] {
        self.find(|step| if let Step::Start { instances } = step { Some(instances) } else { None })
    }

    /// The instances that it takes over as they run.
    pub fn adopts(&self) -> &[InstanceId] {
        self.find(|step| if let Step::Adopt { instances } = step { Some(instances) } else { None })
    }

    /// The instances it stops in the end.
    pub fn retires(&self) -> &[InstanceId] {
        self.find(|step| if let Step::Retire { instances } = step { Some(instances) } else { None })
    }

    /// The index of the commit: a step before it can be undone, one behind it cannot.
    pub fn commit(&self) -> usize {
        self.steps.iter().position(|step| matches!(step, Step::Commit { .. })).unwrap_or(self.steps.len())
    }

    fn find(&self, of: impl Fn(&Step) -> Option<&Vec<InstanceId>>) -> &[InstanceId] {
        self.steps.iter().find_map(of).map_or(&[], Vec::as_slice)
    }
}
