//! How long clients may take.

use std::time::{Duration, Instant};

use super::support::backend::Backend;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, routes, service, with};
use super::support::until;

/// What is configured, not what was built in: that is half a minute and more. Of two services the longer counts.
#[test]
fn slow_clients_are_given_up_in_the_time_that_is_configured() {
    let web = Backend::named("web");
    let slow = |name: &str, head: u64| {
        with(service(name, &[(&*format!("{name}.r1.i1"), web.address, SERVING)]), |service| {
            service.limits.head = Duration::from_millis(head);
            service.limits.client_idle = Duration::from_millis(400);
            service.limits.body_pause = Duration::from_millis(300);
        })
    };
    let proxy = Proxy::start();
    let listener = routes(proxy.address, &[(&[], "/", "web"), (&[], "/other", "other")]);
    proxy.publish(vec![listener], vec![slow("web", 200), slow("other", 700)]);
    let began = Instant::now();
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHo");
    let answer = conn.answer();
    assert_eq!((answer.status, answer.field("cutover-error")), (408, Some("slow-request")));
    assert!(began.elapsed() >= Duration::from_millis(700), "{:?}", began.elapsed());
    for length in [10, 1_000_000] {
        let mut conn = proxy.connect();
        conn.send(format!("POST / HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\nhi"));
        assert_eq!(conn.answer().status, 408, "a body of {length} bytes");
    }
    let mut conn = proxy.connect();
    assert_eq!(conn.get("/").text(), "web");
    until("the idle connection is closed", || conn.closed());
}
