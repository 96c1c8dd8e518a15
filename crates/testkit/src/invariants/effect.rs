//! Checks of what the engine does to the world.

use cutover::engine::port::{ReleaseOrder, StartOrder};
use cutover_core::machine::{self, Duty, Progress, ServiceState};
use cutover_core::plan::{Kind, Plan, Step};
use cutover_core::spec::{Hook, RouteSpec};
use cutover_core::table::{Hold, Table};
use cutover_core::{InstanceId, ReleaseNo, ServiceName, Timestamp};

use super::{Invariant, Oracle};
use crate::world::{Cause, Inner, TOKEN};

/// For how long after the router came back with an old table the engine cannot know of it.
const UNKNOWING: std::time::Duration = std::time::Duration::from_millis(20);

impl Inner {
    /// An instance may be started when the journal says that it is to run, with this attempt.
    pub(crate) fn check_start(&mut self, order: &StartOrder) {
        let id = &order.instance;
        let known = self.oracle.service(&id.service).and_then(|state| state.instances.get(id));
        let how = match known {
            None => format!("{id} is started, but no event announces it"),
            Some(known) if !known.should_run() => format!("{id} is started, but it is gone"),
            Some(known) if known.attempt != order.attempt => {
                format!("{id} is started as attempt {}, but {} is announced", order.attempt, known.attempt)
            }
            Some(_) => return self.check_started_after_hook(id),
        };
        self.broke(Invariant::IntentFirst, how);
    }

    fn check_started_after_hook(&mut self, id: &InstanceId) {
        let deployment = self.oracle.service(&id.service).and_then(|state| state.deployment.as_ref());
        if let Some(plan) = deployment.map(|deployment| deployment.plan.clone()).filter(|p| p.starts().contains(id)) {
            self.check_hooks_before(&plan, &format!("{id} is started"), &[Hook::BeforeStart]);
        }
    }

    /// A release is prepared by its step, and only by that.
    pub(crate) fn check_prepare(&mut self, order: &ReleaseOrder) {
        let wanted = Step::Prepare { release: order.release };
        if !self.at_work(&order.service, |step| *step == wanted) {
            self.broke(Invariant::IntentFirst, format!("release {} is prepared out of turn", order.release));
        }
    }

    /// An instance may be told to stop when it retires and has nothing in hand, or when it is down and failed to come back.
    pub(crate) fn check_stop(&mut self, id: &InstanceId) {
        let known = self.oracle.service(&id.service).and_then(|state| state.instances.get(id)).cloned();
        let running = self.instances.get(id).is_some_and(|found| found.runs());
        if running && self.is_being_adopted(id) && known.as_ref().is_some_and(|known| known.down.is_none()) {
            self.broke(Invariant::OursAlone, format!("{id} ran before us, and is told to stop by its adoption"));
        }
        match known.as_ref().map(|known| (known.duty, known.down.is_some())) {
            Some((Duty::Retiring { until } | Duty::Resting { until }, _)) => self.check_retirement(id, until),
            Some((Duty::Serving | Duty::Standby, true)) => {}
            Some((Duty::Gone, _)) if !running => {}
            other => {
                self.broke(Invariant::IntentFirst, format!("{id} is told to stop, but the journal says {other:?}"));
            }
        }
        let unknowing = self.router.forgot.is_some_and(|at| self.now() < at + UNKNOWING);
        if running && self.gets_traffic(id) && !unknowing {
            self.broke(Invariant::Order, format!("{id} is told to stop while the router gives it traffic"));
        }
    }

    fn check_retirement(&mut self, id: &InstanceId, until: Timestamp) {
        let now = self.now();
        self.finish_requests(now);
        let Some(found) = self.instances.get(id).filter(|found| found.runs() && found.dies.is_none()) else { return };
        let requests = found.requests.iter().filter(|request| !request.stream).count() as u64;
        let streams = found.requests.len() as u64 - requests;
        let idle = found.idle_since.map(|since| now.since(since)).unwrap_or_default();
        let answers = found.answers(now);
        let drain = self.disk.releases.get(&(id.service.clone(), id.release)).map(|r| r.spec.rollout.drain);
        self.coverage.cut += requests + streams;
        if requests > 0 && drain.is_some_and(|drain| idle < drain) {
            let how =
                format!("{id} is told to stop with {requests} requests in flight, {idle:?} after its last new one");
            self.broke(Invariant::Order, how);
        }
        if streams > 0 && now < until {
            self.broke(Invariant::Order, format!("{id} is told to stop with {streams} streams before their limit"));
        }
        if answers && self.is_last(id) {
            self.broke(Invariant::SomeoneServes, format!("{id} is told to stop, and nobody else could serve"));
        }
    }

    /// Whether its service should go on, and nobody else could serve although nobody was killed. One that was killed and does not
    /// come back is stopped and started again, and counts as killed until it serves.
    fn is_last(&self, id: &InstanceId) -> bool {
        let Some(state) = self.oracle.service(&id.service) else { return false };
        // In `recreate` requests wait meanwhile.
        let holds = |plan: &Plan| plan.hold.is_some();
        let stops = |plan: &Plan| matches!(plan.kind, Kind::Stop | Kind::Remove);
        let stops = state.deployment.as_ref().is_some_and(|d| stops(&d.plan) || holds(&d.plan));
        let killed = |other: &InstanceId| {
            let found = self.instances.get(other);
            let is_down = state.instances.get(other).is_some_and(|known| known.down.is_some());
            is_down || found.is_none_or(|found| !matches!(found.ended, Some((_, Cause::Ours))))
        };
        let others_killed = state.serving().iter().any(|other| other != id && killed(other));
        state.live.is_some() && !stops && self.router.is_up() && !self.another_serves(id) && !others_killed
    }

    /// Streams are closed when their time is up.
    pub(crate) fn check_close(&mut self, id: &InstanceId) {
        let known = self.oracle.service(&id.service).and_then(|state| state.instances.get(id));
        let due = known.is_some_and(
            |known| matches!(known.duty, Duty::Retiring { until } | Duty::Resting { until } if self.now() >= until),
        );
        if !due {
            self.broke(Invariant::Order, format!("the streams of {id} are closed before their limit"));
        }
    }

    /// A table is what the durable events add up to, as of its generation.
    pub(crate) fn check_publish(&mut self, table: &Table) {
        let Some(seq) = table.generation.0.checked_sub(self.epoch) else { return };
        let durable = self.disk.records.len() as u64;
        if seq > durable {
            return self.broke(Invariant::IntentFirst, format!("a table of event {seq} when {durable} are durable"));
        }
        if table.generation < self.router.table.generation {
            let newer = self.router.table.generation;
            return self.broke(Invariant::OneWriter, format!("table {} after {newer}", table.generation));
        }
        let expected = if seq == durable {
            self.expected_table(self.oracle.services().collect())
        } else {
            let known = usize::try_from(seq).expect("a journal fits into memory");
            let then = Oracle::fold(&self.disk.records[..known]);
            self.expected_table(then.values().collect())
        };
        if let Some(how) = differs(&expected, table) {
            self.broke(Invariant::IntentFirst, format!("the table of event {seq} {how}"));
        }
    }

    /// The table that these states add up to. Services whose release was dropped already are not in it.
    pub(crate) fn expected_table(&self, states: Vec<&ServiceState>) -> Table {
        let release = |state: &ServiceState| self.disk.releases.get(&(state.name.clone(), state.routed?));
        let routes: Vec<(&ServiceState, Option<&RouteSpec>)> =
            states.into_iter().map(|state| (state, release(state).and_then(|r| r.spec.route.as_ref()))).collect();
        let hold = Hold { wait: std::time::Duration::from_secs(10), requests: 1000 };
        machine::table(Default::default(), &routes, Some(TOKEN), &hold)
    }

    /// Records of an instance go when the plan says so, and it has ended.
    pub(crate) fn check_forget(&mut self, id: &InstanceId) {
        let listed = |step: &Step| matches!(step, Step::Prune { instances, .. } if instances.contains(id));
        let removed = self.oracle.service(&id.service).is_some_and(|state| state.removed);
        if !removed && !self.at_work(&id.service, listed) {
            self.broke(Invariant::OursAlone, format!("{id} is forgotten out of turn"));
        }
        if self.instances.get(id).is_some_and(|found| found.runs()) {
            self.broke(Invariant::OursAlone, format!("{id} is forgotten while it runs"));
        }
    }

    /// Whether the deployment that runs takes it over.
    pub(crate) fn is_being_adopted(&self, id: &InstanceId) -> bool {
        let state = self.oracle.service(&id.service);
        state.and_then(|state| state.deployment.as_ref()).is_some_and(|running| running.plan.adopts().contains(id))
    }

    /// What ran before us is let go of by the undo of its adoption, when the router gives it nothing on our account.
    pub(crate) fn check_let_go(&mut self, id: &InstanceId) {
        if !self.is_being_adopted(id) {
            self.broke(Invariant::OursAlone, format!("{id} is let go of out of turn"));
        }
        if self.gets_traffic(id) && self.router.forgot.is_none() {
            self.broke(Invariant::Order, format!("{id} is let go of while the router gives it traffic"));
        }
    }

    /// A release goes when the plan says so, and nobody can want it back.
    pub(crate) fn check_removal(&mut self, service: &ServiceName, release: ReleaseNo) {
        let listed = |step: &Step| matches!(step, Step::Prune { releases, .. } if releases.contains(&release));
        if !self.at_work(service, listed) {
            return self.broke(Invariant::OursAlone, format!("release {release} of {service} is removed out of turn"));
        }
        let Some(state) = self.oracle.service(service) else { return };
        let removing = state.deployment.as_ref().is_some_and(|d| d.plan.kind == Kind::Remove);
        let wanted = state.live == Some(release) || state.earlier_releases().first() == Some(&release);
        if wanted && !removing {
            self.broke(Invariant::OursAlone, format!("release {release} of {service} is removed, but could be wanted"));
        }
    }

    /// The content of a release that events refer to does not change.
    pub(crate) fn check_save(&mut self, service: &ServiceName, release: ReleaseNo) {
        if self.oracle.service(service).is_some_and(|state| state.releases.contains_key(&release)) {
            self.broke(Invariant::OursAlone, format!("release {release} of {service} is written over"));
        }
    }

    /// Whether such a step has been announced and not ended.
    fn at_work(&self, service: &ServiceName, of: impl Fn(&Step) -> bool) -> bool {
        let deployment = self.oracle.service(service).and_then(|state| state.deployment.as_ref());
        deployment.is_some_and(|deployment| match deployment.progress {
            Progress::Forward { step, begun: Some(_) } => of(&deployment.plan.steps[step]),
            // An abort is recorded at once, while a step that cannot be cut short is still at work.
            Progress::Undoing { step, .. } => of(&deployment.plan.steps[step]),
            _ => false,
        })
    }
}

/// How a table differs from the expected one, but in generation, and in services whose release was dropped.
pub(super) fn differs(expected: &Table, found: &Table) -> Option<String> {
    for service in &expected.services {
        let Some(other) = found.services.iter().find(|other| other.name == service.name) else {
            return Some(format!("lacks {}", service.name));
        };
        if other != service {
            return Some(format!("has {other:?}, not {service:?}"));
        }
    }
    let known =
        |listener: &&cutover_core::table::Listener| found.listeners.iter().any(|l| l.address == listener.address);
    expected.listeners.iter().find(|listener| !known(listener)).map(|listener| format!("lacks {}", listener.address))
}
