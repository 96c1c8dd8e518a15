//! Makes plans from what is known and what is wanted.

use super::strategy::Move;
use super::{Kind, Plan, Refusal, Step};
use crate::id::{InstanceId, ReleaseNo};
use crate::machine::{Duty, Instance, Mark, Progress, ReleaseState, ServiceState};
use crate::release::Release;
use crate::spec::{RouteSpec, ServiceSpec, Strategy};

/// How many ended instances are kept for inspection.
const KEPT_INSTANCES: usize = 5;

/// What a deployment is asked to make live.
#[derive(Debug, Clone, Copy)]
pub struct Desired<'a> {
    /// The specification.
    pub spec: &'a ServiceSpec,
    /// The digest of what it runs, if it has one.
    pub fingerprint: Option<&'a str>,
    /// The releases that are kept and the same as this, oldest first.
    pub same: &'a [ReleaseNo],
    /// Deploy it even if nothing has changed, or if it went back before.
    pub again: bool,
    /// Commit it only together with others.
    pub together: bool,
}

/// Plans a new release.
pub fn deploy(state: &ServiceState, desired: Desired<'_>) -> Result<Plan, Refusal> {
    refuse_if_occupied(state)?;
    if !desired.again {
        refuse_what_was_here(state, desired.same)?;
    }
    let release = ReleaseNo(state.last_release.0 + 1);
    let mut plan = move_to(state, Kind::Deploy, release, desired.spec)?;
    plan.steps.insert(0, Step::Prepare { release });
    plan.together = desired.together;
    super::hooks::weave(&mut plan, release, &desired.spec.rollout);
    if desired.fingerprint.is_none() {
        plan.notes.push("it runs in place: going back restores command and environment, not files".to_owned());
    }
    Ok(plan)
}

/// Plans to take over so many instances that run already, as a release of their own. Nothing of them is stopped if it fails.
pub fn adopt(state: &ServiceState, spec: &ServiceSpec, running: usize) -> Result<Plan, Refusal> {
    refuse_if_occupied(state)?;
    if running == 0 || !state.serving().is_empty() {
        return Err(Refusal::NothingToAdopt { service: state.name.clone() });
    }
    let release = ReleaseNo(state.last_release.0 + 1);
    let instances = new_instances(state, release, running);
    let mut plan = skeleton(state, Kind::Adopt, Some(release), spec);
    plan.steps.push(Step::Adopt { instances: instances.clone() });
    if spec.route.is_some() {
        plan.steps.push(Step::Register { instances: instances.clone() });
    }
    plan.steps.push(Step::Shift { to: instances, from: Vec::new() });
    plan.steps.push(Step::Commit { live: Some(release) });
    Ok(plan)
}

/// Plans the way back to an earlier release: the newest that served before the live one, or the one that is named. `past`:
/// also past a release that closed the way.
pub fn rollback(state: &ServiceState, to: Option<ReleaseNo>, past: bool) -> Result<ReleaseNo, Refusal> {
    refuse_if_occupied(state)?;
    let service = || state.name.clone();
    let kept = state.kept_releases();
    let release = match to {
        Some(release) if kept.contains(&release) => release,
        Some(release) => return Err(Refusal::UnknownRelease { service: service(), release, kept }),
        None => {
            let newest = state.earlier_releases().first().copied();
            newest.ok_or_else(|| Refusal::NothingToRollBackTo { service: service() })?
        }
    };
    match state.not_before.filter(|closed| !past && release < *closed) {
        Some(closed) => Err(Refusal::NoWayPast { service: service(), release, closed }),
        None => Ok(release),
    }
}

/// Plans new instances of a release that is kept: to roll back to it, as it was, or to restart it, as many as serve now.
pub fn restart(state: &ServiceState, kind: Kind, release: &Release) -> Result<Plan, Refusal> {
    refuse_if_occupied(state)?;
    let mut spec = release.spec.clone();
    if kind == Kind::Restart {
        spec.replicas = u16::try_from(state.serving().len()).unwrap_or(u16::MAX);
    }
    let mut plan = move_to(state, kind, release.number, &spec)?;
    plan.steps.insert(0, Step::Prepare { release: release.number });
    Ok(plan)
}

/// Plans more or fewer instances of the live release.
pub fn scale(state: &ServiceState, live: &Release, replicas: u16) -> Result<Plan, Refusal> {
    refuse_if_occupied(state)?;
    let serving = state.serving();
    if serving.is_empty() {
        return Err(Refusal::NotRunning { service: state.name.clone() });
    }
    let wanted = usize::from(replicas.max(1));
    let mut plan = skeleton(state, Kind::Scale, Some(live.number), &live.spec);
    if wanted > serving.len() {
        let more = new_instances(state, live.number, wanted - serving.len());
        check_ports(state, &live.spec, more.len())?;
        plan.steps = bring_up(&more, &live.spec, true);
        plan.steps.push(Step::Shift { to: more.clone(), from: Vec::new() });
        plan.steps.push(Step::Watch { instances: more, time: live.spec.rollout.watch });
        plan.steps.push(Step::Commit { live: Some(live.number) });
    } else if wanted < serving.len() {
        // Those that are down go first: the ones that stay must be able to serve.
        let mut by_health = serving;
        by_health.sort_by_key(|id| state.instances[id].down.is_some());
        plan.steps = take_down(by_health.split_off(wanted), &live.spec, Some(live.number));
    } else {
        return Err(Refusal::Unchanged { service: state.name.clone(), release: live.number });
    }
    Ok(plan)
}

/// Plans the end of all instances; the releases stay.
pub fn stop(state: &ServiceState, live: &Release) -> Result<Plan, Refusal> {
    refuse_if_occupied(state)?;
    let serving = state.serving();
    if serving.is_empty() {
        return Err(Refusal::NotRunning { service: state.name.clone() });
    }
    let mut plan = skeleton(state, Kind::Stop, None, &live.spec);
    plan.steps = take_down(serving, &live.spec, None);
    plan.notes.push("requests will be answered with 503 by the proxy until it is deployed again".to_owned());
    Ok(plan)
}

/// Plans the end of a service: its instances, releases and route. `newest` is any release of it, for its limits.
pub fn remove(state: &ServiceState, newest: &Release) -> Result<Plan, Refusal> {
    refuse_if_occupied(state)?;
    let mut plan = skeleton(state, Kind::Remove, None, &newest.spec);
    let running = state.instances_with(|instance| instance.is_kept_alive());
    plan.steps = take_down(running.clone(), &newest.spec, None);
    // Those that are being taken down too; whoever still has streams in hand by then goes when they have ended.
    let mut instances = state.instances_with(|instance| instance.duty == Duty::Gone);
    instances.extend(running);
    plan.steps.push(Step::Prune { releases: state.releases.keys().copied().collect(), instances });
    plan.notes.push("its releases, logs and route go; its history stays".to_owned());
    Ok(plan)
}

fn refuse_if_occupied(state: &ServiceState) -> Result<(), Refusal> {
    let Some(deployment) = &state.deployment else { return Ok(()) };
    let service = state.name.clone();
    Err(match &deployment.progress {
        Progress::Stuck { undo, .. } => Refusal::Stuck { service, deployment: deployment.id, reason: undo.to_string() },
        _ => Refusal::Busy {
            service,
            deployment: deployment.id,
            by: deployment.by.clone(),
            since: deployment.began,
            step: state.at_work().unwrap_or_default(),
        },
    })
}

/// What is live already changes nothing; what was taken back from its users once would be so again, and a pipeline that repeats
/// itself would never come to rest. What failed before it had any traffic has hurt nobody: trying again is free.
fn refuse_what_was_here(state: &ServiceState, same: &[ReleaseNo]) -> Result<(), Refusal> {
    let service = || state.name.clone();
    if let Some(live) = state.live.filter(|live| same.contains(live)) {
        return Err(Refusal::Unchanged { service: service(), release: live });
    }
    let Some(newest) = same.last() else { return Ok(()) };
    match state.releases.get(newest) {
        Some(ReleaseState { mark: Mark::Failed | Mark::RolledBack, tried: true, deployment, .. }) => {
            Err(Refusal::WentBack { service: service(), release: *newest, deployment: *deployment })
        }
        _ => Ok(()),
    }
}

/// The traffic moves as the strategy says, then the old ones go.
fn move_to(state: &ServiceState, kind: Kind, release: ReleaseNo, spec: &ServiceSpec) -> Result<Plan, Refusal> {
    let new = new_instances(state, release, usize::from(spec.replicas.max(1)));
    let old = state.serving();
    let strategy = strategy_for(kind, spec);
    let moves = Move { new: &new, old: &old, spec };
    moves.check(strategy)?;
    check_ports(state, spec, moves.surge(strategy))?;
    let mut plan = skeleton(state, kind, Some(release), spec);
    plan.steps = moves.steps(strategy);
    plan.notes = moves.notes(strategy);
    if let (Strategy::Recreate(hold), false) = (strategy, old.is_empty()) {
        plan.hold = Some(hold.clone());
    }
    if let (Strategy::Canary(canary), false) = (strategy, old.is_empty()) {
        plan.pin = canary.by.clone();
    }
    // A restart brings nothing new to look at.
    if let (Some(route), Kind::Deploy | Kind::Rollback) = (spec.route.as_ref().and_then(RouteSpec::proxy), kind) {
        plan.preview = route.preview;
        plan.notes
            .extend(route.preview.map(|at| format!("the new release can be looked at on http://{at}/ meanwhile")));
    }
    plan.steps.push(Step::Watch { instances: new, time: spec.rollout.watch });
    plan.steps.push(Step::Commit { live: Some(release) });
    if !old.is_empty() {
        plan.steps.push(Step::Retire { instances: old });
    }
    plan.steps.extend(prune(state, release, spec));
    Ok(plan)
}

/// A release that has served is not tried out again: the way back is quick. What cannot overlap cannot on the way back either.
fn strategy_for(kind: Kind, spec: &ServiceSpec) -> &Strategy {
    match &spec.rollout.strategy {
        Strategy::Canary(_) if kind != Kind::Deploy => &Strategy::BlueGreen,
        strategy => strategy,
    }
}

fn skeleton(state: &ServiceState, kind: Kind, to: Option<ReleaseNo>, spec: &ServiceSpec) -> Plan {
    Plan {
        service: state.name.clone(),
        kind,
        from: state.live,
        to,
        steps: Vec::new(),
        stream_drain: spec.rollout.stream_drain,
        hold: None,
        together: false,
        pin: None,
        preview: None,
        if_undone: Vec::new(),
        no_rollback_past: false,
        notes: Vec::new(),
    }
}

fn new_instances(state: &ServiceState, release: ReleaseNo, count: usize) -> Vec<InstanceId> {
    let numbers = (state.last_instance + 1..).take(count);
    numbers.map(|number| InstanceId { service: state.name.clone(), release, number }).collect()
}

/// `first`: the smoke command tries one of the first ones only.
pub(super) fn bring_up(new: &[InstanceId], spec: &ServiceSpec, first: bool) -> Vec<Step> {
    let instances = new.to_vec();
    let within = spec.ready.within + spec.ready.stable_for;
    let mut steps =
        vec![Step::Start { instances: instances.clone() }, Step::Ready { instances: instances.clone(), within }];
    if spec.ready.warm_up.is_some() {
        steps.push(Step::WarmUp { instances: instances.clone() });
    }
    if let (Some(_), Some(instance), true) = (&spec.rollout.smoke, new.first(), first) {
        steps.push(Step::Smoke { instance: instance.clone(), within: spec.rollout.smoke_within });
    }
    if spec.route.is_some() {
        steps.push(Step::Register { instances });
    }
    steps
}

fn take_down(old: Vec<InstanceId>, spec: &ServiceSpec, live: Option<ReleaseNo>) -> Vec<Step> {
    vec![
        Step::Shift { to: Vec::new(), from: old.clone() },
        Step::Drain { instances: old.clone(), within: spec.rollout.drain },
        Step::Commit { live },
        Step::Retire { instances: old },
    ]
}

/// What neither a roll back nor an inspection needs: the new release and the live one stay, and those of the rest that are
/// best to go back to.
fn prune(state: &ServiceState, new: ReleaseNo, spec: &ServiceSpec) -> Option<Step> {
    let spared = |no: ReleaseNo| no == new || Some(no) == state.live;
    let keep = spec.rollout.keep_releases.max(2) as usize;
    let left = keep - if state.live.is_some_and(|live| live != new) { 2 } else { 1 };
    let kept: Vec<ReleaseNo> = best_first(state).filter(|no| !spared(*no)).take(left).collect();
    let runs = |no: ReleaseNo| state.instances.iter().any(|(id, instance)| id.release == no && instance.should_run());
    let goes = |no: &ReleaseNo| !spared(*no) && !kept.contains(no) && !runs(*no);
    let releases: Vec<ReleaseNo> = state.releases.keys().rev().copied().filter(goes).collect();
    let ended = state.instances_with(|instance| instance.duty == Duty::Gone);
    let surplus = ended.len().saturating_sub(KEPT_INSTANCES);
    let goes = |(at, id): (usize, InstanceId)| (at < surplus || releases.contains(&id.release)).then_some(id);
    let instances: Vec<InstanceId> = ended.into_iter().enumerate().filter_map(goes).collect();
    (!releases.is_empty() || !instances.is_empty()).then_some(Step::Prune { releases, instances })
}

/// Those that can be rolled back to, in the order in which that is likely: what a roll back without arguments chooses from
/// comes before what somebody went back from.
fn best_first(state: &ServiceState) -> impl Iterator<Item = ReleaseNo> {
    let with = |mark: Mark| state.releases.iter().rev().filter(move |(_, r)| r.mark == mark).map(|(no, _)| *no);
    with(Mark::Good).chain(with(Mark::RolledBack))
}

/// With fixed ports or addresses, every instance that may still run holds one.
fn check_ports(state: &ServiceState, spec: &ServiceSpec, more: usize) -> Result<(), Refusal> {
    let Some(places) = spec.run.places() else { return Ok(()) };
    let running = state.instances_with(Instance::should_run).len();
    if running + more <= places.count {
        return Ok(());
    }
    let leaving = state.instances_with(|instance| matches!(instance.duty, Duty::Retiring { .. }));
    let leaving: Vec<String> = leaving.iter().map(ToString::to_string).collect();
    let until = match leaving[..] {
        [] => String::new(),
        _ => format!("; {} will leave when its last requests and streams have ended", leaving.join(" and ")),
    };
    let reason = format!(
        "{running} instances hold {what} and {more} more would start, which takes {} {what}, but {} are given{until}",
        running + more,
        places.count,
        what = places.what,
    );
    Err(Refusal::CannotOverlap { service: state.name.clone(), reason })
}
