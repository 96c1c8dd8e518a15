//! How a service moves from one release to the next.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Hook, HookSpec, MetricSpec};
use crate::pin::PinBy;
use crate::rule::verdict;
use crate::table::Hold;
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
    /// The whole deployment, up to the end of the watch, must end within this time, or it is undone. The holds of a canary do not
    /// count.
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
    /// When the new release counts as worse than the old one, while it is observed.
    pub verdict: verdict::Limits,
    /// How long the new release may take to come up to speed, each time it gets traffic or more of it: its latencies count only from
    /// then on.
    #[serde(with = "duration")]
    pub settle: Duration,
    /// Figures of others that must be good, too.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricSpec>,
    /// How much longer a release is observed, once in each step, when too little was seen to say whether it is worse.
    #[serde(with = "duration", skip_serializing_if = "Duration::is_zero")]
    pub extend: Duration,
    /// What happens when too little was seen to say so.
    pub undecided: Undecided,
    /// Whether a deployment is refused for which memory seems to be missing.
    pub check_memory: bool,
    /// Once this release has committed, no roll back leads past it: the releases before it cannot work with what it has changed.
    pub no_rollback_past: bool,
    /// Commands at certain places of a deployment.
    pub hooks: BTreeMap<Hook, HookSpec>,
}

/// What happens when too little was seen for a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Undecided {
    /// It goes on: nothing was found.
    #[default]
    Promote,
    /// It is turned back: nothing was proved.
    RollBack,
    /// It stands still until a person says which of both.
    Ask,
}

/// The strategy of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// All new instances beside all old ones, then all traffic at once.
    #[default]
    BlueGreen,
    /// A few instances at a time.
    Rolling(Rolling),
    /// A share of the traffic first, then more, then all of it.
    Canary(Canary),
    /// The old ones end before the new ones start; requests wait meanwhile.
    Recreate(Hold),
}

impl Strategy {
    /// Its name, as it is written in a configuration.
    pub fn name(&self) -> &'static str {
        match self {
            Self::BlueGreen => "blue_green",
            Self::Rolling(_) => "rolling",
            Self::Canary(_) => "canary",
            Self::Recreate(_) => "recreate",
        }
    }

    /// How many instances run at the same time while so many replace as many: for those who must give each a place.
    pub fn most(&self, replicas: usize) -> usize {
        match self {
            Self::BlueGreen | Self::Canary(_) => 2 * replicas,
            Self::Rolling(rolling) => replicas + rolling.max_surge.rounded_up(replicas).min(replicas),
            Self::Recreate(_) => replicas,
        }
    }
}

/// How many instances are replaced at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rolling {
    /// How many at a time.
    pub batch: Amount,
    /// How many more than wanted may run at a time.
    pub max_surge: Amount,
    /// How many fewer than wanted may serve at a time.
    pub max_unavailable: Amount,
    /// How many must serve at any time; as many as the two above leave, if not given.
    pub min_ready: Option<u16>,
}

/// So many, or such a part of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// So many.
    Count(u16),
    /// So many of a hundred.
    Percent(u8),
}

impl Amount {
    /// How many of so many, a fraction counting as one more.
    pub fn rounded_up(self, of: usize) -> usize {
        match self {
            Self::Count(count) => usize::from(count),
            Self::Percent(percent) => (of * usize::from(percent)).div_ceil(100),
        }
    }

    /// How many of so many, a fraction counting nothing.
    pub fn rounded_down(self, of: usize) -> usize {
        match self {
            Self::Count(count) => usize::from(count),
            Self::Percent(percent) => of * usize::from(percent) / 100,
        }
    }
}

/// The shares of a canary, one after the other. All of the traffic follows the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The shares, each greater than the one before.
    pub steps: Vec<Share>,
    /// What a client is told apart by, so that it stays with one release; without it a share is one of requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<PinBy>,
}

/// A share of the traffic, and for how long it is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// So many of a hundred requests, or clients; 1 to 99.
    pub percent: u8,
    /// For so long.
    #[serde(with = "duration")]
    pub time: Duration,
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
            verdict: verdict::Limits::default(),
            settle: Duration::from_secs(30),
            metrics: Vec::new(),
            extend: Duration::ZERO,
            undecided: Undecided::Promote,
            check_memory: true,
            no_rollback_past: false,
            hooks: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_rounds_as_it_is_meant() {
        assert_eq!((Amount::Percent(25).rounded_up(3), Amount::Percent(25).rounded_down(3)), (1, 0));
        assert_eq!((Amount::Percent(50).rounded_up(4), Amount::Percent(50).rounded_down(4)), (2, 2));
        assert_eq!((Amount::Count(3).rounded_up(2), Amount::Percent(100).rounded_down(7)), (3, 7));
    }

    /// Releases are kept for years: a specification written before there were other strategies still reads.
    #[test]
    fn the_strategy_is_a_word_or_a_table() {
        let read = |text: &str| serde_json::from_str::<Strategy>(text).unwrap();
        assert_eq!(read("\"blue_green\""), Strategy::BlueGreen);
        let steps = vec![Share { percent: 5, time: Duration::from_secs(60) }];
        for by in [None, Some(PinBy::Cookie), Some(PinBy::Header("X-User".to_owned()))] {
            let canary = Strategy::Canary(Canary { steps: steps.clone(), by });
            assert_eq!(read(&serde_json::to_string(&canary).unwrap()), canary);
        }
        let old = read(r#"{"canary": {"steps": [{"percent": 5, "time": "1m"}]}}"#);
        assert_eq!(old, Strategy::Canary(Canary { steps, by: None }));
    }
}
