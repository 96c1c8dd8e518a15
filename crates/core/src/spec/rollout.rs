//! How a service moves from one release to the next.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::unit::duration;

/// The rollout settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RolloutSpec {
    /// The strategy.
    pub strategy: Strategy,
    /// How long the new release is observed, with the old one still alive, before the deployment counts as done.
    #[serde(with = "duration")]
    pub watch: Duration,
    /// How long requests in flight may take to finish on the old release.
    #[serde(with = "duration")]
    pub drain: Duration,
    /// How long streams (WebSocket, event streams, TCP connections) may live on the old release, in the background.
    #[serde(with = "duration")]
    pub stream_drain: Duration,
    /// The whole deployment, up to the end of the watch, must end within this time, or it is undone.
    #[serde(with = "duration")]
    pub deadline: Duration,
    /// How many releases are kept to roll back to, the live one included; at least 2.
    pub keep_releases: u32,
    /// A command that tries the new release before it gets traffic; exit status 0 passes. It gets `CUTOVER_PREVIEW_URL`,
    /// `CUTOVER_SERVICE` and `CUTOVER_RELEASE`.
    pub smoke: Option<Vec<String>>,
    /// How long that command may take.
    #[serde(with = "duration")]
    pub smoke_within: Duration,
}

/// The strategy of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// All new instances beside all old ones, then all traffic at once.
    #[default]
    BlueGreen,
}

impl Default for RolloutSpec {
    fn default() -> Self {
        Self {
            strategy: Strategy::BlueGreen,
            watch: Duration::from_secs(10),
            drain: Duration::from_secs(30),
            stream_drain: Duration::from_secs(3600),
            deadline: Duration::from_secs(600),
            keep_releases: 5,
            smoke: None,
            smoke_within: Duration::from_secs(60),
        }
    }
}
