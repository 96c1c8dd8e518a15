//! Where hooks stand, and how far back one may go.

use std::time::Duration;

use super::*;
use crate::spec::HookSpec;

fn with_hooks(hooks: &[Hook], spec: ServiceSpec) -> ServiceSpec {
    let within = Duration::from_secs(7);
    let hooks = hooks.iter().map(|hook| (*hook, HookSpec { command: vec!["hook".into()], within })).collect();
    ServiceSpec { rollout: RolloutSpec { hooks, ..spec.rollout }, ..spec }
}

/// Seen to fail with `before_start` behind the start.
#[test]
fn each_hook_stands_in_its_place() {
    let all = with_hooks(&Hook::ALL, spec());
    let plan = deploy(&live(), desired(&all)).unwrap();
    assert_eq!(
        brief(&plan),
        "prepare r3 / before_start r3 / start 5,6 / ready 5,6 / before_switch r3 5 / register 5,6 / shift 5,6<-3,4 / drain 3,4 / \
         after_switch r3 / watch 5,6 / commit Some(ReleaseNo(3)) / retire 3,4 / after_watch r3"
    );
    let first = deploy(&ServiceState::new(name()), desired(&all)).unwrap();
    assert_eq!(
        brief(&first),
        "prepare r1 / before_start r1 / start 1,2 / ready 1,2 / before_switch r1 1 / register 1,2 / shift 1,2<- / after_switch r1 / \
         watch 1,2 / commit Some(ReleaseNo(1)) / after_watch r1"
    );
}

/// Once, whatever the strategy: before the first of it has traffic, and when the last has.
#[test]
fn a_hook_runs_once_whatever_the_strategy() {
    let all = |strategy| brief(&deploy(&live(), desired(&with_hooks(&Hook::ALL, with(strategy, 2)))).unwrap());
    let in_place = all(rolling(Amount::Count(1), 0, 1));
    assert!(in_place.starts_with(
        "prepare r3 / before_start r3 / shift <-3 / drain 3 / rest 3 / start 5 / ready 5 / before_switch r3 5 / register 5 / shift 5<- / "
    ), "{in_place}");
    assert!(in_place.contains("shift 6<- / after_switch r3 / watch"), "{in_place}");
    let steps = vec![Share { percent: 5, time: Duration::from_secs(60) }];
    let canary = all(Strategy::Canary(Canary { steps, by: None }));
    assert!(canary.contains("ready 5 / before_switch r3 5 / register 5 / weigh 5 5%"), "{canary}");
    assert!(canary.contains("drain 3,4 / after_switch r3 / watch"), "{canary}");
    for said in [in_place, canary] {
        for hook in ["before_start", "before_switch", "after_switch", "after_watch"] {
            assert_eq!(said.matches(hook).count(), 1, "{hook}: {said}");
        }
    }
}

#[test]
fn only_a_deployment_and_the_way_back_run_hooks() {
    let hooked = Release { spec: with_hooks(&Hook::ALL, spec()), ..release(2) };
    for plan in [
        restart(&live(), Kind::Restart, &hooked).unwrap(),
        scale(&live(), &hooked, 3).unwrap(),
        stop(&live(), &hooked).unwrap(),
    ] {
        assert!(!plan.steps.iter().any(|step| matches!(step, Step::Hook { .. })), "{}", brief(&plan));
        assert!(plan.if_undone.is_empty());
    }
    let back = restart(&live(), Kind::Rollback, &release(1)).unwrap();
    let back = taking_back(back, &hooked);
    assert!(brief(&back).ends_with("commit Some(ReleaseNo(1)) / retire 3,4 / on_rollback r2"), "{}", brief(&back));
    let plain = restart(&live(), Kind::Rollback, &hooked).unwrap();
    assert_eq!(taking_back(plain.clone(), &hooked), plain, "it is not taken back by itself");
}

#[test]
fn hooks_do_not_count_against_the_deadline() {
    let plan = deploy(&live(), desired(&with_hooks(&Hook::ALL, spec()))).unwrap();
    assert_eq!(plan.holds(), Duration::from_secs(14), "those before the shift");
    let hooks = plan.steps.iter().filter(|step| matches!(step, Step::Hook { .. }));
    assert!(hooks.into_iter().all(|step| !step.heeds_deadline() && step.only_observes() && step.has_undo()));
}

#[test]
fn what_runs_when_it_was_undone_depends_on_why() {
    let plan = deploy(&live(), desired(&with_hooks(&Hook::ALL, spec()))).unwrap();
    let named = |aborted| plan.closing(aborted).map(|call| call.hook).collect::<Vec<_>>();
    assert_eq!(named(false), [Hook::OnFailure, Hook::OnRollback]);
    assert_eq!(named(true), [Hook::OnRollback]);
}

/// Seen to fail with the release itself refused, too: from a later one the way to it is open.
#[test]
fn no_way_leads_past_a_release_that_closed_it() {
    let mut state = live();
    state.not_before = Some(ReleaseNo(2));
    let refused = Refusal::NoWayPast { service: name(), release: ReleaseNo(1), closed: ReleaseNo(2) };
    assert_eq!(rollback(&state, None, false), Err(refused.clone()));
    assert_eq!(rollback(&state, Some(ReleaseNo(1)), false), Err(refused.clone()));
    assert!(refused.hint().is_some_and(|hint| hint.contains("`cutover rollback web --past`")));
    assert_eq!(rollback(&state, None, true), Ok(ReleaseNo(1)));
    state.releases.insert(ReleaseNo(3), made(Mark::Good));
    state.live = Some(ReleaseNo(3));
    assert_eq!(rollback(&state, None, false), Ok(ReleaseNo(2)));
}
