//! Requests that were answered, but by the wrong one or more than once.

use std::io::Write;
use std::sync::{Arc, Mutex};

use cutover_meter::{Class, Load, Meter};

use crate::rogue::{Rogue, answer, right};
use crate::{load, only, until};

/// Seen to fail with `permits` always true.
#[tokio::test]
async fn the_old_release_answers_after_the_switch() {
    let release = Arc::new(Mutex::new("1"));
    let serving = release.clone();
    let url = Rogue::answering(move |request| {
        let release = *serving.lock().unwrap();
        answer(request, "200 OK", &format!("x-release: {release}\r\n"))
    });
    let mut load = load(url);
    load.expect.release_header = Some("x-release".into());
    let running = Meter::start(load).unwrap();
    running.expect_release("1");
    until(&running, "release 1", |report| report.requests.answered >= 10).await;
    running.allow_releases(&["1", "2"]);
    *release.lock().unwrap() = "2";
    until(&running, "release 2", |report| report.releases.len() == 2).await;
    running.expect_release("2");
    assert_eq!(running.snapshot().requests.failed, 0, "the switch itself is no failure");
    *release.lock().unwrap() = "1";
    until(&running, "wrong release", |report| report.count(Class::WrongRelease) > 0).await;
    let report = running.stop().await;
    assert_eq!(report.count(Class::WrongRelease), report.requests.failed, "{report}");
}

/// Seen to fail with the missing header let through.
#[tokio::test]
async fn an_answer_that_does_not_name_its_release_is_wrong_when_one_is_expected() {
    let mut load = load(Rogue::answering(right));
    load.expect.release_header = Some("x-release".into());
    let running = Meter::start(load).unwrap();
    until(&running, "answers", |report| report.requests.answered > 0).await;
    assert_eq!(running.snapshot().requests.failed, 0);
    running.expect_release("1");
    until(&running, "wrong release", |report| report.count(Class::WrongRelease) > 0).await;
    running.stop().await;
}

/// Seen to fail with the service not compared.
#[tokio::test]
async fn another_service_answers() {
    // With a failure status, too: that it is misrouted says more than that it failed.
    for status in ["200 OK", "404 Not Found"] {
        let url = Rogue::answering(move |request| answer(request, status, "x-service: blog\r\n"));
        let mut load = load(url);
        load.expect.service = Some(("x-service".into(), "shop".into()));
        only(load, Class::WrongService).await;
    }
}

/// Seen to fail with a count of two taken for one, and with a count of none taken for one.
#[tokio::test]
async fn the_ledger_has_ids_twice_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let ledger = Mutex::new((std::fs::File::create(&path).unwrap(), 0usize));
    let url = Rogue::answering(move |request| {
        assert!(request.line.starts_with("POST "));
        let mut ledger = ledger.lock().unwrap();
        let times = [1, 0, 2, 1][ledger.1 % 4];
        ledger.1 += 1;
        for _ in 0..times {
            writeln!(ledger.0, "{} 1", request.id).unwrap();
        }
        // The fourth is counted, but its answer is a failure: that is nobody's duplicate and nobody's loss.
        if ledger.1.is_multiple_of(4) { answer(request, "503 Late", "") } else { right(request) }
    });
    let running = Meter::start(Load { post_share: 1.0, ..load(url) }).unwrap();
    until(&running, "orders", |report| report.requests.sent >= 40).await;
    let mut report = running.stop().await;
    std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"m0-o7 1\n").unwrap();
    let sent = report.requests.sent;
    let check = report.check_ledger(&path).unwrap().clone();
    assert_eq!(check.sent, sent);
    assert_eq!(check.lost, (sent + 2) / 4, "{check:?}");
    assert_eq!(check.duplicated, (sent + 1) / 4, "{check:?}");
    assert_eq!(check.counted_unanswered, sent / 4, "{check:?}");
    assert_eq!((check.unknown, check.clean()), (0, false));
    assert_eq!((report.count(Class::LostId), report.count(Class::DuplicatedId)), (check.lost, check.duplicated));
}
