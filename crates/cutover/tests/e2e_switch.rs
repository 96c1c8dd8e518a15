//! Deployments of the real binary, one after the other, while strict clients use the service.

use std::time::Duration;

use cutover_core::machine::{Duty, Outcome};
use cutover_meter::{Load, Running};
use cutover_testkit::host::{App, Host, answers, until};

const STREAMS: usize = 20;

fn host() -> Host {
    Host::new(env!("CARGO_BIN_EXE_cutover"))
}

/// Deploys the next release under load: until it is done both may answer, from then on only the new one.
#[track_caller]
fn next_release(host: &Host, meter: &Running, number: u32) {
    let (old, new) = ((number - 1).to_string(), number.to_string());
    host.build(if number.is_multiple_of(2) { "even" } else { "odd" });
    meter.allow_releases(&[&old, &new]);
    host.done(&["deploy"]);
    meter.expect_release(&new);
    answers(meter, 20);
}

/// Seen to fail with instances that are stopped although they have streams.
#[test]
fn twenty_deployments_lose_nothing_and_cut_no_stream() {
    let host = host();
    host.configure(&App::default());
    host.done(&["deploy"]);
    let streams = Load { sse: STREAMS, websockets: STREAMS, ..host.load(400.0) };
    let meter = host.meter(Load { upload_for: Duration::from_millis(700), ..streams });
    until("all streams are open", || {
        let seen = meter.snapshot();
        (seen.sse.open + seen.websockets.open == 2 * STREAMS as u64).then_some(())
    });
    for number in 2..=21 {
        next_release(&host, &meter, number);
        let story = host.story().summary;
        assert_eq!(story.outcome, Some(Outcome::Done));
        assert_eq!(story.proof.map(|proof| proof.failed), Some(0), "the proxy itself counted a failure");
    }
    let first = host.service().instances.into_iter().find(|found| found.instance.release.0 == 1);
    let first = first.expect("the first instance stays for its streams");
    assert!(matches!(first.duty, Duty::Retiring { .. }));
    assert_eq!(first.streams, 2 * STREAMS as u64, "streams have moved or were cut");
    host.rests_on(Some(21), 1);
    let report = host.clean_report(meter);
    for streams in [report.sse, report.websockets] {
        assert_eq!((streams.opened, streams.kept), (STREAMS as u64, STREAMS as u64), "{report}");
    }
    until("the first instance leaves when its streams have ended", || {
        (host.service().instances.len() == 1).then_some(())
    });
    host.rests_on(Some(21), 1);
}

#[test]
fn streams_past_their_limit_are_ended_in_good_order() {
    let host = host();
    host.configure(&App { replicas: 2, stream_drain: "500ms", ..App::default() });
    host.done(&["deploy"]);
    let meter = host.meter(Load { sse: 10, websockets: 10, uploads: 0, ..host.load(200.0) });
    for number in 2..=3 {
        next_release(&host, &meter, number);
    }
    until("the old releases have left", || (host.service().instances.len() == 2).then_some(()));
    host.rests_on(Some(3), 2);
    let report = host.clean_report(meter);
    assert!(report.sse.ended_by_server >= 10 && report.websockets.ended_by_server >= 10, "{report}");
}

/// Requests that take longer than everything else of a deployment are waited for. The program is no help: it dies at once
/// when it is told to stop. Seen to fail with requests that count neither for the drain nor for the retirement.
#[test]
fn a_slow_request_finishes_on_the_release_that_took_it() {
    let host = host();
    host.configure(&App::with(&["--latency", "1500", "--on-term", "exit"]));
    host.done(&["deploy"]);
    let meter = host.meter(Load { sse: 0, websockets: 0, ..host.load(40.0) });
    for number in 2..=3 {
        next_release(&host, &meter, number);
    }
    host.clean_report(meter);
    host.rests_on(Some(3), 1);
}
