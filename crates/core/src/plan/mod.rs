//! Plans: what a command is going to do, worked out before anything is done.
//!
//! A plan is immutable and complete. `cutover plan` prints it, the journal keeps it, the engine carries it out, and after a
//! crash the same plan is taken up again; nobody plans twice.

mod hooks;
mod make;
mod refusal;
mod step;
mod strategy;
#[cfg(test)]
pub(crate) mod tests;

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

pub use hooks::{HookCall, taking_back};
pub use make::{Desired, adopt, deploy, remove, restart, rollback, scale, stop};
pub use refusal::Refusal;
pub use step::Step;

use crate::id::{InstanceId, ReleaseNo, ServiceName};
use crate::pin::PinBy;
use crate::spec::Hook;
use crate::table::Hold;

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
    /// If set, requests wait at the router, within these limits, while nobody serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// Whether it commits only together with others, which are deployed in the same breath.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub together: bool,
    /// If set, what clients are told apart by while a canary is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<PinBy>,
    /// If set, where the new release can be looked at meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<SocketAddr>,
    /// What runs after it was turned back, if it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub if_undone: Vec<HookCall>,
    /// Whether its commit closes the way back to the releases before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_rollback_past: bool,
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
    pub fn starts(&self) -> Vec<InstanceId> {
        self.find(|step| if let Step::Start { instances } = step { Some(instances) } else { None })
    }

    /// The instances that it takes over as they run.
    pub fn adopts(&self) -> Vec<InstanceId> {
        self.find(|step| if let Step::Adopt { instances } = step { Some(instances) } else { None })
    }

    /// The instances it stops in the end.
    pub fn retires(&self) -> Vec<InstanceId> {
        self.find(|step| if let Step::Retire { instances } = step { Some(instances) } else { None })
    }

    /// The index of the commit: a step before it can be undone, one behind it cannot.
    pub fn commit(&self) -> usize {
        self.steps.iter().position(|step| matches!(step, Step::Commit { .. })).unwrap_or(self.steps.len())
    }

    /// The index of the step from which on all traffic is on the new instances.
    pub fn last_shift(&self) -> usize {
        self.steps.iter().rposition(|step| matches!(step, Step::Shift { .. })).unwrap_or(0)
    }

    /// What does not count against the deadline before all traffic is on the new instances: the holds of a canary, and hooks.
    pub fn holds(&self) -> std::time::Duration {
        let before = &self.steps[..self.last_shift().min(self.steps.len())];
        before.iter().filter(|step| matches!(step, Step::Watch { .. } | Step::Hook { .. })).map(Step::limit).sum()
    }

    /// The hooks that run after it was turned back, because somebody asked or because something failed.
    pub fn closing(&self, aborted: bool) -> impl Iterator<Item = &HookCall> {
        self.if_undone.iter().filter(move |call| !aborted || call.hook != Hook::OnFailure)
    }

    /// How many more instances run at some moment before it has committed than when it begins.
    pub fn most_more(&self) -> usize {
        let (mut started, mut rested, mut most) = (0, 0, 0);
        for step in &self.steps[..self.commit()] {
            match step {
                Step::Start { instances } => started += instances.len(),
                Step::Rest { instances, .. } => rested += instances.len(),
                _ => {}
            }
            most = most.max(started.saturating_sub(rested));
        }
        most
    }

    /// Whether instances make room for others before it has committed.
    pub fn makes_room(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Rest { .. }))
    }

    /// How long streams may live on the new instances when it is turned back: not for long, if others wait for their room.
    pub fn streams_when_undone(&self) -> std::time::Duration {
        let rests = self
            .steps
            .iter()
            .find_map(|step| if let Step::Rest { streams, .. } = step { Some(*streams) } else { None });
        rests.unwrap_or(self.stream_drain)
    }

    fn find(&self, of: impl Fn(&Step) -> Option<&Vec<InstanceId>>) -> Vec<InstanceId> {
        self.steps.iter().filter_map(of).flatten().cloned().collect()
    }
}
