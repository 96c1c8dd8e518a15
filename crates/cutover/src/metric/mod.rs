//! Figures of others: asks a Prometheus, an HTTP endpoint or a command for one number.
//!
//! **Invariant.** Whoever is down, slow, or answers with anything but a number gives no figure: never a good one and never a bad one.
//!
//! Deliberately absent: credentials. An address here is no secret, and a command may have any it likes.

mod command;
mod http;
mod prometheus;

use async_trait::async_trait;
use cutover_core::spec::{MetricSource, MetricSpec};
use cutover_core::unit::duration;

use crate::engine::port::{Metrics, Subject};

/// Asks over the network and on this machine.
#[derive(Debug, Clone, Copy)]
pub struct NetMetrics;

#[async_trait]
impl Metrics for NetMetrics {
    async fn ask(&self, metric: &MetricSpec, of: &Subject) -> Result<Option<f64>, String> {
        let asked = async {
            match &metric.source {
                MetricSource::Prometheus { url, query } => prometheus::ask(url, &filled(query, of)).await,
                MetricSource::Http { url, field } => http::ask(&filled(url, of), field.as_deref()).await,
                MetricSource::Command(words) => command::ask(words, of, metric.timeout).await,
            }
        };
        let late = || format!("no answer within {}", duration::text(metric.timeout));
        tokio::time::timeout(metric.timeout, asked).await.unwrap_or_else(|_| Err(late()))
    }
}

/// A text with what is asked about in its places.
fn filled(text: &str, of: &Subject) -> String {
    let previous = of.previous.map(|release| release.to_string()).unwrap_or_default();
    text.replace("{service}", of.service.as_str())
        .replace("{release}", &of.release.to_string())
        .replace("{previous}", &previous)
}

/// A number as people and programs write it. An empty text is no figure; another one that is no number is a mistake.
fn number(text: &str) -> Result<Option<f64>, String> {
    let text = text.trim();
    match text.parse() {
        _ if text.is_empty() => Ok(None),
        Ok(number) => Ok(Some(number)),
        Err(_) => Err(format!("it answers {:?}, which is no number", text.chars().take(100).collect::<String>())),
    }
}
