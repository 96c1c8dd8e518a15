//! The simulated prober: looks at instances as they are.

use std::time::Duration;

use async_trait::async_trait;
use cutover::engine::port::{ProbeTarget, Prober, SmokeFailure};
use cutover_core::spec::{Check, WarmUp};

use super::{Call, Inner, Port};

pub(super) struct SimProber(pub(super) Port);

#[async_trait]
impl Prober for SimProber {
    async fn probe(&self, _: &Check, at: &ProbeTarget, _: Duration) -> Result<(), String> {
        let look = |inner: &mut Inner| {
            let now = inner.now();
            match inner.instances.get(&at.instance) {
                Some(found) if found.address != at.address => Err(format!("nobody listens on {}", at.address)),
                Some(found) if found.ended.is_some() => Err("connection refused".to_owned()),
                Some(found) if found.answers(now) => Ok(()),
                Some(_) => Err("503".to_owned()),
                None => Err("connection refused".to_owned()),
            }
        };
        self.0.call(Call::Probe, &|| at.instance.to_string(), |why| why, look).await
    }

    async fn warm_up(&self, _: &WarmUp, at: &ProbeTarget) {
        let _ = self.0.call(Call::WarmUp, &|| at.instance.to_string(), |why| why, |_| Ok(())).await;
    }

    async fn smoke(&self, _: &[String], at: &ProbeTarget, _: Duration) -> Result<(), SmokeFailure> {
        let failed = |summary: String| SmokeFailure { summary, log: Vec::new() };
        let run = |inner: &mut Inner| match inner.instances.get(&at.instance) {
            Some(found) if found.answers(inner.now()) && !found.life.smells => Ok(()),
            _ => Err(failed("exited with status 1".to_owned())),
        };
        self.0.call(Call::Smoke, &|| at.instance.to_string(), failed, run).await
    }
}
