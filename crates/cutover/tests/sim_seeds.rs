//! The seeded simulation of the real engine: two thousand runs, each decided by its number.
//!
//! `CUTOVER_SEED=17 cargo test -p cutover --test sim_seeds` runs one of them again and prints what happened.

#![allow(clippy::print_stdout, reason = "a replay is there to be read")]

use cutover_testkit::soak::{Summary, simulate_many};
use cutover_testkit::{Run, simulate};

/// How many seeds a test run takes. A soak takes many more (`simulate --seeds A..B`).
const SEEDS: u64 = 2000;

/// What must occur in these seeds: a simulation that stops reaching something proves nothing about it.
const REACHED: [&str; 48] = [
    "event: abort_asked",
    "event: agreed",
    "event: asked",
    "event: extended",
    "event: hook_ended",
    "event: hook_started",
    "event: instance_back",
    "event: instance_died",
    "event: instance_retired",
    "event: judged",
    "event: locked",
    "event: pause_asked",
    "event: promote_asked",
    "event: resume_asked",
    "event: router_returned",
    "event: step_failed",
    "event: undo_done",
    "event: undo_failed",
    "event: undecided",
    "event: undo_retried",
    "failure: did not start",
    "failure: at was not ready within",
    "failure: exited with status before it was ready",
    "failure: exited with status while it was watched",
    "failure: the hook before_start exited with status",
    "failure: the hook before_switch took longer than",
    "failure: the smoke command exited with status",
    "failure: bad is out of its bounds: allowed",
    "failure: there is no verdict: silent: no answer,",
    "fault: crash after effect",
    "fault: crash before effect",
    "fault: instance killed",
    "fault: journal full",
    "fault: lost answer",
    "fault: router gone, forgets",
    "hook: after_watch",
    "hook: leftovers ended",
    "hook: on_failure",
    "hook: on_rollback",
    "hook: repeated after a crash",
    "outcome: deploy aborted",
    "outcome: deploy rolled back",
    "outcome: rollback done",
    "outcome: scale rolled back",
    "outcome: remove done",
    "step: after_switch",
    "step: rest",
    "step: weigh",
];

#[test]
fn all_invariants_hold_in_all_seeds() {
    if let Some(seed) = std::env::var("CUTOVER_SEED").ok().and_then(|text| text.parse().ok()) {
        return replay(seed);
    }
    let summary = simulate_many(0..SEEDS, 2);
    println!("{}", summary.coverage);
    assert!(summary.broken.is_empty(), "{}", story(&summary));
    assert_eq!(summary.runs, SEEDS);
    let missed: Vec<&str> = REACHED.into_iter().filter(|what| summary.coverage.of(what) == 0).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
    assert!(summary.coverage.served > 100 * SEEDS, "hardly any traffic: {}", summary.coverage.served);
    assert!(summary.coverage.held > 0, "nobody ever waited");
}

fn replay(seed: u64) {
    let report = Run::drawn(seed).traced().unwrap_or_else(|broken| panic!("{broken}"));
    report.trace.iter().for_each(|line| println!("{line}"));
}

fn story(summary: &Summary) -> String {
    let list: Vec<String> =
        summary.broken.iter().map(|b| format!("seed {} breaks {:?}: {}", b.seed, b.invariant, b.how)).collect();
    let first = summary.broken.first().map(ToString::to_string).unwrap_or_default();
    format!("{first}\n\n{}\nreplay with CUTOVER_SEED={}", list.join("\n"), summary.broken.first().map_or(0, |b| b.seed))
}

/// Without this a seed that fails would be worth nothing.
#[test]
fn a_seed_goes_the_same_way_each_time() {
    for seed in [3, 8, 70, 146] {
        let traces = [(), ()].map(|()| Run::drawn(seed).traced().map(|report| report.trace).map_err(|b| b.trace));
        assert_eq!(traces[0], traces[1], "seed {seed}");
    }
}

/// The seeds that once broke something, each another mistake.
#[test]
fn what_was_once_broken_stays_mended() {
    let once = [
        8, 16, 18, 21, 32, 57, 70, 146, 183, 185, 186, 617, 2047, 4987, 9903, 11814, 14769, 18961, 36914, 1704, 5149,
        13472, 19664, 37838, 40643, 50590, 51740, 73256, 94697,
    ];
    for seed in once {
        simulate(seed).unwrap_or_else(|broken| panic!("{broken}"));
    }
}
