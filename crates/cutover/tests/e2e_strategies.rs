//! Rolling, canary and recreate on real processes, under strict clients.

use std::time::Duration;

use cutover_core::machine::{Duty, Event, Outcome, Record};
use cutover_core::plan::{Plan, Step};
use cutover_meter::{Load, Running};
use cutover_testkit::host::{App, Host, answers, until};

fn host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_cutover"))
}

/// So many instances that are replaced by this strategy, given as lines of the `rollout` table.
fn app(replicas: u16, strategy: &str) -> App {
    App { replicas, more: format!("strategy = {strategy}\n"), ..App::default() }
}

/// Two ports for two instances: one makes room before its successor starts.
fn on_two_ports(host: &Host, strategy: &str) -> App {
    let (first, second) = (host.another_port(), host.another_port());
    // Streams have to make room, too: as long as a request may take.
    App { own: format!("ports = [{first}, {second}]\n"), drain: "1s", ..app(2, strategy) }
}

fn load(host: &Host) -> Load {
    Load { uploads: 0, ..host.load(300.0) }
}

/// The plan of the last deployment.
fn plan(host: &Host) -> Plan {
    let planned = |record: Record| if let Event::Planned { plan, .. } = record.event { Some(plan) } else { None };
    host.story().events.into_iter().find_map(planned).expect("a deployment begins with its plan")
}

/// The fewest instances that had traffic at once, as the journal tells it.
fn fewest_serving(host: &Host) -> usize {
    let plan = plan(host);
    let (mut serving, mut fewest) = (plan.retires().len(), usize::MAX);
    for record in host.story().events {
        let Event::StepStarted { step, .. } = record.event else { continue };
        if let Step::Shift { to, from } = &plan.steps[step] {
            serving = serving + to.len() - from.len();
            fewest = fewest.min(serving);
        }
    }
    fewest
}

#[track_caller]
fn both_then(meter: &Running, host: &Host, new: &str, deploy: impl FnOnce()) {
    let old = (new.parse::<u32>().expect("a number") - 1).to_string();
    host.build(new);
    meter.allow_releases(&[&old, new]);
    deploy();
    meter.expect_release(new);
    answers(meter, 20);
}

/// In place on fixed ports, as small machines need it. Seen to fail with the old instance stopped without a drain, and with
/// `first_out` left empty: the deployment is refused then, because three instances would need three ports.
#[test]
fn rolling_in_place_on_two_fixed_ports_loses_nothing() {
    let host = host();
    host.configure(&on_two_ports(&host, "\"rolling\"\nmax_surge = 0\nmax_unavailable = 1"));
    host.done(&["deploy"]);
    let meter = host.meter(load(&host));
    both_then(&meter, &host, "2", || {
        let told = host.done(&["deploy"]);
        told.says(&["rest"]);
    });
    assert_eq!(fewest_serving(&host), 1);
    both_then(&meter, &host, "3", || drop(host.done(&["deploy"])));
    host.clean_report(meter);
    host.rests_on(Some(3), 2);
}

/// The batch that is done goes back, too, and on the same ports. Seen to fail with an undo that does not wait for the room.
#[test]
fn a_failing_batch_takes_the_finished_one_back() {
    let host = host();
    host.configure(&on_two_ports(&host, "\"rolling\"\nmax_surge = 0\nmax_unavailable = 1"));
    host.done(&["deploy"]);
    let meter = host.meter(load(&host));
    host.build("bad");
    let flag = host.root().join("second");
    let app = on_two_ports(&host, "\"rolling\"\nmax_surge = 0\nmax_unavailable = 1");
    let check =
        format!("command = [\"sh\", \"-c\", \"test ! -e {0} || test $(cat {0}) = $CUTOVER_PORT\"]", flag.display());
    host.configure(&App { check, within: "2s", ..app });
    meter.allow_releases(&["1", "2"]);
    let deploying = host.begin(&["deploy"]);
    let first = until("the first batch serves", || {
        let new =
            |found: &cutover::agent::api::InstanceStatus| found.instance.release.0 == 2 && found.duty == Duty::Serving;
        host.service().instances.into_iter().find(new)?.address
    });
    std::fs::write(&flag, first.port().to_string()).expect("write the flag");
    deploying.wait().expect(4);
    meter.expect_release("1");
    answers(&meter, 20);
    host.clean_report(meter);
    host.rests_on(Some(1), 2);
}

/// Each release has its share while it is held, and `promote` ends the holds. Seen to fail with a canary that weighs as much as
/// each of the others: it then got a third.
#[test]
fn a_canary_gets_its_share_and_is_promoted() {
    let host = host();
    host.configure(&app(2, "\"canary\"\nsteps = [\"10% for 10m\", \"60% for 10m\", \"100%\"]"));
    host.done(&["deploy"]);
    let meter = host.meter(Load { sse: 0, websockets: 0, ..load(&host) });
    host.build("2");
    meter.allow_releases(&["1", "2"]);
    let deploying = host.begin(&["deploy"]);
    until("the canary has traffic", || {
        host.service().instances.iter().any(|i| matches!(i.duty, Duty::Canary { percent: 10 })).then_some(())
    });
    let of = |name: &str| {
        let report = meter.snapshot();
        let new = report.releases.iter().find(|release| release.name == name).map_or(0, |r| r.span.answers);
        (new, report.requests.answered)
    };
    let (new, all) = of("2");
    answers(&meter, 2000);
    let (new, all) = (of("2").0 - new, of("2").1 - all);
    let share = 100.0 * new as f64 / all as f64;
    assert!((share - 10.0).abs() < 2.0, "{new} of {all} answers are {share:.1} %");
    host.done(&["pause"]).says(&["goes no further"]);
    host.done(&["promote"]);
    deploying.wait().expect(0);
    meter.expect_release("2");
    answers(&meter, 20);
    host.clean_report(meter);
    host.rests_on(Some(2), 2);
    let promoted = host.story().events.iter().any(|record| matches!(record.event, Event::PromoteAsked { .. }));
    assert!(promoted, "who promoted it is not told");
}

/// A canary that fails its probes while it is held goes back by itself. Seen to fail with canaries that nobody watches meanwhile.
#[test]
fn a_canary_that_turns_bad_goes_back() {
    let host = host();
    let bad = host.root().join("bad");
    let check = format!("command = [\"sh\", \"-c\", \"test $CUTOVER_RELEASE = 1 || test ! -e {}\"]", bad.display());
    host.configure(&App { check, ..app(2, "\"canary\"\nsteps = [\"20% for 10m\", \"100%\"]") });
    host.done(&["deploy"]);
    let meter = host.meter(Load { sse: 0, websockets: 0, ..load(&host) });
    host.build("2");
    meter.allow_releases(&["1", "2"]);
    let deploying = host.begin(&["deploy"]);
    until("the canary has traffic", || {
        host.service().instances.iter().any(|i| matches!(i.duty, Duty::Canary { .. })).then_some(())
    });
    std::fs::write(&bad, "").expect("write the flag");
    deploying.wait().expect(4);
    meter.expect_release("1");
    answers(&meter, 20);
    host.clean_report(meter);
    host.rests_on(Some(1), 2);
}

/// It passes every probe and answers one request in three with 500: only the counts tell. It goes back by itself, and the numbers
/// can be read. Seen to fail without the comparison in the watch.
#[test]
fn a_release_that_answers_with_errors_goes_back() {
    let host = host();
    host.configure(&App { watch: "20s", ..App::default() });
    host.done(&["deploy"]);
    let meter = host.meter(Load { sse: 0, websockets: 0, ..load(&host) });
    answers(&meter, 200);
    host.configure(&App { watch: "20s", ..App::with(&["--error-rate", "33"]) });
    host.build("2");
    meter.allow_releases(&["1", "2"]);
    host.run(&["deploy"]).expect(4).says(&["the new release is worse", "errors:"]);
    meter.expect_release("1");
    answers(&meter, 20);
    meter.stop_blocking();
    host.done(&["verdict", "explain"]).says(&[
        "fail: the new release is worse",
        "before",
        "latency: not measured here",
    ]);
    host.rests_on(Some(1), 1);
}

/// What fails a few requests fails no more of them after the change: errors alone turn nothing back. Seen to fail with a baseline
/// that counts no errors.
#[test]
fn a_release_that_is_no_worse_stays() {
    let host = host();
    let app = || App { watch: "3s", ..App::with(&["--error-rate", "20"]) };
    host.configure(&app());
    host.done(&["deploy"]);
    let meter = host.meter(Load { sse: 0, websockets: 0, ..load(&host) });
    answers(&meter, 400);
    host.build("2");
    meter.allow_releases(&["1", "2"]);
    host.done(&["deploy"]);
    meter.stop_blocking();
    host.rests_on(Some(2), 1);
}

/// Two releases never overlap, and nobody is turned away: requests wait. Seen to fail without the hold in the table: 503.
#[test]
fn recreate_lets_requests_wait() {
    let host = host();
    let recreate = |arguments: &[&str]| App {
        arguments: arguments.iter().map(ToString::to_string).collect(),
        stable_for: "0s",
        passes: 1,
        ..app(1, "\"recreate\"")
    };
    host.configure(&recreate(&["--listen-after", "2000"]));
    host.done(&["deploy"]);
    let meter = host.meter(Load { rate: 200.0, ..load(&host) });
    both_then(&meter, &host, "2", || drop(host.done(&["deploy"])));
    let story = host.story();
    assert_eq!(story.summary.outcome, Some(Outcome::Done));
    let at = |wanted: fn(&Event) -> bool| story.events.iter().find(|r| wanted(&r.event)).map(|record| record.at);
    let started = at(|event| matches!(event, Event::InstanceStarted { .. })).expect("it started");
    let rested = plan(&host).steps.iter().position(|step| step.name() == "rest").expect("the old one rests");
    let stopped = story.events.iter().find(|r| r.event == Event::StepDone { step: rested }).expect("it was stopped");
    assert!(stopped.at <= started, "the new one started beside the old one");
    // One that fails: the old one starts again, and serves those that waited.
    host.configure(&recreate(&["--exit-at-start", "3"]));
    host.build("3");
    host.run(&["deploy"]).expect(4);
    answers(&meter, 20);
    let report = host.report(meter);
    assert!(report.requests.failed == 0, "{report}\n{:#?}", report.failures);
    assert!(report.longest_gap.length >= Duration::from_secs(2), "nobody waited: {report}");
    host.rests_on(Some(2), 1);
}
