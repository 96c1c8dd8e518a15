//! What a user asks for, after the configuration has been read and checked: one [`ServiceSpec`] per service.
//!
//! A specification is plain data with every default filled in, so that the release made from it can be started again years
//! later without looking anything up. How it is written in TOML is the business of the configuration reader.

mod accessory;
mod build;
mod container;
mod hook;
mod metric;
mod nginx;
mod notify;
mod probe;
mod process;
mod rollout;
mod route;
mod run;
mod secret;

use serde::{Deserialize, Serialize};

pub use accessory::AccessorySpec;
pub use build::BuildSpec;
pub use container::{
    Attachment, ComposeOrigin, ContainerSpec, HealthSpec, HostSpec, ImageSpec, LogDriver, Login, Mount, MountKind,
    NetworkSpec, Pull, Reach,
};
pub use hook::{Hook, HookSpec};
pub use metric::{MetricSource, MetricSpec};
pub use nginx::{NginxAt, NginxProgram, NginxRoute, NginxShape};
pub use notify::{NotifySpec, Occasion, SinkSpec, Way};
pub use probe::{Check, ReadySpec, WarmUp};
pub use process::{LimitSpec, LogSpec, Ports, ProcessSpec, RestartSpec, StopSpec};
pub use rollout::{Amount, Canary, Rolling, RolloutSpec, Share, Strategy, Undecided};
pub use route::{ProxyRoute, RouteKind, RouteSpec};
pub use run::{Places, RunSpec};
pub use secret::Secret;

use crate::id::ServiceName;

/// Everything about one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its name.
    pub name: ServiceName,
    /// The project it belongs to.
    pub project: String,
    /// How its instances run.
    pub run: RunSpec,
    /// How many instances; at least 1.
    pub replicas: u16,
    /// When an instance counts as ready.
    pub ready: ReadySpec,
    /// Which traffic it gets; `None` for a worker.
    pub route: Option<RouteSpec>,
    /// How it moves from one release to the next.
    pub rollout: RolloutSpec,
}

impl ServiceSpec {
    /// Whether its instances are to listen somewhere: for traffic, or for the check alone.
    pub fn listens(&self) -> bool {
        self.route.is_some()
            || matches!(self.ready.check, Check::Http { .. } | Check::FastCgi { .. } | Check::Grpc { .. } | Check::Tcp)
    }

    /// The same without the login for its image's registry: some are made anew for each call, and change nothing of what runs.
    pub fn without_login(&self) -> Self {
        let mut spec = self.clone();
        if let RunSpec::Container(container) = &mut spec.run {
            container.image.login = None;
        }
        spec
    }
}
