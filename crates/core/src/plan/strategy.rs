//! How the traffic moves from the old instances to the new ones: one function for each strategy, all made of the same steps.
//!
//! **Invariant (someone serves).** Whoever is taken out of the traffic is so after somebody else has it, or while enough others
//! have it; but in `recreate`, where requests wait at the proxy.

use std::time::Duration;

use super::make::bring_up;
use super::{Refusal, Step};
use crate::id::InstanceId;
use crate::pin::PinBy;
use crate::spec::{Canary, Rolling, RouteKind, RouteSpec, ServiceSpec, Strategy};

/// What moves.
pub(super) struct Move<'a> {
    /// Those that are to serve.
    pub(super) new: &'a [InstanceId],
    /// Those that serve.
    pub(super) old: &'a [InstanceId],
    /// What the new ones are.
    pub(super) spec: &'a ServiceSpec,
}

impl Move<'_> {
    /// The steps until all traffic is on the new ones and the old ones have drained.
    pub(super) fn steps(&self, strategy: &Strategy) -> Vec<Step> {
        match strategy {
            _ if self.old.is_empty() => self.at_once(),
            Strategy::BlueGreen => self.at_once(),
            Strategy::Rolling(rolling) => self.rolling(rolling),
            Strategy::Canary(canary) => self.canary(canary),
            Strategy::Recreate(_) => self.recreate(),
        }
    }

    /// All new ones beside all old ones, then all traffic.
    fn at_once(&self) -> Vec<Step> {
        let mut steps = bring_up(self.new, self.spec, true);
        steps.extend(self.shift(self.new, self.old));
        steps
    }

    /// The old ones end, then the new ones start. Requests wait from the first shift to the second.
    fn recreate(&self) -> Vec<Step> {
        let mut steps = self.shift(&[], self.old);
        // Everybody waits: streams are told at once.
        steps.push(Step::Rest { instances: self.old.to_vec(), streams: Duration::ZERO });
        steps.extend(bring_up(self.new, self.spec, true));
        steps.extend(self.shift(self.new, &[]));
        steps
    }

    fn canary(&self, canary: &Canary) -> Vec<Step> {
        let (mut steps, mut started) = (Vec::new(), 0);
        for share in &canary.steps {
            let wanted = sized(share.percent, self.new.len());
            if wanted > started {
                steps.extend(bring_up(&self.new[started..wanted], self.spec, started == 0));
                started = wanted;
            }
            let instances = self.new[..started].to_vec();
            steps.push(Step::Weigh { instances: instances.clone(), percent: share.percent });
            steps.push(Step::Watch { instances, time: share.time });
        }
        if started < self.new.len() {
            steps.extend(bring_up(&self.new[started..], self.spec, started == 0));
        }
        steps.extend(self.shift(self.new, self.old));
        steps
    }

    fn rolling(&self, rolling: &Rolling) -> Vec<Step> {
        let batches = self.batches(rolling);
        let mut steps = Vec::new();
        for (index, batch) in batches.iter().enumerate() {
            if !batch.first_out.is_empty() {
                steps.extend(self.shift(&[], batch.first_out));
                steps.push(self.rest(batch.first_out));
            }
            if !batch.new.is_empty() {
                steps.extend(bring_up(batch.new, self.spec, index == 0));
            }
            steps.extend(self.shift(batch.new, batch.then_out));
            // The last ones stand by through the watch: nobody needs their room.
            if index + 1 < batches.len() && !batch.then_out.is_empty() {
                steps.push(self.rest(batch.then_out));
            }
        }
        steps
    }

    /// Who is replaced by whom, batch by batch.
    fn batches(&self, rolling: &Rolling) -> Vec<Batch<'_>> {
        let limits = Limits::of(rolling, self.new.len());
        let count = self.new.len().max(self.old.len()).div_ceil(limits.batch);
        let part = |all: &'_ [InstanceId], index: usize| {
            let from = (index * limits.batch).min(all.len());
            from..(from + limits.batch).min(all.len())
        };
        let batch = |index| {
            let (new, old) = (&self.new[part(self.new, index)], &self.old[part(self.old, index)]);
            let (first_out, then_out) = old.split_at(new.len().saturating_sub(limits.surge).min(old.len()));
            Batch { new, first_out, then_out }
        };
        (0..count).map(batch).collect()
    }

    fn shift(&self, to: &[InstanceId], from: &[InstanceId]) -> Vec<Step> {
        let shift = (!to.is_empty() || !from.is_empty()).then(|| Step::Shift { to: to.to_vec(), from: from.to_vec() });
        let drain =
            (!from.is_empty()).then(|| Step::Drain { instances: from.to_vec(), within: self.spec.rollout.drain });
        shift.into_iter().chain(drain).collect()
    }

    /// Their streams have no longer than a request: others wait for the room.
    fn rest(&self, instances: &[InstanceId]) -> Step {
        let rollout = &self.spec.rollout;
        Step::Rest { instances: instances.to_vec(), streams: rollout.stream_drain.min(rollout.drain) }
    }

    /// How many more than now run at the same time, at most.
    pub(super) fn surge(&self, strategy: &Strategy) -> usize {
        let (mut running, mut most) = (self.old.len(), self.old.len());
        for step in self.steps(strategy) {
            match step {
                Step::Start { instances } => running += instances.len(),
                Step::Rest { instances, .. } => running -= instances.len(),
                _ => {}
            }
            most = most.max(running);
        }
        most - self.old.len()
    }

    /// What the user should know of a strategy beforehand.
    pub(super) fn notes(&self, strategy: &Strategy) -> Vec<String> {
        if self.old.is_empty() {
            return Vec::new();
        }
        let both = "both releases serve side by side meanwhile: they must get along with the same data".to_owned();
        match strategy {
            Strategy::BlueGreen => Vec::new(),
            Strategy::Canary(_) => vec![both],
            Strategy::Recreate(hold) if self.spec.route.is_some() => vec![format!(
                "requests wait at the proxy while nothing runs, {} of them for {} at most; streams are closed",
                hold.requests,
                crate::unit::duration::text(hold.wait)
            )],
            Strategy::Recreate(_) => vec!["nothing of it runs between the two releases".to_owned()],
            Strategy::Rolling(rolling) => {
                let fewest = self.fewest(rolling);
                let load = (fewest < self.old.len()).then(|| {
                    let times = self.old.len() as f64 / fewest.max(1) as f64;
                    format!("at times {fewest} of {} serve, each with {times:.1} times its load", self.old.len())
                });
                [Some(both), load].into_iter().flatten().collect()
            }
        }
    }

    /// How many serve when the fewest do.
    fn fewest(&self, rolling: &Rolling) -> usize {
        let (mut serving, mut fewest) = (self.old.len(), self.old.len());
        for batch in self.batches(rolling) {
            serving -= batch.first_out.len();
            fewest = fewest.min(serving);
            serving = serving + batch.new.len() - batch.then_out.len();
            fewest = fewest.min(serving);
        }
        fewest
    }

    /// Refuses what this service or its router cannot do.
    pub(super) fn check(&self, strategy: &Strategy) -> Result<(), Refusal> {
        let refuse = |reason: String| Refusal::Strategy {
            service: self.spec.name.clone(),
            strategy: strategy.name().to_owned(),
            reason,
        };
        let nginx = match &self.spec.route {
            Some(RouteSpec::Nginx(nginx)) => Some(nginx),
            _ => None,
        };
        let is_tcp = matches!(&self.spec.route, Some(RouteSpec::Proxy(route)) if route.kind == RouteKind::Tcp);
        match strategy {
            Strategy::Canary(_) if self.spec.route.is_none() => {
                Err(refuse("it has no route, so there is no traffic to share".to_owned()))
            }
            Strategy::Canary(Canary { by: Some(by @ (PinBy::Cookie | PinBy::Header(_))), .. }) if is_tcp => {
                let what = if *by == PinBy::Cookie { "cookies" } else { "headers" };
                Err(refuse(format!("its route is TCP, and connections have no {what} to tell clients apart by")))
            }
            Strategy::Canary(Canary { by: Some(_), .. }) if nginx.is_some() => Err(refuse(
                "an nginx switches its traffic, which shares out requests and not clients: leave out `by`, or let nginx \
                 pass everything to cutover's proxy"
                    .to_owned(),
            )),
            Strategy::Canary(_) if nginx.is_some_and(|nginx| !nginx.shape.weighs()) => Err(refuse(
                "an nginx switches its traffic, and only an `upstream` in a file of cutover's has shares".to_owned(),
            )),
            Strategy::Recreate(_) if nginx.is_some() => Err(refuse(
                "an nginx sends its traffic, and nginx answers 502 while nothing runs: it cannot let requests wait"
                    .to_owned(),
            )),
            Strategy::Rolling(rolling) if !self.old.is_empty() => {
                let fewest = self.fewest(rolling);
                let (wanted, total) = (rolling.min_ready.map_or(1, usize::from).max(1), self.old.len());
                if fewest >= wanted {
                    return Ok(());
                }
                Err(refuse(format!("of {total} that serve, {fewest} would at times, but {wanted} must")))
            }
            _ => Ok(()),
        }
    }
}

/// One batch.
struct Batch<'a> {
    new: &'a [InstanceId],
    /// Those that make room before the new ones start.
    first_out: &'a [InstanceId],
    /// Those that go once the new ones serve.
    then_out: &'a [InstanceId],
}

/// The limits of a rolling strategy for so many instances.
struct Limits {
    batch: usize,
    surge: usize,
}

impl Limits {
    fn of(rolling: &Rolling, count: usize) -> Self {
        let surge = rolling.max_surge.rounded_up(count);
        // With neither there would be no way on: then one at a time goes beside the others.
        let surge = if surge + rolling.max_unavailable.rounded_down(count) == 0 { 1 } else { surge };
        let room = surge + rolling.max_unavailable.rounded_down(count);
        Self { batch: rolling.batch.rounded_up(count).clamp(1, room), surge }
    }
}

/// How many of so many instances take such a share of the traffic: as many as that share needs, at least one.
fn sized(percent: u8, count: usize) -> usize {
    (count * usize::from(percent)).div_ceil(100).clamp(1, count.max(1))
}
