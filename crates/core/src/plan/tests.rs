mod hooks;

use std::collections::BTreeMap;
use std::time::Duration;

use super::*;
use crate::machine::{Duty, Event, Instance, Mark, Outcome, Record, ReleaseState, ServiceState};
use crate::release::Release;
use crate::spec::{
    Amount, Canary, LimitSpec, LogSpec, NginxAt, NginxProgram, NginxRoute, NginxShape, Ports, ProcessSpec, ProxyRoute,
    ReadySpec, RestartSpec, Rolling, RolloutSpec, RouteKind, RouteSpec, RunSpec, ServiceSpec, Share, StopSpec,
    Strategy, WarmUp,
};
use crate::table::{Balance, Hold, Limits};
use crate::{DeploymentId, Timestamp};

pub(crate) fn spec() -> ServiceSpec {
    let process = ProcessSpec {
        command: vec!["app".into()],
        artifact: None,
        directory: None,
        env: BTreeMap::new(),
        user: None,
        ports: Ports::Automatic,
        socket: None,
        stop: StopSpec::default(),
        limits: LimitSpec::default(),
        logs: LogSpec::default(),
        restart: RestartSpec::default(),
    };
    let route = RouteSpec::Proxy(ProxyRoute {
        listen: "127.0.0.1:80".parse().unwrap(),
        kind: RouteKind::Http { hosts: vec![], path: "/".into(), more: vec![] },
        balance: Balance::default(),
        trusted: vec![],
        limits: Limits::default(),
        preview: None,
        tls: None,
        rules: Box::default(),
        introduced: vec![],
        metrics: None,
        trail: Default::default(),
        spread: Default::default(),
        protocol: Default::default(),
        instance_tls: None,
    });
    ServiceSpec {
        name: name(),
        project: "shop".into(),
        run: RunSpec::Process(Box::new(process)),
        replicas: 2,
        ready: ReadySpec::default(),
        route: Some(route),
        rollout: RolloutSpec::default(),
    }
}

fn name() -> ServiceName {
    ServiceName::new("web").unwrap()
}

pub(crate) fn release(number: u32) -> Release {
    Release { number: ReleaseNo(number), made: Timestamp(0), fingerprint: Some(format!("f{number}")), spec: spec() }
}

fn id(release: u32, number: u32) -> InstanceId {
    InstanceId { service: name(), release: ReleaseNo(release), number }
}

fn instance(duty: Duty) -> Instance {
    Instance { address: None, duty, attempt: 0, down: None }
}

/// Release 2 is live with two instances, release 1 was before it.
fn live() -> ServiceState {
    let mut state = ServiceState::new(name());
    for (number, mark) in [(1, Mark::Good), (2, Mark::Good)] {
        state.releases.insert(ReleaseNo(number), made(mark));
    }
    (state.live, state.routed) = (Some(ReleaseNo(2)), Some(ReleaseNo(2)));
    (state.last_release, state.last_instance) = (ReleaseNo(2), 4);
    state.instances.insert(id(2, 3), instance(Duty::Serving));
    state.instances.insert(id(2, 4), instance(Duty::Serving));
    state
}

fn made(mark: Mark) -> ReleaseState {
    ReleaseState { deployment: DeploymentId(1), made: Timestamp(0), fingerprint: None, mark, tried: true }
}

fn desired(spec: &ServiceSpec) -> Desired<'_> {
    Desired { spec, fingerprint: Some("new"), same: &[], again: false, together: false }
}

/// The plan as a person would read it: each step with the numbers of its releases and instances.
fn brief(plan: &Plan) -> String {
    let ids = |ids: &[InstanceId]| ids.iter().map(|id| id.number.to_string()).collect::<Vec<_>>().join(",");
    let steps = plan.steps.iter().map(|step| match step {
        Step::Prepare { release } => format!("prepare r{release}"),
        Step::Adopt { instances }
        | Step::Start { instances }
        | Step::Ready { instances, .. }
        | Step::WarmUp { instances } => {
            format!("{} {}", step.name(), ids(instances))
        }
        Step::Smoke { instance, .. } => format!("smoke {}", instance.number),
        Step::Hook { hook, release, instance, .. } => {
            format!(
                "{} r{release}{}",
                hook.name(),
                instance.as_ref().map(|i| format!(" {}", i.number)).unwrap_or_default()
            )
        }
        Step::Register { instances } | Step::Drain { instances, .. } | Step::Retire { instances } => {
            format!("{} {}", step.name(), ids(instances))
        }
        Step::Watch { instances, .. } => format!("watch {}", ids(instances)),
        Step::Weigh { instances, percent } => format!("weigh {} {percent}%", ids(instances)),
        Step::Rest { instances, .. } => format!("rest {}", ids(instances)),
        Step::Shift { to, from } => format!("shift {}<-{}", ids(to), ids(from)),
        Step::Commit { live } => format!("commit {live:?}"),
        Step::Prune { releases, instances } => format!("prune {:?} {}", numbers(releases), ids(instances)),
    });
    steps.collect::<Vec<_>>().join(" / ")
}

fn numbers(releases: &[ReleaseNo]) -> Vec<u32> {
    releases.iter().map(|release| release.0).collect()
}

#[test]
fn the_first_release_has_nothing_to_drain() {
    let plan = deploy(&ServiceState::new(name()), desired(&spec())).unwrap();
    let expected = "prepare r1 / start 1,2 / ready 1,2 / register 1,2 / shift 1,2<- / watch 1,2 / \
                    commit Some(ReleaseNo(1))";
    assert_eq!(brief(&plan), expected);
}

#[test]
fn a_second_release_registers_before_it_shifts_and_drains_before_it_retires() {
    let plan = deploy(&live(), desired(&spec())).unwrap();
    let expected = "prepare r3 / start 5,6 / ready 5,6 / register 5,6 / shift 5,6<-3,4 / drain 3,4 / watch 5,6 / \
                    commit Some(ReleaseNo(3)) / retire 3,4";
    assert_eq!(brief(&plan), expected);
    assert_eq!((plan.from, plan.to), (Some(ReleaseNo(2)), Some(ReleaseNo(3))));
}

#[test]
fn warm_up_and_smoke_come_before_the_router_knows_it_and_a_worker_needs_no_router() {
    let mut spec = spec();
    spec.ready.warm_up = Some(WarmUp { paths: vec!["/".into()], requests: 3 });
    spec.rollout.smoke = Some(vec!["try".into()]);
    let plan = deploy(&ServiceState::new(name()), desired(&spec)).unwrap();
    assert!(brief(&plan).contains("ready 1,2 / warm up 1,2 / smoke 1 / register 1,2 / shift"), "{}", brief(&plan));
    spec.route = None;
    let plan = deploy(&ServiceState::new(name()), desired(&spec)).unwrap();
    assert!(!brief(&plan).contains("register"), "{}", brief(&plan));
}

#[test]
fn a_restart_and_a_way_back_are_deployments_of_a_kept_release() {
    let plan = restart(&live(), Kind::Restart, &release(2)).unwrap();
    assert!(brief(&plan).starts_with("prepare r2 / start 5,6 / "), "{}", brief(&plan));
    assert!(plan.starts().iter().all(|id| id.release == ReleaseNo(2)));
    assert_eq!(rollback(&live(), None, false), Ok(ReleaseNo(1)));
    assert_eq!(rollback(&live(), Some(ReleaseNo(1)), false), Ok(ReleaseNo(1)));
}

/// Seen to fail with the release's own number of instances, which is 2.
#[test]
fn a_restart_after_scaling_keeps_the_number() {
    let mut state = live();
    state.instances.insert(id(2, 9), instance(Duty::Serving));
    assert_eq!(restart(&state, Kind::Restart, &release(2)).unwrap().starts().len(), 3);
    assert_eq!(
        restart(&state, Kind::Rollback, &release(1)).unwrap().starts().len(),
        2,
        "a release comes back as it was"
    );
}

#[test]
fn scaling_starts_the_missing_and_stops_the_surplus() {
    let more = scale(&live(), &release(2), 3).unwrap();
    let expected = "start 5 / ready 5 / register 5 / shift 5<- / watch 5 / commit Some(ReleaseNo(2))";
    assert_eq!(brief(&more), expected);
    let fewer = scale(&live(), &release(2), 1).unwrap();
    assert_eq!(brief(&fewer), "shift <-4 / drain 4 / commit Some(ReleaseNo(2)) / retire 4");
}

#[test]
fn of_fewer_instances_those_stay_that_are_up() {
    let mut state = live();
    state.instances.get_mut(&id(2, 3)).unwrap().down = Some((Timestamp(1), "died".into()));
    assert_eq!(scale(&state, &release(2), 1).unwrap().retires(), [id(2, 3)], "the healthy one would have been stopped");
}

#[test]
fn a_stop_keeps_the_releases_and_a_removal_does_not() {
    let down = "shift <-3,4 / drain 3,4 / commit None / retire 3,4";
    assert_eq!(brief(&stop(&live(), &release(2)).unwrap()), down);
    assert_eq!(brief(&remove(&live(), &release(2)).unwrap()), format!("{down} / prune [1, 2] 3,4"));
}

/// What pruning removes, with these marks for releases 1 and up, this one live and this many kept.
fn pruned(marks: &[Mark], live: Option<u32>, new: u32, keep: u32) -> Vec<u32> {
    let mut state = ServiceState::new(name());
    state.releases = marks.iter().zip(1..).map(|(mark, no)| (ReleaseNo(no), made(*mark))).collect();
    (state.live, state.last_release) = (live.map(ReleaseNo), ReleaseNo(marks.len() as u32));
    let mut release = release(new);
    release.spec.rollout.keep_releases = keep;
    let plan = restart(&state, Kind::Restart, &release).unwrap();
    let pruned =
        plan.steps.iter().find_map(|s| if let Step::Prune { releases, .. } = s { Some(releases) } else { None });
    let mut pruned = numbers(pruned.map_or(&[], Vec::as_slice));
    pruned.sort_unstable();
    pruned
}

#[test]
fn pruning_keeps_what_a_roll_back_needs() {
    use Mark::{Aborted, Failed, Good, RolledBack};
    let five = [Good, Good, Good, Good, Good];
    assert_eq!(pruned(&five, Some(5), 6, 3), [1, 2, 3], "the new one, the live one and one more are kept");
    assert_eq!(pruned(&five, Some(5), 5, 2), [1, 2, 3], "a restart keeps the one before, too");
    assert_eq!(pruned(&five, None, 6, 2), [1, 2, 3, 4], "after a stop the last one that served is kept");
    assert_eq!(pruned(&[Good, Failed, Aborted, Good], Some(4), 5, 3), [2, 3], "what never served is not kept");
    let went_back = [Good, Good, RolledBack];
    assert_eq!(pruned(&went_back, Some(1), 1, 2), [3], "a good one is kept before one that was gone back from");
    assert_eq!(pruned(&went_back, Some(2), 4, 5), [] as [u32; 0]);
    assert_eq!(pruned(&five, Some(5), 6, 0), [1, 2, 3, 4], "two at least are kept");
}

#[test]
fn of_instances_that_ended_the_last_five_are_kept() {
    let mut state = live();
    state.instances.extend((5..12).map(|number| (id(2, number), instance(Duty::Gone))));
    let plan = restart(&state, Kind::Restart, &release(2)).unwrap();
    assert!(brief(&plan).ends_with("prune [] 5,6"), "{}", brief(&plan));
}

#[test]
fn with_fixed_ports_each_instance_that_may_run_holds_one() {
    let mut spec = spec();
    let RunSpec::Process(process) = &mut spec.run else { panic!("it is a process") };
    process.ports = Ports::Fixed(vec![8001, 8002, 8003, 8004]);
    assert!(deploy(&live(), desired(&spec)).is_ok(), "two run, two more start, four ports");
    let mut state = live();
    state.instances.insert(id(1, 1), instance(Duty::Retiring { until: Timestamp(9) }));
    let refused = deploy(&state, desired(&spec));
    assert!(
        matches!(refused, Err(Refusal::CannotOverlap { .. })),
        "one that retires still holds its port: {refused:?}"
    );
    state.instances.insert(id(1, 1), instance(Duty::Gone));
    assert!(deploy(&state, desired(&spec)).is_ok());
}

#[test]
fn what_cannot_be_done_is_refused_by_name() {
    let refused = |result: Result<Plan, Refusal>| result.expect_err("it is refused");
    let live_release = release(2);
    let same = Desired {
        spec: &live_release.spec,
        fingerprint: Some("f2"),
        same: &[ReleaseNo(1), ReleaseNo(2)],
        again: false,
        together: false,
    };
    assert!(matches!(refused(deploy(&live(), same)), Refusal::Unchanged { .. }));
    assert!(deploy(&live(), Desired { again: true, ..same }).is_ok());
    assert!(matches!(refused(scale(&live(), &live_release, 2)), Refusal::Unchanged { .. }));
    let mut stopped = live();
    stopped.instances.clear();
    assert!(matches!(refused(scale(&stopped, &live_release, 2)), Refusal::NotRunning { .. }));
    assert!(matches!(refused(stop(&stopped, &live_release)), Refusal::NotRunning { .. }));
    let unknown = rollback(&live(), Some(ReleaseNo(9)), false);
    assert!(matches!(unknown, Err(Refusal::UnknownRelease { kept, .. }) if numbers(&kept) == [1, 2]));
    let mut only = live();
    only.releases.remove(&ReleaseNo(1));
    assert!(matches!(rollback(&only, None, false), Err(Refusal::NothingToRollBackTo { .. })));
}

/// Seen to fail with the oldest of them asked instead of the newest.
#[test]
fn what_was_taken_back_comes_again_only_when_that_is_said() {
    let (spec, numbers) = (spec(), [ReleaseNo(3), ReleaseNo(4)]);
    let state = |third: Mark, fourth: Mark| {
        let mut state = live();
        state.releases.extend([(numbers[0], made(third)), (numbers[1], made(fourth))]);
        state
    };
    let same = Desired { same: &numbers, ..desired(&spec) };
    for back in [Mark::Failed, Mark::RolledBack] {
        let refused = deploy(&state(Mark::Good, back), same).expect_err("it went back");
        assert!(matches!(refused, Refusal::WentBack { release: ReleaseNo(4), .. }), "{refused}");
        assert!(deploy(&state(Mark::Good, back), Desired { again: true, ..same }).is_ok());
        assert!(deploy(&state(back, Mark::Good), same).is_ok(), "it has served since");
        assert!(deploy(&state(back, back), desired(&spec)).is_ok(), "something else");
    }
    assert!(deploy(&state(Mark::Good, Mark::Aborted), same).is_ok(), "nothing was wrong with it");
    let mut untried = state(Mark::Good, Mark::Failed);
    untried.releases.get_mut(&numbers[1]).unwrap().tried = false;
    assert!(deploy(&untried, same).is_ok(), "it never had traffic");
}

#[test]
fn while_a_deployment_runs_every_other_is_refused() {
    let mut state = live();
    let plan = deploy(&state, desired(&spec())).unwrap();
    let begun = Event::Planned {
        deployment: DeploymentId(7),
        plan,
        by: "anna".into(),
        deadline: Timestamp(9),
        fingerprint: None,
        baseline: None,
    };
    let record = |event| Record { seq: 1, at: Timestamp(1), service: name(), deployment: None, event };
    state.apply(&record(begun)).unwrap();
    let release = release(2);
    let all = [
        deploy(&state, desired(&spec())).err(),
        rollback(&state, None, false).err(),
        restart(&state, Kind::Restart, &release).err(),
        scale(&state, &release, 5).err(),
        stop(&state, &release).err(),
        remove(&state, &release).err(),
    ];
    for refusal in all {
        assert!(matches!(&refusal, Some(Refusal::Busy { by, .. }) if by == "anna"), "{refusal:?}");
    }
    let ended = state.apply(&record(Event::Ended { outcome: Outcome::Done, proof: None }));
    assert!(ended.is_err(), "it cannot end before its steps are done");
}

#[test]
fn every_refusal_says_what_to_do() {
    let service = name();
    let refusals = [
        Refusal::UnknownService { service: service.clone() },
        Refusal::NotRunning { service: service.clone() },
        Refusal::Stuck { service: service.clone(), deployment: DeploymentId(1), reason: "x".into() },
        Refusal::TooLate { service, deployment: DeploymentId(1) },
    ];
    for refusal in refusals {
        assert!(refusal.hint().is_some_and(|hint| hint.contains("`cutover ")), "{refusal}");
    }
}

#[test]
fn limits_of_the_user_are_the_limits_of_the_steps() {
    let plan = deploy(&live(), desired(&spec())).unwrap();
    let limit = |name| plan.steps.iter().find(|step| step.name() == name).map(Step::limit);
    assert_eq!(limit("drain"), Some(Duration::from_secs(30)));
    assert_eq!(limit("watch"), Some(Duration::from_secs(10)));
    assert_eq!(limit("ready"), Some(Duration::from_secs(61)), "the time to get ready and the time to stay so");
}

fn with(strategy: Strategy, replicas: u16) -> ServiceSpec {
    let rollout = RolloutSpec { strategy, ..RolloutSpec::default() };
    ServiceSpec { replicas, rollout, ..spec() }
}

fn rolling(batch: Amount, surge: u16, unavailable: u16) -> Strategy {
    let (max_surge, max_unavailable) = (Amount::Count(surge), Amount::Count(unavailable));
    Strategy::Rolling(Rolling { batch, max_surge, max_unavailable, min_ready: None })
}

fn steps_of(spec: &ServiceSpec) -> String {
    let plan = deploy(&live(), desired(spec)).unwrap();
    let text = brief(&plan);
    let end = text.rfind(" / watch").unwrap();
    text["prepare r3 / ".len()..end].to_owned()
}

/// With room for one more, the new one comes first; without, one makes room. Seen to fail with the last batch resting, too: then
/// going back in the watch would have to start it again.
#[test]
fn rolling_replaces_batch_by_batch() {
    let beside = with(rolling(Amount::Count(1), 1, 0), 2);
    assert_eq!(
        steps_of(&beside),
        "start 5 / ready 5 / register 5 / shift 5<-3 / drain 3 / rest 3 / \
         start 6 / ready 6 / register 6 / shift 6<-4 / drain 4"
    );
    let in_place = with(rolling(Amount::Count(1), 0, 1), 2);
    assert_eq!(
        steps_of(&in_place),
        "shift <-3 / drain 3 / rest 3 / start 5 / ready 5 / register 5 / shift 5<- / \
         shift <-4 / drain 4 / rest 4 / start 6 / ready 6 / register 6 / shift 6<-"
    );
    let all = with(rolling(Amount::Percent(100), 1, 1), 2);
    assert_eq!(
        steps_of(&all),
        "shift <-3 / drain 3 / rest 3 / start 5,6 / ready 5,6 / register 5,6 / shift 5,6<-4 / drain 4"
    );
    let more = with(rolling(Amount::Count(2), 2, 0), 3);
    assert!(steps_of(&more).ends_with("rest 3,4 / start 7 / ready 7 / register 7 / shift 7<-"), "{}", steps_of(&more));
    let fewer = with(rolling(Amount::Count(1), 1, 0), 1);
    assert!(steps_of(&fewer).ends_with("shift 5<-3 / drain 3 / rest 3 / shift <-4 / drain 4"), "{}", steps_of(&fewer));
}

/// The one that serves alone is not taken out: requests can only wait in `recreate`.
#[test]
fn too_few_would_serve() {
    let refused = |strategy, replicas, state: &ServiceState| {
        deploy(state, desired(&with(strategy, replicas))).unwrap_err().to_string()
    };
    let mut single = live();
    single.instances.remove(&id(2, 4));
    let said = refused(rolling(Amount::Count(1), 0, 1), 1, &single);
    assert!(said.contains("of 1 that serve, 0 would at times, but 1 must"), "{said}");
    let Strategy::Rolling(guarded) = rolling(Amount::Count(1), 0, 1) else { unreachable!() };
    let said = refused(Strategy::Rolling(Rolling { min_ready: Some(2), ..guarded }), 2, &live());
    assert!(said.contains("1 would at times, but 2 must"), "{said}");
}

/// Seen to fail with those that make room not counted.
#[test]
fn how_many_run_at_once_is_what_the_steps_say() {
    let more = |strategy, replicas| {
        let spec = with(strategy, replicas);
        deploy(&live(), desired(&spec)).unwrap().most_more()
    };
    let hold = Hold { wait: Duration::from_secs(1), requests: 1 };
    let [all, surge, none] =
        [(2, 2, 0), (1, 1, 0), (1, 0, 1)].map(|(batch, surge, fewer)| rolling(Amount::Count(batch), surge, fewer));
    assert_eq!((more(Strategy::BlueGreen, 1), more(Strategy::BlueGreen, 5)), (1, 5), "beside the two that run");
    assert_eq!((more(all, 2), more(surge, 2), more(none.clone(), 2)), (2, 1, 0));
    assert_eq!(more(none, 4), 2, "there will be more");
    assert_eq!((more(Strategy::Recreate(hold.clone()), 2), more(Strategy::Recreate(hold), 3)), (0, 1));
}

/// What was tested is what serves: each step keeps those of the one before, and adds what its share needs.
#[test]
fn a_canary_grows_with_its_share() {
    let shares = [(5, 60), (60, 30)].map(|(percent, time)| Share { percent, time: Duration::from_secs(time) });
    let spec = with(Strategy::Canary(Canary { steps: shares.to_vec(), by: None }), 3);
    assert_eq!(
        steps_of(&spec),
        "start 5 / ready 5 / register 5 / weigh 5 5% / watch 5 / start 6 / ready 6 / register 6 / weigh 5,6 60% / watch 5,6 / \
         start 7 / ready 7 / register 7 / shift 5,6,7<-3,4 / drain 3,4"
    );
    let plan = deploy(&live(), desired(&spec)).unwrap();
    assert_eq!(plan.holds(), Duration::from_secs(90), "its holds do not count against the deadline");
    let back = restart(&live(), Kind::Rollback, &Release { spec, ..release(1) }).unwrap();
    assert!(!brief(&back).contains("weigh"), "the way back is not tried out: {}", brief(&back));
}

#[test]
fn recreate_ends_the_old_before_the_new_starts_while_requests_wait() {
    let hold = Hold { wait: Duration::from_secs(20), requests: 7 };
    let spec = with(Strategy::Recreate(hold.clone()), 2);
    assert_eq!(
        steps_of(&spec),
        "shift <-3,4 / drain 3,4 / rest 3,4 / start 5,6 / ready 5,6 / register 5,6 / shift 5,6<-"
    );
    assert_eq!(deploy(&live(), desired(&spec)).unwrap().hold, Some(hold));
    let first = deploy(&ServiceState::new(name()), desired(&spec)).unwrap();
    assert!(first.hold.is_none() && !brief(&first).contains("rest"), "there is nothing to wait for: {}", brief(&first));
}

#[test]
fn what_a_router_cannot_do_is_refused() {
    let said = |strategy: Strategy, route: Option<RouteSpec>| {
        let spec = ServiceSpec { route, ..with(strategy, 2) };
        deploy(&live(), desired(&spec)).unwrap_err().to_string()
    };
    let canary = |by| {
        let steps = vec![Share { percent: 5, time: Duration::from_secs(1) }];
        Strategy::Canary(Canary { steps, by })
    };
    assert!(said(canary(None), None).contains("has no route"));
    let nginx = |shape| {
        RouteSpec::Nginx(Box::new(NginxRoute {
            at: NginxAt::Host(NginxProgram::default()),
            shape,
            file: "/etc/nginx/conf.d/web.conf".into(),
            url: None,
            advertise: None,
            access_log: None,
        }))
    };
    let upstream = || NginxShape::Upstream { name: "web".into(), directives: vec![], server: None };
    let down = NginxShape::Down { upstream: "web".into() };
    assert!(said(canary(None), Some(nginx(down))).contains("has shares"));
    assert!(said(canary(Some(PinBy::Cookie)), Some(nginx(upstream()))).contains("requests and not clients"));
    let weighed = ServiceSpec { route: Some(nginx(upstream())), ..with(canary(None), 2) };
    assert!(brief(&deploy(&live(), desired(&weighed)).unwrap()).contains("weigh"));
    let by = |by: PinBy| {
        let mut spec = with(Strategy::Canary(Canary { steps: vec![], by: Some(by) }), 2);
        let Some(RouteSpec::Proxy(route)) = &mut spec.route else { unreachable!() };
        route.kind = RouteKind::Tcp;
        deploy(&live(), desired(&spec)).map(|plan| plan.pin).map_err(|refusal| refusal.to_string())
    };
    assert!(by(PinBy::Cookie).is_err_and(|said| said.contains("have no cookies")));
    assert!(by(PinBy::Header("X-User".to_owned())).is_err_and(|said| said.contains("have no headers")));
    assert_eq!(by(PinBy::Address), Ok(Some(PinBy::Address)));
    let recreate = Strategy::Recreate(Hold { wait: Duration::from_secs(20), requests: 7 });
    assert!(said(recreate, Some(nginx(upstream()))).contains("cannot let requests wait"));
}

/// Every place that is needed at the same time is counted, and no more: in place, two fixed ports suffice for two.
#[test]
fn a_strategy_needs_as_many_places_as_run_at_once() {
    let places = |strategy, ports: u16| {
        let mut spec = with(strategy, 2);
        let RunSpec::Process(process) = &mut spec.run else { unreachable!() };
        process.ports = Ports::Fixed((8080..8080 + ports).collect());
        deploy(&live(), desired(&spec)).map(drop).map_err(|refusal| refusal.to_string())
    };
    assert!(places(rolling(Amount::Count(1), 0, 1), 2).is_ok());
    assert!(places(rolling(Amount::Count(1), 1, 0), 2).is_err_and(|said| said.contains("takes 3")));
    assert!(places(rolling(Amount::Count(1), 1, 0), 3).is_ok());
    assert!(places(Strategy::BlueGreen, 3).is_err_and(|said| said.contains("takes 4")));
    assert!(places(Strategy::Recreate(Hold { wait: Duration::from_secs(1), requests: 1 }), 2).is_ok());
}
