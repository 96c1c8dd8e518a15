//! The steps that every deployment is made of.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::{InstanceId, ReleaseNo};
use crate::spec::Hook;
use crate::unit::duration;

/// One step. It names all it acts on, so that carrying it out leaves nothing to choose, and doing it twice does it once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// Copy what the release runs to where it will run from.
    Prepare {
        /// The release.
        release: ReleaseNo,
    },
    /// Take over what runs already, as it is.
    Adopt {
        /// The instances that it becomes.
        instances: Vec<InstanceId>,
    },
    /// Start instances beside those that serve.
    Start {
        /// The new instances.
        instances: Vec<InstanceId>,
    },
    /// Wait until each is ready, asked on its own address.
    Ready {
        /// The new instances.
        instances: Vec<InstanceId>,
        /// How long that may take.
        #[serde(with = "duration")]
        within: Duration,
    },
    /// Make warm-up requests to each.
    WarmUp {
        /// The new instances.
        instances: Vec<InstanceId>,
    },
    /// Run the smoke command against one of them.
    Smoke {
        /// The instance it looks at.
        instance: InstanceId,
        /// How long it may take.
        #[serde(with = "duration")]
        within: Duration,
    },
    /// Run a command of the user's, once, in the surroundings of a release.
    Hook {
        /// Which of them.
        hook: Hook,
        /// The release whose command it is.
        release: ReleaseNo,
        /// An instance that it may look at.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        instance: Option<InstanceId>,
        /// How long it may take.
        #[serde(with = "duration")]
        within: Duration,
    },
    /// Make them known to the router, without traffic, and look at each through it.
    Register {
        /// The new instances.
        instances: Vec<InstanceId>,
    },
    /// Move all traffic at once, and look through the router that it moved.
    Shift {
        /// Who serves from here on.
        to: Vec<InstanceId>,
        /// Who gets nothing new from here on.
        from: Vec<InstanceId>,
    },
    /// Give them a part of the traffic, as the first ones of a canary.
    Weigh {
        /// The new instances that share it.
        instances: Vec<InstanceId>,
        /// How many of a hundred requests.
        percent: u8,
    },
    /// Wait until requests in flight have finished, or the drain limit has passed.
    Drain {
        /// Those that get nothing new.
        instances: Vec<InstanceId>,
        /// The drain limit.
        #[serde(with = "duration")]
        within: Duration,
    },
    /// Stop instances that have drained, to make room for new ones. The way back starts them again.
    Rest {
        /// The old instances.
        instances: Vec<InstanceId>,
        /// How long their streams may live.
        #[serde(with = "duration")]
        streams: Duration,
    },
    /// Observe the new ones while the old ones are still alive and probed.
    Watch {
        /// The new instances.
        instances: Vec<InstanceId>,
        /// How long.
        #[serde(with = "duration")]
        time: Duration,
    },
    /// The change counts. From here on there is no undo, only another deployment back.
    Commit {
        /// The release that is live from here on; `None` when the service stops.
        live: Option<ReleaseNo>,
    },
    /// Stop the old ones: at once, or in the background when their streams have ended or the stream limit has passed.
    Retire {
        /// The old instances.
        instances: Vec<InstanceId>,
    },
    /// Remove what no roll back and no inspection needs any more.
    Prune {
        /// The releases.
        releases: Vec<ReleaseNo>,
        /// Records and logs of instances that have ended.
        instances: Vec<InstanceId>,
    },
}

impl Step {
    /// The step's name, as it appears in timelines and messages.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Prepare { .. } => "prepare",
            Self::Adopt { .. } => "adopt",
            Self::Start { .. } => "start",
            Self::Ready { .. } => "ready",
            Self::WarmUp { .. } => "warm up",
            Self::Smoke { .. } => "smoke",
            Self::Hook { hook, .. } => hook.name(),
            Self::Register { .. } => "register",
            Self::Shift { .. } => "shift",
            Self::Weigh { .. } => "weigh",
            Self::Drain { .. } => "drain",
            Self::Rest { .. } => "rest",
            Self::Watch { .. } => "watch",
            Self::Commit { .. } => "commit",
            Self::Retire { .. } => "retire",
            Self::Prune { .. } => "prune",
        }
    }

    /// Whether there is something to undo. The undo is a step of the engine's own, with its own entries in the journal.
    pub fn has_undo(&self) -> bool {
        matches!(
            self,
            Self::Prepare { .. }
                | Self::Adopt { .. }
                | Self::Start { .. }
                // What it has changed is the user's; what is left of its processes is ended.
                | Self::Hook { .. }
                | Self::Register { .. }
                | Self::Shift { .. }
                | Self::Weigh { .. }
                | Self::Rest { .. }
        )
    }

    /// How long it may take. Steps that wait have a limit of the user's; for the others it is a bound that only trouble reaches.
    pub fn limit(&self) -> Duration {
        match self {
            Self::Ready { within, .. }
            | Self::Smoke { within, .. }
            | Self::Hook { within, .. }
            | Self::Drain { within, .. } => *within,
            Self::Watch { time, .. } => *time,
            Self::Prepare { .. } => Duration::from_secs(600),
            Self::Rest { streams, .. } => *streams + Duration::from_secs(60),
            Self::Adopt { .. }
            | Self::Start { .. }
            | Self::Register { .. }
            | Self::Shift { .. }
            | Self::Weigh { .. } => Duration::from_secs(30),
            Self::WarmUp { .. } | Self::Commit { .. } | Self::Retire { .. } | Self::Prune { .. } => {
                Duration::from_secs(60)
            }
        }
    }

    /// Whether the deployment's deadline cuts it short. It ends with the shift: what follows only waits, for as long as the
    /// user said. A hook has a limit of its own, which is added to the deadline.
    pub fn heeds_deadline(&self) -> bool {
        !matches!(
            self,
            Self::Hook { .. }
                | Self::Drain { .. }
                | Self::Rest { .. }
                | Self::Watch { .. }
                | Self::Commit { .. }
                | Self::Retire { .. }
                | Self::Prune { .. }
        )
    }

    /// Whether an abort may cut it short: it only waits and looks, or is a hook, of which the undo leaves nothing running. The
    /// others run to their bounded end first.
    pub fn only_observes(&self) -> bool {
        matches!(
            self,
            Self::Ready { .. }
                | Self::WarmUp { .. }
                | Self::Smoke { .. }
                | Self::Hook { .. }
                | Self::Drain { .. }
                | Self::Watch { .. }
        )
    }
}
