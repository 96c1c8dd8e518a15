//! Everything at once, against the sample service.

use std::path::Path;
use std::time::Duration;

use clap::Parser;
use cutover_meter::{Class, Kind, Load, Meter, StartError};
use cutover_sample::Options;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{LIMIT, until};

/// A sample in this process.
struct Sample {
    load: Load,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<u8>>,
}

async fn sample(arguments: &[&str]) -> Sample {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = listener.local_addr().unwrap().into();
    let options = Options::parse_from(["sample"].iter().chain(arguments));
    let (stop, told) = oneshot::channel();
    let task = tokio::spawn(cutover_sample::run_on(listener, options, async {
        let _ = told.await;
    }));
    let load = Load { rate: 400.0, upload_for: Duration::from_millis(300), ..Load::sample(url) };
    Sample { load, stop, task }
}

fn ledger_argument(path: &Path) -> String {
    format!("--ledger={}", path.display())
}

/// Seen to fail with `open` not counted down, and with good orders not noted in the book.
#[tokio::test]
async fn a_well_behaved_service_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let sample = sample(&["--release", "7", &ledger_argument(&ledger)]).await;
    let running = Meter::start(sample.load).unwrap();
    running.expect_release("7");
    until(&running, "all kinds", |report| {
        let streams = report.sse.received > 10 && report.websockets.echoed > 10;
        streams && report.uploads.done > 2 && report.requests.answered > 300
    })
    .await;
    let mut report = running.stop().await;
    report.check_ledger(&ledger).unwrap();
    assert!(report.clean(), "{report}");
    let all = report.requests;
    assert_eq!((all.sent, all.failed, all.retries), (all.answered, 0, 0));
    let check = report.ledger.clone().unwrap();
    assert_eq!(check.counted_unanswered, 0, "every order was answered");
    assert_eq!((check.sent, check.counted), (all.posts - report.uploads.begun, check.sent));
    for streams in [report.sse, report.websockets] {
        assert_eq!((streams.opened, streams.kept, streams.open, streams.unanswered), (2, 2, 0, 0), "{report}");
    }
    assert_eq!((report.releases.len(), report.releases[0].name.as_str()), (1, "7"));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["requests"]["failed"], 0);
    assert!(json["latency"]["p99_9_ms"].as_f64().unwrap() > 0.0, "{json}");
    assert!(
        report.to_string().ends_with("verdict      clean: nothing lost, duplicated, misrouted or cut\n"),
        "{report}"
    );
}

/// The open loop keeps its rate. Seen to fail with the slots of one client given to all of them.
#[tokio::test]
async fn the_rate_is_what_was_asked_for() {
    let sample = sample(&[]).await;
    let load = Load { sse: 0, websockets: 0, uploads: 0, ..sample.load };
    let running = Meter::start(load).unwrap();
    until(&running, "a while", |report| report.elapsed >= Duration::from_millis(1500)).await;
    let report = running.stop().await;
    let rate = report.requests.sent as f64 / report.elapsed.as_secs_f64();
    // A machine that is too busy sends less. What must not be is more.
    assert!((200.0..440.0).contains(&rate), "{report}");
}

/// Seen to fail with a server's proper end of a stream counted as a cut.
#[tokio::test]
async fn a_graceful_stop_ends_streams_properly() {
    let sample = sample(&[]).await;
    let load = Load { reused: 0, peek: 0, fresh: 0, uploads: 0, ..sample.load };
    let running = Meter::start(load).unwrap();
    until(&running, "streams", |report| report.sse.received > 3 && report.websockets.echoed > 3).await;
    sample.stop.send(()).unwrap();
    assert_eq!(tokio::time::timeout(LIMIT, sample.task).await.unwrap().unwrap().unwrap(), 0);
    until(&running, "ends", |report| report.stream_ends.len() == 4).await;
    let report = running.stop().await;
    assert_eq!((report.sse.ended_by_server, report.websockets.ended_by_server), (2, 2), "{report}");
    // Nobody listens any more, so opening them again is refused.
    assert_eq!(report.count(Class::Cut), 0, "{report}");
    assert!(report.stream_ends.iter().all(|end| end.proper));
    assert!(report.stream_ends.iter().any(|end| end.client == Kind::WebSocket && end.how == "close code 1001"));
}

/// Seen to fail with status 500 put into another class.
#[tokio::test]
async fn failures_are_counted_one_by_one() {
    let sample = sample(&["--fail-first", "25"]).await;
    let load = Load { sse: 0, websockets: 0, uploads: 0, ..sample.load };
    let running = Meter::start(load).unwrap();
    until(&running, "answers", |report| report.requests.answered >= 100).await;
    let report = running.stop().await;
    assert_eq!((report.count(Class::Status5xx), report.requests.failed), (25, 25), "{report}");
    assert_eq!((report.certainty.failures, report.certainty.requests), (25, report.requests.sent));
}

/// Seen to fail with failed uploads not counted, and with streams that break counted as ended.
#[tokio::test]
async fn a_crash_is_seen_by_every_kind_of_client() {
    let sample = sample(&["--exit-after", "600"]).await;
    let load = Load { upload_for: Duration::from_secs(5), ..sample.load };
    let running = Meter::start(load).unwrap();
    until(&running, "refusals", |report| report.count(Class::Refused) > 20).await;
    let report = running.stop().await;
    assert_eq!((report.sse.cut, report.websockets.cut), (2, 2), "{report}");
    assert!(report.uploads.failed >= 2 && report.uploads.done == 0, "{report}");
    let lost = [Class::ResetOnReused, Class::ClosedWithoutAnswer].iter().map(|class| report.count(*class)).sum::<u64>();
    assert!(lost >= 8, "each careless client loses the request that meets the closed connection: {report}");
    assert!(report.longest_gap.length > Duration::ZERO && !report.clean());
}

#[tokio::test]
async fn a_load_on_a_thread_of_its_own_needs_no_runtime_to_stop() {
    let sample = sample(&[]).await;
    let running = Meter::start_on_thread(sample.load).unwrap();
    assert!(running.answers(50, LIMIT).await);
    let report = tokio::task::spawn_blocking(|| running.stop_blocking()).await.unwrap();
    assert!(report.clean(), "{report}");
}

#[tokio::test]
async fn a_load_that_makes_no_sense_is_refused() {
    let url: cutover_meter::Url = "http://127.0.0.1:1/".parse().unwrap();
    let load = Load { rate: f64::NAN, ..Load::new(url.clone()) };
    assert!(matches!(Meter::start(load), Err(StartError::Load(_))));
    let load = Load { reused: 0, peek: 0, fresh: 0, ..Load::new(url) };
    assert!(matches!(Meter::start(load), Err(StartError::Load(_))));
}
