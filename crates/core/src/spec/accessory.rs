//! Long-lived neighbours of services: a database, a cache, an nginx.

use serde::{Deserialize, Serialize};

use super::{ContainerSpec, ReadySpec};
use crate::id::ServiceName;

/// A container that is started once and left alone: it has no releases and no route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessorySpec {
    /// Its name.
    pub name: ServiceName,
    /// The project it belongs to.
    pub project: String,
    /// What it is.
    pub container: ContainerSpec,
    /// When it counts as ready for those that depend on it.
    pub ready: ReadySpec,
    /// The accessories that must be ready before it is started.
    pub depends_on: Vec<ServiceName>,
}
