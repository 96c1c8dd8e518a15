//! What the engine asks of whoever has figures about a release.

use async_trait::async_trait;
use cutover_core::spec::MetricSpec;
use cutover_core::{ReleaseNo, ServiceName};

/// Has figures.
#[async_trait]
pub trait Metrics: Send + Sync {
    /// One try, within the metric's own limit. `None` if there is no figure; `Err` tells in a lowercase fragment why nobody answered.
    async fn ask(&self, metric: &MetricSpec, of: &Subject) -> Result<Option<f64>, String>;
}

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The service.
    pub service: ServiceName,
    /// The release that is observed.
    pub release: ReleaseNo,
    /// The one that it replaces.
    pub previous: Option<ReleaseNo>,
}
