//! The clients of the simulated world. At every tick and at every change of the table requests arrive, and are given to a
//! target as the proxy would do it.
//!
//! A request that is lost because of what the engine did or failed to do breaks the run. One that is lost because the
//! simulation killed its instance or the router is excused, and counted.

use std::time::Duration;

use cutover_core::plan::Kind;
use cutover_core::table::Mode;
use cutover_core::{InstanceId, ServiceName, Timestamp};

use super::{Cause, Inner};
use crate::invariants::Invariant;

/// How often requests arrive.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// A request that an instance has in hand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request {
    pub(crate) ends: Timestamp,
    pub(crate) stream: bool,
}

impl Inner {
    /// Requests arrive for every service that the router knows.
    pub(super) fn traffic(&mut self) {
        if !self.router.is_up() {
            return;
        }
        let services: Vec<(ServiceName, bool)> =
            self.router.table.services.iter().map(|service| (service.name.clone(), service.hold.is_some())).collect();
        let now = self.now();
        self.finish_requests(now);
        for (service, hold) in services {
            self.give(&service, hold, now);
        }
    }

    /// Drops the requests that have been answered.
    pub(crate) fn finish_requests(&mut self, now: Timestamp) {
        for found in self.instances.values_mut() {
            let before = found.requests.len();
            found.requests.retain(|request| request.ends > now);
            let answered = (before - found.requests.len()) as u64;
            found.served += answered;
            self.coverage.served += answered;
        }
    }

    fn give(&mut self, service: &ServiceName, hold: bool, now: Timestamp) {
        let serving = self.router.serving(service);
        if serving.is_empty() {
            if hold {
                self.coverage.held += 1;
            } else if self.must_be_served(service) {
                self.broke(Invariant::SomeoneServes, format!("a request for {service} finds nobody who serves"));
            }
            return;
        }
        let id = self.traffic_seed.pick(&serving).clone();
        let request = self.draw_request(now);
        self.hand_over(&id, request, now);
    }

    fn hand_over(&mut self, id: &InstanceId, request: Request, now: Timestamp) {
        let excused = self.router.forgot.is_some();
        let Some(found) = self.instances.get_mut(id) else {
            if !excused {
                self.broke(Invariant::SomeoneServes, format!("a request is given to {id}, which does not exist"));
            }
            return;
        };
        let ended_by_us = matches!(found.ended, Some((_, Cause::Ours)));
        if found.answers(now) {
            found.requests.push(request);
        } else if excused || (!ended_by_us && (found.has_been_ready(now) || found.ended.is_some())) {
            self.coverage.excused += 1;
        } else {
            let why = if ended_by_us { "was stopped" } else { "is not ready yet" };
            self.broke(Invariant::SomeoneServes, format!("a request is given to {id}, which {why}"));
        }
    }

    /// Most are short, some long, a few outlast a drain; now and then one is a stream.
    fn draw_request(&mut self, now: Timestamp) -> Request {
        let seed = &mut self.traffic_seed;
        let (time, stream) = match seed.between(0, 99) {
            0..=79 => (seed.between(5, 80), false),
            80..=94 => (seed.between(100, 900), false),
            95..=97 => (seed.between(1500, 4000), false),
            _ => (seed.between(2000, 40_000), true),
        };
        Request { ends: now + Duration::from_millis(time), stream }
    }

    /// Whether a release of it is live that nobody is just stopping.
    fn must_be_served(&self, service: &ServiceName) -> bool {
        let Some(state) = self.oracle.service(service) else { return false };
        let stops = |kind| matches!(kind, Kind::Stop | Kind::Remove);
        let stopping = state.deployment.as_ref().is_some_and(|deployment| stops(deployment.plan.kind));
        state.live.is_some() && !stopping && self.router.forgot.is_none()
    }

    /// Whether somebody other than this instance could serve its service: gets traffic, and answers.
    pub(crate) fn another_serves(&self, than: &InstanceId) -> bool {
        let now = self.now();
        let answers = |id: &InstanceId| self.instances.get(id).is_some_and(|found| found.answers(now));
        self.router.serving(&than.service).iter().any(|id| id != than && answers(id))
    }

    /// Whether the router gives an instance anything.
    pub(crate) fn gets_traffic(&self, id: &InstanceId) -> bool {
        matches!(self.router.mode(id), Some(Mode::Serving { .. } | Mode::Registered))
    }
}
