//! Request bodies: small ones are read before anything is claimed, large ones flow.

use std::sync::mpsc;

use cutover_core::ByteSize;

use super::support::backend::{Backend, field};
use super::support::proxy::Proxy;
use super::support::table::{SERVING, service, with};
use super::support::{comes_to, until};

/// An instance that reads whole bodies and says how long they were.
fn counting() -> Backend {
    Backend::scripted(|mut peer| {
        while let Some(head) = peer.request() {
            let count = match field(&head, "content-length") {
                Some(length) => peer.conn.exactly(length.parse().unwrap()).len(),
                None => std::iter::from_fn(|| peer.conn.chunk()).map(|chunk| chunk.len()).sum(),
            };
            peer.ok(&count.to_string());
        }
    })
}

// Seen to fail with the body buffered after the claim.
#[test]
fn a_slow_small_upload_holds_no_instance() {
    let web = counting();
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    conn.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
    until("the connection is known", || proxy.stats().connections == 1);
    assert_eq!((web.accepted(), proxy.target("web.r1.i1").in_flight), (0, 0));
    conn.send("67890");
    assert_eq!(conn.answer().text(), "10");
    conn.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    comes_to(0, || proxy.target("web.r1.i1").in_flight);
    assert_eq!(web.seen().len(), 1);
    conn.send("2\r\nde\r\n0\r\n\r\n");
    assert_eq!(conn.answer().text(), "5");
}

#[test]
fn large_bodies_flow_in_both_framings() {
    let web = counting();
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    let body = vec![b'x'; 3 << 20];
    conn.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    conn.send(&body);
    assert_eq!(conn.answer().text(), body.len().to_string());
    conn.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for part in body.chunks(100_000) {
        conn.send(format!("{:x}\r\n", part.len()));
        conn.send(part);
        conn.send("\r\n");
    }
    conn.send("0\r\nX-Sum: 1\r\n\r\n");
    assert_eq!(conn.answer().text(), body.len().to_string());
    assert_eq!(conn.post("/", "again").text(), "5", "the connection is in step");
    assert_eq!(web.accepted(), 1);
}

#[test]
fn a_large_upload_waits_for_its_reader() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let web = Backend::scripted(move |mut peer| {
        let head = peer.request().unwrap();
        let _ = wait.lock().unwrap().recv();
        let length = field(&head, "content-length").unwrap().parse().unwrap();
        peer.conn.exactly(length);
        peer.ok("read");
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    let body = vec![b'x'; 64 << 20];
    conn.send(format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    let mut sender = conn.stream.try_clone().unwrap();
    let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, &body).is_ok());
    until("the upload is at the instance", || proxy.target("web.r1.i1").in_flight == 1);
    let memory = std::fs::read_to_string(format!("/proc/{}/statm", proxy.pid())).unwrap();
    let pages: u64 = memory.split(' ').nth(1).unwrap().parse().unwrap();
    assert!(pages * 4096 < 32 << 20, "the upload is kept in memory: {pages} pages");
    assert!(!sending.is_finished(), "64 MiB were taken though nobody reads");
    go.send(()).unwrap();
    assert_eq!(conn.answer().text(), "read");
    assert!(sending.join().unwrap());
}

#[test]
fn too_large_a_body_is_refused() {
    let web = counting();
    let limited = with(service("web", &[("web.r1.i1", web.address, SERVING)]), |service| {
        service.limits.buffer_body = ByteSize(10);
        service.limits.max_body = ByteSize(100_000);
    });
    let proxy = Proxy::serving(limited);
    let mut conn = proxy.connect();
    conn.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100001\r\n\r\n");
    let answer = conn.answer();
    assert_eq!((answer.status, answer.field("cutover-error")), (413, Some("body-too-large")));
    let mut conn = proxy.connect();
    conn.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    conn.send(format!("186a1\r\n{}\r\n0\r\n\r\n", "x".repeat(100_001)));
    assert_eq!(conn.answer().status, 413);
    assert_eq!((proxy.service("web").served, proxy.target("web.r1.i1").in_flight), (0, 0));
}

#[test]
fn a_client_that_waits_is_invited() {
    let web = counting();
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    for length in [5, 100_000] {
        let mut conn = proxy.connect();
        conn.send(format!("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"));
        assert_eq!(conn.head(), "HTTP/1.1 100 Continue\r\n\r\n");
        conn.send("x".repeat(length));
        assert_eq!(conn.answer().text(), length.to_string());
    }
    assert!(!web.seen().concat().contains("Expect"));
}

#[test]
fn an_instance_may_answer_while_it_still_reads() {
    let web = Backend::scripted(|mut peer| {
        peer.request();
        peer.conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while let Some(chunk) = peer.conn.chunk() {
            let head = format!("{:x}\r\n", chunk.len());
            peer.conn.send([head.as_bytes(), &chunk, b"\r\n"].concat());
        }
        peer.conn.send("0\r\n\r\n");
    });
    let unbuffered = with(service("web", &[("web.r1.i1", web.address, SERVING)]), |service| {
        service.limits.buffer_body = ByteSize(0);
    });
    let proxy = Proxy::serving(unbuffered);
    let mut conn = proxy.connect();
    conn.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    conn.head();
    for text in ["b", "c", "d"] {
        assert!(conn.chunk().is_some());
        conn.send(format!("1\r\n{text}\r\n"));
    }
    assert_eq!(conn.chunk().unwrap(), b"d");
    conn.send("0\r\n\r\n");
    assert_eq!(conn.chunk(), None);
}

#[test]
fn an_early_refusal_reaches_the_client() {
    let web = Backend::scripted(|mut peer| {
        peer.request();
        peer.conn.send("HTTP/1.1 413 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    conn.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nxxxx");
    let answer = conn.answer();
    assert_eq!((answer.status, answer.text(), answer.field("connection")), (413, "no", Some("close")));
}
