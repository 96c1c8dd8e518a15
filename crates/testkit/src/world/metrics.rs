//! Those who are asked for figures: what they say stands in the name of the figure.

use std::time::Duration;

use async_trait::async_trait;
use cutover::engine::port::{Metrics, Subject};
use cutover_core::spec::MetricSpec;

use crate::fixture::Figure;

/// How long an answer takes.
const TAKES: Duration = Duration::from_millis(30);

pub(super) struct SimMetrics;

#[async_trait]
impl Metrics for SimMetrics {
    async fn ask(&self, metric: &MetricSpec, _: &Subject) -> Result<Option<f64>, String> {
        tokio::time::sleep(TAKES).await;
        match Figure::of(metric) {
            Some(Figure::Good) => Ok(Some(0.5)),
            Some(Figure::Bad) => Ok(Some(2.0)),
            Some(Figure::Silent) => Ok(None),
            None => Err(format!("nobody knows {}", metric.name)),
        }
    }
}
