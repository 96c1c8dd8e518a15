//! Waits that end.

use std::time::Duration;

use super::support::backend::Backend;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, service, with};
use super::support::until;

#[test]
fn an_instance_that_does_not_answer_is_given_up() {
    let web = Backend::scripted(|mut peer| {
        peer.request();
        // Until the proxy hangs up.
        peer.request();
    });
    let proxy = Proxy::serving(with(service("web", &[("web.r1.i1", web.address, SERVING)]), |service| {
        service.limits.answer = Duration::from_millis(100);
    }));
    let mut conn = proxy.connect();
    let answer = conn.get("/");
    assert_eq!((answer.status, answer.field("cutover-error")), (504, Some("answer-timeout")));
    until("the connection to the instance is closed", || web.open() == 0);
    assert_eq!((proxy.target("web.r1.i1").failed, proxy.target("web.r1.i1").in_flight), (1, 0));
    assert_eq!(conn.get("/").status, 504, "the client's connection lives on");
}

#[test]
fn a_head_may_come_byte_by_byte() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    for byte in "\r\n\r\nPOST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n".bytes() {
        conn.send([byte]);
        // Another question in between, so that the bytes arrive one by one.
        proxy.stats();
    }
    assert_eq!(conn.answer().status, 200);
}

#[test]
fn idle_connections_to_an_instance_are_closed_in_time() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(with(service("web", &[("web.r1.i1", web.address, SERVING)]), |service| {
        service.limits.keep_idle = Duration::from_millis(100);
    }));
    assert_eq!(proxy.connect().get("/").text(), "web");
    until("the proxy closes it", || web.open() == 0);
    assert_eq!(proxy.target("web.r1.i1").idle, 0);
}

#[test]
fn a_request_whose_client_left_is_not_waited_for() {
    let web = Backend::scripted(|mut peer| {
        peer.request();
        peer.request();
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until("it is in flight", || proxy.target("web.r1.i1").in_flight == 1);
    drop(conn);
    until("it is given up", || proxy.target("web.r1.i1").in_flight == 0 && web.open() == 0);
    let stats = proxy.service("web");
    assert_eq!((stats.served, stats.failed), (0, 0), "it is nobody's failure");
}

#[test]
fn a_client_that_closes_its_half_still_gets_its_last_answer() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let web = Backend::scripted(move |mut peer| {
        peer.request();
        wait.lock().unwrap().recv().unwrap();
        peer.ok("late");
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.0\r\n\r\n");
    conn.finish();
    until("it is in flight", || proxy.target("web.r1.i1").in_flight == 1);
    go.send(()).unwrap();
    assert_eq!(conn.answer().text(), "late");
}
