//! Holds the figures of others against their bounds while a new release is observed.
//!
//! A figure that nobody gives says nothing, neither good nor bad. What was found is durable before anybody acts on it; only what
//! differs from the answer before is written down.

use cutover_core::machine::Event;
use cutover_core::plan::Kind;
use cutover_core::rule::verdict::Outcome;
use cutover_core::spec::MetricSpec;
use cutover_core::{Failure, InstanceId, ServiceName};
use futures_util::future::{join_all, select_all};

use super::super::port::Subject;
use super::super::{Parts, RETRY};
use super::judge::observing;

/// The metrics of a release that is observed, and what is asked about.
struct Asking {
    metrics: Vec<MetricSpec>,
    subject: Subject,
    step: usize,
}

impl Parts {
    /// Ends when a figure is out of its bounds; never, if there is none.
    pub(super) async fn found_outside(&self, service: &ServiceName, instances: &[InstanceId]) -> Failure {
        let Some(asking) = self.asking(service, instances) else { return std::future::pending().await };
        let each = asking.metrics.iter().map(|metric| Box::pin(self.ask_often(service, &asking, metric)));
        select_all(each).await.0
    }

    /// Asks once more when the time is over: all of them must say something good, or nothing. What is missing, if anything is.
    pub(super) async fn last_answers(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
    ) -> Result<Option<String>, Failure> {
        let Some(asking) = self.asking(service, instances) else { return Ok(None) };
        let asked = asking.metrics.iter().map(|metric| self.ask(service, &asking, metric, None));
        let answers = join_all(asked).await;
        let mut open = None;
        for (metric, (outcome, said)) in asking.metrics.iter().zip(answers) {
            match outcome {
                Outcome::Fail => return Err(outside(metric, &said)),
                Outcome::NotEnoughData => open = open.or(Some(format!("{}: {said}", metric.name))),
                Outcome::Pass => {}
            }
        }
        Ok(open)
    }

    async fn ask_often(&self, service: &ServiceName, asking: &Asking, metric: &MetricSpec) -> Failure {
        let mut before = None;
        loop {
            tokio::time::sleep(metric.every).await;
            let (outcome, said) = self.ask(service, asking, metric, before).await;
            if outcome == Outcome::Fail {
                return outside(metric, &said);
            }
            before = Some(outcome);
        }
    }

    /// One answer: what it means, and how that reads.
    async fn ask(
        &self,
        service: &ServiceName,
        asking: &Asking,
        metric: &MetricSpec,
        before: Option<Outcome>,
    ) -> (Outcome, String) {
        let answer = self.world.metrics.ask(metric, &asking.subject).await;
        let value = answer.as_ref().ok().copied().flatten();
        let (outcome, mut said) = (metric.bounds.judge(value), metric.bounds.explain(value));
        if let Err(reason) = answer {
            said = format!("{said} ({reason})");
        }
        if before != Some(outcome) {
            let (step, metric) = (asking.step, metric.name.clone());
            let event = Event::Asked { step, metric, outcome, said: said.clone() };
            while self.note_at_work(service, step, event.clone()).await.is_err() {
                if outcome != Outcome::Fail {
                    return (Outcome::NotEnoughData, said);
                }
                // What is bad is not forgotten because it cannot be written down now: nothing else can be either.
                tokio::time::sleep(RETRY).await;
            }
        }
        (outcome, said)
    }

    fn asking(&self, service: &ServiceName, instances: &[InstanceId]) -> Option<Asking> {
        let state = self.ledger.state(service);
        let (step, deployment) = observing(&state)?;
        let release = self.release(service, instances.first()?.release).ok()?;
        let rollout = &release.spec.rollout;
        if deployment.plan.kind != Kind::Deploy || rollout.metrics.is_empty() {
            return None;
        }
        let subject = Subject { service: service.clone(), release: release.number, previous: deployment.plan.from };
        Some(Asking { metrics: rollout.metrics.clone(), subject, step })
    }
}

fn outside(metric: &MetricSpec, said: &str) -> Failure {
    Failure::new(format!("{} is out of its bounds: {said}", metric.name))
        .hint("`cutover verdict explain` shows what was answered")
}
