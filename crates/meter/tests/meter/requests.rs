//! Lost requests: every way in which an answer can fail to come.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cutover_meter::{Class, Kind, Load, Meter};

use crate::rogue::{Rogue, answer, right};
use crate::{load, only, until};

/// Seen to fail with `ConnectionRefused` mapped to `Unreachable`.
#[tokio::test]
async fn refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let report = only(load(address.into()), Class::Refused).await;
    assert_eq!((report.requests.answered, report.failures[0].sent), (0, 0));
    // A closed loop does not ask a refusing server in a busy loop.
    assert!(report.requests.sent as u128 <= 2 + report.elapsed.as_millis() / 10, "{report}");
}

/// Seen to fail with the reused connection's fault retried on a new one, and with both resets counted as one class.
#[tokio::test]
async fn reset_on_a_reused_connection() {
    let url = Rogue::start(|mut peer| {
        let request = peer.request().unwrap();
        peer.send(&right(&request));
        peer.wait_unread();
    });
    let report = only(load(url), Class::ResetOnReused).await;
    assert!(report.failures[0].reused && report.failures[0].client == Kind::Naive);
    assert!(report.requests.answered > 0 && report.requests.retries == 0);
}

/// Seen to fail with both resets counted as one class.
#[tokio::test]
async fn reset_on_a_new_connection() {
    let url = Rogue::start(|mut peer| peer.wait_unread());
    let load = Load { reused: 0, fresh: 1, ..load(url) };
    assert!(!only(load, Class::ResetOnFresh).await.failures[0].reused);
}

/// Seen to fail with the end of the connection counted as a reset.
#[tokio::test]
async fn closed_without_an_answer() {
    let url = Rogue::start(|mut peer| {
        peer.request();
        peer.close();
    });
    let failure = &only(load(url), Class::ClosedWithoutAnswer).await.failures[0];
    assert!(failure.sent > 0 && failure.received == 0, "{failure}");
}

/// Seen to fail with the end of the connection taken for the end of every body.
#[tokio::test]
async fn truncated_by_a_close_or_a_reset() {
    for (head, reset) in
        [("content-length: 10", false), ("transfer-encoding: chunked", false), ("content-length: 10", true)]
    {
        let url = Rogue::start(move |mut peer| {
            // For the reset, the request is left unread.
            if reset {
                peer.wait_unread();
            } else {
                peer.request();
            }
            peer.send(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello"));
            if !reset {
                peer.close();
            }
        });
        let report = only(load(url), Class::Truncated).await;
        assert!(report.failures[0].received > 0);
    }
}

/// Seen to fail with the time limit taken off `ask`.
#[tokio::test]
async fn timeout() {
    let url = Rogue::start(|mut peer| while peer.request().is_some() {});
    let load = Load { timeout: Duration::from_millis(100), ..load(url) };
    let report = only(load, Class::Timeout).await;
    assert!(report.failures[0].at >= Duration::from_millis(100));
}

/// Seen to fail with `judge::status` taken out.
#[tokio::test]
async fn failure_statuses() {
    let url = Rogue::answering(|request| answer(request, "502 Bad Gateway", ""));
    only(load(url), Class::Status5xx).await;
    let url = Rogue::answering(|request| answer(request, "404 Not Found", ""));
    only(load(url), Class::StatusOther).await;
}

/// Seen to fail with `judge::id` taken out.
#[tokio::test]
async fn lost_and_wrong_ids() {
    let url = Rogue::answering(|_| "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into());
    only(load(url), Class::LostId).await;
    let last = Mutex::new(String::from("none-before"));
    let url = Rogue::answering(move |request| {
        let before = std::mem::replace(&mut *last.lock().unwrap(), request.id.clone());
        format!("HTTP/1.1 200 OK\r\nx-request-id: {before}\r\ncontent-length: 0\r\n\r\n")
    });
    only(load(url), Class::WrongId).await;
}

/// Seen to fail with `judge::body` taken out.
#[tokio::test]
async fn altered_body() {
    let url = Rogue::answering(|request| {
        answer(request, "200 OK", &format!("x-sample-body: {}:00000000\r\n", request.body.len()))
    });
    let mut load = Load { post_share: 1.0, ..load(url) };
    load.expect.body_header = Some("x-sample-body".into());
    only(load, Class::AlteredBody).await;
}

/// Seen to fail with `looks_closed` always false: the careful client then meets what the careless one does.
#[tokio::test]
async fn a_careful_client_notices_a_close() {
    let url = Rogue::start(|mut peer| {
        let request = peer.request().unwrap();
        peer.send(&right(&request));
    });
    let think = Duration::from_millis(30)..Duration::from_millis(40);
    let running = Meter::start(Load { reused: 0, peek: 1, think, ..load(url) }).unwrap();
    until(&running, "closes", |report| report.requests.closes_noticed >= 3).await;
    let report = running.stop().await;
    assert!(report.clean(), "{report}");
}

/// Seen to fail with the connection kept in spite of `connection: close`.
#[tokio::test]
async fn an_announced_close_is_no_failure() {
    let connections = Arc::new(AtomicUsize::new(0));
    let seen = connections.clone();
    let url = Rogue::start(move |mut peer| {
        seen.fetch_max(peer.number + 1, Ordering::SeqCst);
        let request = peer.request().unwrap();
        peer.send(&answer(&request, "200 OK", "connection: close\r\n"));
    });
    let running = Meter::start(load(url)).unwrap();
    until(&running, "answers", |report| report.requests.answered >= 10).await;
    let report = running.stop().await;
    assert!(report.clean() && connections.load(Ordering::SeqCst) >= 10, "{report}");
}

/// Seen to fail with every latency counted from when the request was sent.
#[tokio::test]
async fn a_stall_counts_from_when_requests_were_due() {
    let stalled = AtomicUsize::new(0);
    let url = Rogue::answering(move |request| {
        if stalled.fetch_add(1, Ordering::SeqCst) == 20 {
            std::thread::sleep(Duration::from_millis(500));
        }
        right(request)
    });
    let running = Meter::start(Load { rate: 200.0, ..load(url) }).unwrap();
    until(&running, "answers", |report| report.requests.answered >= 200).await;
    let report = running.stop().await;
    assert!(report.clean());
    assert!(report.longest_gap.length >= Duration::from_millis(490), "{report}");
    // One request met the stall, but about a hundred of two hundred were due in it.
    assert!(report.latency.p50 >= Duration::from_millis(2), "{report}");
    assert!(report.latency.p99 >= Duration::from_millis(400), "{report}");
}
