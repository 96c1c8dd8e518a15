//! Commands of the user's at certain places of a deployment.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::unit::duration;

/// A place where a command of the user's runs, once for each deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// On the side of whoever calls, before anything is built or copied.
    BeforeBuild,
    /// Before anything of the new release starts.
    BeforeStart,
    /// When the first new instances are ready, before the new release gets any traffic.
    BeforeSwitch,
    /// When all traffic is on the new release, before it is watched.
    AfterSwitch,
    /// When the release counts and the old instances have been told to go.
    AfterWatch,
    /// When a deployment was turned back because something failed.
    OnFailure,
    /// When a release was taken back, whoever or whatever wanted that.
    OnRollback,
}

impl Hook {
    /// All of them, in the order in which they can run.
    pub const ALL: [Self; 7] = [
        Self::BeforeBuild,
        Self::BeforeStart,
        Self::BeforeSwitch,
        Self::AfterSwitch,
        Self::AfterWatch,
        Self::OnFailure,
        Self::OnRollback,
    ];

    /// Its name, as it is configured and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::BeforeBuild => "before_build",
            Self::BeforeStart => "before_start",
            Self::BeforeSwitch => "before_switch",
            Self::AfterSwitch => "after_switch",
            Self::AfterWatch => "after_watch",
            Self::OnFailure => "on_failure",
            Self::OnRollback => "on_rollback",
        }
    }
}

/// What runs there, and for how long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookSpec {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How long it may take.
    #[serde(with = "duration")]
    pub within: Duration,
}

impl HookSpec {
    /// How long a hook may take if nothing is said: what needs longer, such as a large migration, should say so.
    pub const WITHIN: Duration = Duration::from_secs(300);
}
