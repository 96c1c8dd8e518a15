//! The fault sweeps over the real engine: every call of every scenario fails, fails for a time, loses its answer, is done
//! twice, and has the agent die before and after it. All invariants hold in all.

use cutover_testkit::scenario::{aborted, all, failing, succeeding};
use cutover_testkit::seed::Seed;
use cutover_testkit::sweep::{Swept, one_fault, run, two_faults};

/// Every so manyth pair of a call and a fault: all of them take minutes, and are for `simulate --sweep 1`.
const STRIDE: usize = 11;

fn nothing_found(swept: &Swept) {
    let list: Vec<String> =
        swept.found.iter().map(|f| format!("{:?} {:?}: {}", f.scenario, f.faults, f.broken.how)).collect();
    let first = swept.found.first().map(ToString::to_string).unwrap_or_default();
    assert!(list.is_empty(), "{first}\n{} of {} runs broke:\n{}", list.len(), swept.runs, list.join("\n"));
}

#[test]
fn without_faults_each_scenario_ends_as_it_should() {
    for scenario in all() {
        let report = run(&scenario, &[], 0).unwrap_or_else(|found| panic!("{found}"));
        let outcome = report.outcomes.first().and_then(|(_, outcome)| outcome.clone());
        assert!(scenario.ends.is(outcome.as_ref()), "{} ended as {outcome:?}", scenario.name);
    }
}

#[test]
fn each_call_may_go_wrong_when_it_would_succeed() {
    succeeding().iter().for_each(|scenario| nothing_found(&one_fault(scenario, STRIDE)));
}

#[test]
fn each_call_may_go_wrong_when_it_would_fail() {
    failing().iter().for_each(|scenario| nothing_found(&one_fault(scenario, STRIDE)));
}

#[test]
fn an_abort_may_come_at_any_moment() {
    for scenario in (0..2700).step_by(60).flat_map(aborted) {
        run(&scenario, &[], 0).unwrap_or_else(|found| panic!("{found}"));
    }
}

#[test]
fn two_things_may_go_wrong() {
    let mut seed = Seed::new(2);
    all().iter().for_each(|scenario| nothing_found(&two_faults(scenario, 6, &mut seed)));
}
