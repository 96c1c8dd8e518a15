//! What a user asks for, after the configuration has been read and checked: one [`ServiceSpec`] per service.
//!
//! A specification is plain data with every default filled in, so that the release made from it can be started again years
//! later without looking anything up. How it is written in TOML is the business of the configuration reader.

mod probe;
mod process;
mod rollout;
mod route;
mod secret;

use serde::{Deserialize, Serialize};

pub use probe::{Check, ReadySpec, WarmUp};
pub use process::{LimitSpec, LogSpec, Ports, ProcessSpec, RestartSpec, StopSpec};
pub use rollout::{RolloutSpec, Strategy};
pub use route::{RouteKind, RouteSpec};
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
    pub process: ProcessSpec,
    /// How many instances; at least 1.
    pub replicas: u16,
    /// When an instance counts as ready.
    pub ready: ReadySpec,
    /// Which traffic it gets; `None` for a worker.
    pub route: Option<RouteSpec>,
    /// How it moves from one release to the next.
    pub rollout: RolloutSpec,
}
