//! Compares the new release with the old one while a step observes it, from what the router counts of each instance.
//!
//! **Invariant (intent first).** What a look used of the false-alarm rate is durable before anybody acts on what it found.
//!
//! Latencies count only once the new release had time to settle: caches are empty at first, connections have to be made, and code that
//! is compiled while it runs is slow. Errors count from the first request on.

use std::time::Duration;

use cutover_core::histogram::Histogram;
use cutover_core::machine::{Deployment, Event, Instance, Judgement, Progress, ServiceState};
use cutover_core::plan::{Kind, Plan, Step};
use cutover_core::rule::verdict::{Baseline, Counts, Findings, Memory, Moment, Outcome, Reason, Sample, Share, judge};
use cutover_core::spec::{RolloutSpec, RouteSpec};
use cutover_core::stats::Stats;
use cutover_core::{Failure, InstanceId, ServiceName, Timestamp};

use super::super::Parts;
use super::super::port::JournalError;

/// How often one looks; which of these looks count is planned by the rule.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A step that ends sooner than this after the release has settled compares errors only: too few looks are left for more.
const LATEST_SETTLED: Duration = Duration::from_secs(1);

impl Parts {
    /// Ends when the new release is found worse.
    pub(super) async fn found_worse(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Failure {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(findings) = self.compare(service, instances, until).await
                && findings.outcome() == Outcome::Fail
            {
                return worse(&findings);
            }
        }
    }

    /// The last look, when the time is over: what is missing for a verdict, if anything is.
    pub(super) async fn last_look(
        &self,
        service: &ServiceName,
        instances: &[InstanceId],
        until: Timestamp,
    ) -> Result<Option<String>, Failure> {
        let Some(findings) = self.compare(service, instances, until).await else { return Ok(None) };
        match findings.outcome() {
            Outcome::Fail => Err(worse(&findings)),
            Outcome::NotEnoughData => Ok(Some(findings.reason.to_string())),
            Outcome::Pass => Ok(None),
        }
    }

    /// One look, if there is anything to compare. `None` where nothing can be said.
    async fn compare(&self, service: &ServiceName, instances: &[InstanceId], until: Timestamp) -> Option<Findings> {
        let state = self.ledger.state(service);
        let (step, deployment) = observing(&state)?;
        let release = self.release(service, instances.first()?.release).ok()?;
        let others = deployment.plan.retires();
        let rollout = &release.spec.rollout;
        let counts = release.spec.route.as_ref().is_some_and(RouteSpec::counts_answers);
        // No false alarm at all means no alarm.
        let judged = deployment.plan.kind == Kind::Deploy && rollout.verdict.false_alarm != Share::default();
        if !judged || !counts || others.is_empty() {
            return None;
        }
        let stats = self.stats_in_force().await?;
        let time = Time::of(deployment, step, until, self.now());
        let may_settle = rollout.settle + LATEST_SETTLED <= time.length;
        let now = (counted(&stats, instances), counted(&stats, &others));
        let Some(known) = deployment.judged.get(&step) else {
            let is_canary = |id: &InstanceId| state.instances.get(id).is_some_and(Instance::is_canary);
            let concurrent = instances.iter().any(is_canary);
            let begun = if concurrent { begin(now, Baseline::Concurrent) } else { begin(now, Baseline::Earlier) };
            let before = (!concurrent && may_settle).then(|| self.latency_before(&stats, &others));
            self.keep(service, step, with_latency(begun, before.flatten())).await.ok()?;
            return None;
        };
        let in_time = time.elapsed >= rollout.settle && time.elapsed < time.length;
        let settles = known.candidate.latency.is_none() && may_settle && in_time;
        if let Some(settled) = settles.then(|| settled(known, &now)).flatten() {
            self.keep(service, step, settled).await.ok()?;
            return None;
        }
        let moment = time.moment(&deployment.plan, rollout);
        let (findings, memory) = judge(&rollout.verdict, &known.memory, &moment, &sample(known, &now));
        if memory != known.memory {
            let (known, findings) = (known.clone(), Some(findings.clone()));
            self.keep(service, step, Judgement { memory, findings, ..known }).await.ok()?;
        }
        // Who asks again after the end gets the numbers of then.
        let ended = matches!(findings.reason, Reason::Ended { .. });
        Some(known.findings.clone().filter(|_| ended).unwrap_or(findings))
    }

    async fn keep(&self, service: &ServiceName, step: usize, judgement: Judgement) -> Result<(), JournalError> {
        let event = Event::Judged { step, judgement: Box::new(judgement) };
        self.note_at_work(service, step, event).await.map(drop)
    }

    /// Makes durable what a step that observes has come to, if it is still at work. Whether it was.
    pub(super) async fn note_at_work(
        &self,
        service: &ServiceName,
        step: usize,
        event: Event,
    ) -> Result<bool, JournalError> {
        let decided = self.ledger.decide(service, |_, state| {
            let at_work = observing(state).is_some_and(|(now, _)| now == step);
            Ok::<_, JournalError>(if at_work { vec![event] } else { Vec::new() })
        });
        decided.await.map(|noted| !noted.is_empty())
    }
}

/// The step that is at work, if it has begun.
pub(in crate::engine) fn observing(state: &ServiceState) -> Option<(usize, &Deployment)> {
    let deployment = state.deployment.as_ref()?;
    match deployment.progress {
        Progress::Forward { step, begun: Some(_) } => Some((step, deployment)),
        _ => None,
    }
}

/// How far a step is that observes.
struct Time {
    elapsed: Duration,
    length: Duration,
    /// How much of that was added because too little was seen.
    extended: Duration,
}

impl Time {
    fn of(deployment: &Deployment, step: usize, until: Timestamp, now: Timestamp) -> Self {
        let extended = deployment.extended.get(&step).copied().unwrap_or_default();
        let length = deployment.plan.steps[step].limit() + extended;
        Self { elapsed: length.saturating_sub(until.since(now)), length, extended }
    }

    /// What is added is a comparison of its own, with its own looks and its own part of the false-alarm rate, which is set aside
    /// from the beginning.
    fn moment(&self, plan: &Plan, rollout: &RolloutSpec) -> Moment {
        let observed = plan.steps.iter().filter(|step| matches!(step, Step::Watch { .. })).count();
        let comparisons = observed * if rollout.extend.is_zero() { 1 } else { 2 };
        let comparisons = u32::try_from(comparisons).unwrap_or(u32::MAX);
        match self.extended {
            Duration::ZERO => Moment { elapsed: self.elapsed, length: self.length, comparisons },
            added => {
                let planned = self.length.saturating_sub(added);
                Moment { elapsed: self.elapsed.saturating_sub(planned), length: added, comparisons }
            }
        }
    }
}

/// A comparison that begins now, in which latencies do not count yet.
fn begin((candidate, baseline): (Counts, Counts), kind: fn(Counts) -> Baseline) -> Judgement {
    let without = |counts: Counts| Counts { latency: None, ..counts };
    let (candidate, baseline) = (without(candidate), kind(without(baseline)));
    Judgement { candidate, baseline, memory: Memory::default(), findings: None }
}

/// With the latencies of the old release while it served alone.
fn with_latency(begun: Judgement, latency: Option<Histogram>) -> Judgement {
    let baseline = match begun.baseline {
        Baseline::Earlier(counts) => Baseline::Earlier(Counts { latency, ..counts }),
        other => other,
    };
    Judgement { baseline, ..begun }
}

/// The same comparison, with latencies counted from here on. `None` where the router does not measure them.
fn settled(known: &Judgement, now: &(Counts, Counts)) -> Option<Judgement> {
    if now.0.latency.is_none() && now.1.latency.is_none() {
        return None;
    }
    let from =
        |then: &Counts, now: &Counts| Counts { latency: Some(now.latency.clone().unwrap_or_default()), ..then.clone() };
    let baseline = match &known.baseline {
        Baseline::Concurrent(then) => Baseline::Concurrent(from(then, &now.1)),
        // Of a release whose answers were never measured there is nothing to compare with.
        Baseline::Earlier(then) if then.latency.is_none() => return None,
        other => other.clone(),
    };
    Some(Judgement { candidate: from(&known.candidate, &now.0), baseline, ..known.clone() })
}

/// What the router has counted of these.
fn counted(stats: &Stats, instances: &[InstanceId]) -> Counts {
    let found = instances.iter().filter_map(|id| stats.target(id));
    found.fold(Counts::default(), |sum, target| Counts {
        requests: sum.requests + target.served + target.failed,
        errors: sum.errors + target.errors + target.failed,
        latency: together(sum.latency, target.latency.as_ref()),
    })
}

/// Both laid together.
pub(in crate::engine) fn together(sum: Option<Histogram>, more: Option<&Histogram>) -> Option<Histogram> {
    let Some(more) = more else { return sum };
    let mut sum = sum.unwrap_or_default();
    sum.add(more);
    Some(sum)
}

/// What was counted since it began.
fn sample(known: &Judgement, now: &(Counts, Counts)) -> Sample {
    let candidate = since(&now.0, &known.candidate);
    let baseline = match &known.baseline {
        Baseline::Concurrent(then) => Baseline::Concurrent(since(&now.1, then)),
        Baseline::Earlier(counts) if known.candidate.latency.is_none() => {
            Baseline::Earlier(Counts { latency: None, ..counts.clone() })
        }
        other => other.clone(),
    };
    Sample { candidate, baseline }
}

/// What came on top. A counter that began anew counts from zero; that it did is seen by the rule.
fn since(now: &Counts, then: &Counts) -> Counts {
    let latency = now.latency.as_ref().zip(then.latency.as_ref()).map(|(now, then)| now.since(then));
    if now.requests < then.requests || now.errors < then.errors {
        return Counts { latency, ..now.clone() };
    }
    Counts { requests: now.requests - then.requests, errors: now.errors - then.errors, latency }
}

fn worse(findings: &Findings) -> Failure {
    let what = findings.worse().unwrap_or_else(|| findings.reason.to_string());
    Failure::new(format!("the new release is worse: {what}")).hint("`cutover verdict explain` shows the numbers")
}

#[cfg(test)]
mod tests;
