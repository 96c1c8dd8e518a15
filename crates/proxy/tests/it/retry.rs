//! The race between an instance that closes an idle connection and a request that is written to it.

use super::support::backend::{Backend, field};
use super::support::proxy::Proxy;
use super::support::table::{SERVING, service};
use super::support::until;

/// An instance that answers the first request of a connection, reads the second and hangs up, as one does that decided to
/// close for idleness before it saw the request.
fn hangs_up() -> Backend {
    Backend::scripted(|mut peer| {
        if let Some(head) = peer.request() {
            let length = field(&head, "content-length").map_or(0, |length| length.parse().unwrap());
            peer.conn.exactly(length);
            peer.ok("ok");
            peer.request();
        }
    })
}

// Seen to fail with the rule allowing everything (the POST arrives twice) and nothing (the GET fails).
#[test]
fn only_an_idempotent_request_is_sent_again() {
    let web = hangs_up();
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    assert_eq!(conn.get("/1").text(), "ok");
    assert_eq!(conn.get("/2").text(), "ok");
    assert_eq!((proxy.service("web").retried, proxy.service("web").failed), (1, 0));
    let answer = conn.post("/3", "x");
    assert_eq!((answer.status, answer.field("cutover-error")), (502, Some("no-answer")));
    assert_eq!(web.seen().iter().filter(|head| head.contains("/3")).count(), 1, "a POST was sent twice");
    assert_eq!((proxy.service("web").retried, proxy.service("web").failed), (1, 1));
    assert_eq!(conn.post("/4", "x").text(), "ok", "on a new connection");
}

#[test]
fn a_new_connection_that_is_closed_is_a_failure() {
    let web = Backend::scripted(|mut peer| drop(peer.request()));
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    assert_eq!(proxy.connect().get("/").status, 502);
    assert_eq!((web.accepted(), proxy.service("web").retried), (1, 0));
}

#[test]
fn a_connection_that_was_closed_before_is_not_used() {
    let web = Backend::scripted(|mut peer| {
        peer.request();
        peer.conn.exactly(1);
        peer.ok("ok");
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    for round in 1..20 {
        assert_eq!(conn.post("/", "x").text(), "ok");
        until("the instance has closed", || web.open() == 0);
        assert_eq!(web.accepted(), round);
    }
    assert_eq!((proxy.service("web").retried, proxy.service("web").failed), (0, 0));
}
