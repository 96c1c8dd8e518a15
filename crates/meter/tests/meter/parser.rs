//! Answers in every framing that HTTP/1.1 knows, and in some that it does not.

use cutover_meter::{Class, Load, Meter};

use crate::rogue::Rogue;
use crate::{load, only, until};

/// Answers that are right, but for a website that knows no ids.
const RIGHT: [&str; 9] = [
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n5;name=value\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nA\r\n0123456789\r\n000\r\nx-trailer: 1\r\nx-more: 2\r\n\r\n",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\ncontent-length: 100\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
    "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx",
    "HTTP/1.1 301 Moved\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
];

/// Answers that a tolerant client would take.
const WRONG: [&str; 11] = [
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ncontent-length: +5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\nhello",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhello",
    "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
    "HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n",
    "hello\r\n\r\n",
];

fn website(answer: &'static str) -> Load {
    let mut load = load(Rogue::answering(move |_| answer.into()));
    load.expect.id_header = None;
    load
}

/// Seen to fail with the trailers left unread, with 304 given a body, and with interim answers taken for the answer.
#[tokio::test]
async fn every_right_framing_is_understood() {
    for answer in RIGHT {
        let running = Meter::start(website(answer)).unwrap();
        until(&running, answer, |report| report.requests.answered + report.requests.failed >= 5).await;
        let report = running.stop().await;
        assert!(report.clean(), "{answer}\n{report}");
    }
}

/// Seen to fail without the check for bytes after the end, and with each check of the head taken out.
#[tokio::test]
async fn every_wrong_framing_is_malformed() {
    for answer in WRONG {
        only(website(answer), Class::Malformed).await;
        // A client that asks no second time must notice as well.
        let once = Load { reused: 0, fresh: 1, ..website(answer) };
        only(once, Class::Malformed).await;
    }
}

/// Seen to fail when HTTP/1.0 was taken to keep its connections.
#[tokio::test]
async fn a_body_may_end_with_the_connection() {
    for answer in [
        "HTTP/1.0 200 OK\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\n\r\nhello",
        "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\nx",
    ] {
        let url = Rogue::start(move |mut peer| {
            peer.request();
            peer.send(answer);
            peer.close();
        });
        let mut load = load(url);
        load.expect.id_header = None;
        let running = Meter::start(load).unwrap();
        until(&running, answer, |report| report.requests.answered + report.requests.failed >= 5).await;
        let report = running.stop().await;
        assert!(report.clean(), "{answer}\n{report}");
    }
}

/// Seen to fail with a head read only when it comes in one piece.
#[tokio::test]
async fn an_answer_may_come_byte_by_byte() {
    let url = Rogue::start(|mut peer| {
        while peer.request().is_some() {
            let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx: y\r\n\r\n";
            for byte in answer.bytes() {
                peer.send_bytes(&[byte]);
                std::thread::yield_now();
            }
        }
    });
    let mut load = load(url);
    load.expect.id_header = None;
    let running = Meter::start(load).unwrap();
    until(&running, "answers", |report| report.requests.answered >= 5).await;
    assert!(running.stop().await.clean());
}
