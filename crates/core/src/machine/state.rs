//! The state of one service, as its events tell it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::event::{Judgement, Outcome};
use crate::failure::Failure;
use crate::id::{DeploymentId, InstanceId, ReleaseNo, ServiceName};
use crate::plan::{Kind, Plan};
use crate::proof::Baseline;
use crate::rules::Maintenance;
use crate::table::Mode;
use crate::unit::Timestamp;

/// Everything that is known about one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Its name.
    pub name: ServiceName,
    /// The releases it has had, but those removed.
    pub releases: BTreeMap<ReleaseNo, ReleaseState>,
    /// The release that serves, if one does.
    pub live: Option<ReleaseNo>,
    /// The release whose route is in force at the router.
    pub routed: Option<ReleaseNo>,
    /// Every instance that may exist, and those that ended and are kept for inspection.
    pub instances: BTreeMap<InstanceId, Instance>,
    /// The deployment that is running or stuck.
    pub deployment: Option<Deployment>,
    /// A lock that a person set.
    pub lock: Option<Lock>,
    /// The last number given to an instance.
    pub last_instance: u32,
    /// The last number given to a release.
    pub last_release: ReleaseNo,
    /// How the last deployment ended.
    pub last: Option<Last>,
    /// Whether the service was removed; nothing of it is left but its history.
    pub removed: bool,
    /// The newest release that has closed the way back to those before it.
    #[serde(default)]
    pub not_before: Option<ReleaseNo>,
    /// Since when its clients get a page instead of answers, if somebody took it down for maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Down>,
}

/// What is known about a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseState {
    /// The deployment that made it.
    pub deployment: DeploymentId,
    /// When.
    pub made: Timestamp,
    /// The digest of its content, if it has one.
    pub fingerprint: Option<String>,
    /// How it fared.
    pub mark: Mark,
    /// Whether it has had any traffic.
    #[serde(default)]
    pub tried: bool,
}

/// How a release fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It has not served yet.
    New,
    /// It serves, or has served until another took over. Something to roll back to.
    Good,
    /// Its deployment was undone because something failed.
    Failed,
    /// Its deployment was undone because somebody asked.
    Aborted,
    /// It served, and somebody went back from it. Only named explicitly is it taken again.
    RolledBack,
}

/// What is known about an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// Its own address, once it was started.
    pub address: Option<SocketAddr>,
    /// What it is there for.
    pub duty: Duty,
    /// How often it was started again because it died while serving.
    pub attempt: u32,
    /// Since when it is down, and how it ended; `None` while it is up.
    pub down: Option<(Timestamp, String)>,
}

/// What an instance is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Duty {
    /// Being started and probed; the router does not know it.
    Starting,
    /// The router knows it, without traffic.
    Registered,
    /// It takes a part of the traffic, together with the others of its release.
    Canary {
        /// How many of a hundred requests.
        percent: u8,
    },
    /// It takes its share of the traffic.
    Serving,
    /// It gets nothing new, but stays ready to take the traffic back.
    Standby,
    /// It makes room for another before the deployment has committed: it stops when its streams have ended, at the latest at this
    /// time, and is started again if the deployment is turned back.
    Resting {
        /// The stream limit.
        until: Timestamp,
    },
    /// It stops when its streams have ended, at the latest at this time.
    Retiring {
        /// The stream limit.
        until: Timestamp,
    },
    /// It has been stopped. Its logs are kept for a while.
    Gone,
}

impl Instance {
    /// What the router should do with it; `None` if it should not know it.
    pub fn mode(&self) -> Option<Mode> {
        match self.duty {
            Duty::Starting | Duty::Gone => None,
            Duty::Registered => Some(Mode::Registered),
            Duty::Serving | Duty::Canary { .. } if self.down.is_some() => Some(Mode::Draining),
            Duty::Serving | Duty::Canary { .. } => Some(Mode::Serving { weight: 1 }),
            Duty::Standby | Duty::Resting { .. } | Duty::Retiring { .. } => Some(Mode::Draining),
        }
    }

    /// Whether it should be running. One that rests may still have to finish something.
    pub fn should_run(&self) -> bool {
        self.duty != Duty::Gone
    }

    /// Whether it is one of those that a canary's traffic goes to.
    pub fn is_canary(&self) -> bool {
        matches!(self.duty, Duty::Canary { .. })
    }

    /// Whether it is to be started again when it dies.
    pub fn is_kept_alive(&self) -> bool {
        matches!(self.duty, Duty::Serving | Duty::Standby)
    }
}

/// A deployment that is running or stuck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// Its id.
    pub id: DeploymentId,
    /// What is done.
    pub plan: Plan,
    /// Who asked.
    pub by: String,
    /// Since when.
    pub began: Timestamp,
    /// When it is undone if it has not committed.
    pub deadline: Timestamp,
    /// The release whose route was in force before it, for the way back.
    pub routed_before: Option<ReleaseNo>,
    /// How far it is.
    pub progress: Progress,
    /// What the router had counted when it began.
    pub baseline: Option<Box<Baseline>>,
    /// How often the proxy was gone and came back since then.
    pub router_returns: u32,
    /// Since when it goes no further, and who asked for that.
    #[serde(default)]
    pub paused: Option<(Timestamp, String)>,
    /// Whether the holds that are left are passed over.
    #[serde(default)]
    pub promoted: bool,
    /// The comparisons of the new release with the old one, by step.
    #[serde(default)]
    pub judged: BTreeMap<usize, Judgement>,
    /// The steps that observe for longer than was planned, and by how much.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extended: BTreeMap<usize, Duration>,
    /// The steps that a person was asked about, because too little was seen for a verdict.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub asked: BTreeSet<usize>,
}

impl Deployment {
    /// It goes on; the time that it stood still does not count against its deadline.
    pub(super) fn resume(&mut self, now: Timestamp) {
        if let Some((since, _)) = self.paused.take() {
            self.deadline = self.deadline + now.since(since);
        }
    }

    /// A step observes for longer, which does not count against the deadline. The comparison goes on as a second one.
    pub(super) fn extend(&mut self, step: usize, by: Duration) {
        self.extended.insert(step, by);
        self.deadline = self.deadline + by;
        if let Some(judgement) = self.judged.get_mut(&step) {
            judgement.memory = judgement.memory.again();
        }
    }

    /// Whether no further step begins. One that keeps requests waiting goes on: they do not wait for ever.
    pub fn stands_still(&self) -> bool {
        self.paused.is_some() && self.plan.hold.is_none()
    }

    /// Whether this step, which observes the new release, is the last before a commit that others take part in.
    pub fn observes_last(&self, step: usize) -> bool {
        self.plan.together && step + 1 == self.plan.commit()
    }

    /// Whether its holds are passed over from here on.
    pub fn passes_over(&self, step: usize) -> bool {
        self.promoted && step < self.plan.last_shift()
    }
}

/// How far a deployment is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "progress", rename_all = "snake_case")]
pub enum Progress {
    /// Carrying out the plan.
    Forward {
        /// The step that is next, or begun.
        step: usize,
        /// Whether it has begun, and when it must have ended.
        begun: Option<Timestamp>,
    },
    /// Undoing it.
    Undoing {
        /// The step that is undone next, or being undone.
        step: usize,
        /// Whether its undo has begun, and when that must have ended.
        begun: Option<Timestamp>,
        /// Why.
        failure: Failure,
        /// Whether somebody asked for it.
        aborted: bool,
    },
    /// All steps are undone. What is left are the hooks that run then ([`Plan::closing`]).
    Undone {
        /// Why.
        failure: Failure,
        /// Whether somebody asked for it.
        aborted: bool,
        /// How many of the hooks have ended.
        hook: usize,
        /// Whether the next has begun, and when it must have ended.
        begun: Option<Timestamp>,
    },
    /// An undo failed; a person must look.
    Stuck {
        /// The step whose undo failed.
        step: usize,
        /// Why it was being undone.
        failure: Failure,
        /// Whether somebody asked for that.
        aborted: bool,
        /// Why that failed.
        undo: Failure,
    },
}

/// A lock that a person set. It ends by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when at most.
    pub until: Timestamp,
}

/// A service that somebody took down for maintenance. It ends when somebody says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Down {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// What clients get, where that differs from what is configured.
    pub settings: Maintenance,
}

/// How the last deployment ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Last {
    /// Which.
    pub deployment: DeploymentId,
    /// What was asked for.
    pub kind: Kind,
    /// When it ended.
    pub at: Timestamp,
    /// How.
    pub outcome: Outcome,
}

impl ServiceState {
    /// A service that nothing has happened to.
    pub fn new(name: ServiceName) -> Self {
        Self {
            name,
            releases: BTreeMap::new(),
            live: None,
            routed: None,
            instances: BTreeMap::new(),
            deployment: None,
            lock: None,
            last_instance: 0,
            last_release: ReleaseNo(0),
            last: None,
            removed: false,
            not_before: None,
            maintenance: None,
        }
    }

    /// The instances with a duty that satisfies `of`, in the order of their numbers.
    pub fn instances_with(&self, of: impl Fn(&Instance) -> bool) -> Vec<InstanceId> {
        self.instances.iter().filter(|(_, instance)| of(instance)).map(|(id, _)| id.clone()).collect()
    }

    /// The instances that take traffic, whether up or down.
    pub fn serving(&self) -> Vec<InstanceId> {
        self.instances_with(|instance| instance.duty == Duty::Serving)
    }

    /// The lock, if one holds at this time.
    pub fn lock_at(&self, now: Timestamp) -> Option<&Lock> {
        self.lock.as_ref().filter(|lock| now < lock.until)
    }

    /// The good releases other than the live one, newest first: what a roll back without arguments chooses from.
    pub fn earlier_releases(&self) -> Vec<ReleaseNo> {
        let good = |(no, release): &(&ReleaseNo, &ReleaseState)| release.mark == Mark::Good && Some(**no) != self.live;
        self.releases.iter().filter(good).map(|(no, _)| *no).rev().collect()
    }

    /// The releases that have served and are kept, oldest first: what can be named to roll back to.
    pub fn kept_releases(&self) -> Vec<ReleaseNo> {
        let served = |mark| matches!(mark, Mark::Good | Mark::RolledBack);
        self.releases.iter().filter(|(_, release)| served(release.mark)).map(|(no, _)| *no).collect()
    }
}
