//! Requests that wait for their service.

use std::time::Duration;

use cutover_core::histogram::Histogram;
use cutover_core::table::Mode;

use super::support::backend::Backend;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, hold, service, with};
use super::support::until;

#[test]
fn held_requests_proceed_when_released() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(with(service("web", &[]), |service| service.hold = hold(10_000, 3)));
    let mut conns: Vec<_> = (0..3).map(|_| proxy.connect()).collect();
    for conn in &mut conns {
        conn.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    }
    until("all are held", || proxy.service("web").held == 3);
    let answer = proxy.connect().get("/");
    assert_eq!(
        (answer.status, answer.field("cutover-error"), answer.field("retry-after")),
        (503, Some("hold-full"), Some("1"))
    );
    // Another table that still holds releases nobody.
    proxy.replace(with(service("web", &[("web.r1.i1", web.address, SERVING)]), |service| {
        service.hold = hold(10_000, 3)
    }));
    assert_eq!((proxy.service("web").held, web.accepted()), (3, 0));
    proxy.replace(service("web", &[("web.r1.i1", web.address, SERVING)]));
    for conn in &mut conns {
        assert_eq!(conn.answer().text(), "web");
    }
    assert_eq!(proxy.service("web").held, 0);
}

#[test]
fn waiting_has_an_end() {
    let proxy = Proxy::serving(with(service("web", &[]), |service| service.hold = hold(50, 10)));
    let answer = proxy.connect().get("/");
    assert_eq!((answer.status, answer.field("cutover-error")), (503, Some("hold-timeout")));
    assert_eq!(proxy.service("web").held, 0);
}

#[test]
fn a_client_that_leaves_is_not_held() {
    let proxy = Proxy::serving(with(service("web", &[]), |service| service.hold = hold(60_000, 10)));
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until("it is held", || proxy.service("web").held == 1);
    drop(conn);
    until("it is forgotten", || proxy.service("web").held == 0);
}

#[test]
fn the_gap_counts_while_somebody_waits() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    conn.get("/");
    proxy.ask(|client| async move { client.mark(&"web".to_owned().try_into().unwrap()).await }).unwrap();
    proxy.replace(with(service("web", &[]), |service| service.hold = hold(60_000, 10)));
    conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until("the running gap shows", || proxy.service("web").longest_gap_us > 100_000);
    proxy.replace(service("web", &[("web.r1.i1", web.address, SERVING)]));
    assert_eq!(conn.answer().text(), "web");
    let gap = proxy.service("web").longest_gap_us;
    assert!(gap > 100_000, "{gap}");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(proxy.service("web").longest_gap_us, gap, "silence is no gap");
    let marked = proxy.ask(|client| async move { client.mark(&"web".to_owned().try_into().unwrap()).await }).unwrap();
    assert_eq!((marked.longest_gap_us, proxy.service("web").longest_gap_us), (gap, 0));
}

/// What a request waits for before an instance has it is not that instance's doing. Seen to fail with the time counted from the
/// request's arrival, as it is by service.
#[test]
fn the_time_that_a_request_waited_is_not_its_instances() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(with(service("web", &[]), |service| service.hold = hold(10_000, 3)));
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until("it has waited for a while", || proxy.service("web").longest_gap_us > 200_000);
    proxy.replace(service("web", &[("web.r1.i1", web.address, SERVING), ("web.r2.i2", web.address, Mode::Registered)]));
    assert_eq!(conn.answer().text(), "web");
    let of = |latency: Histogram| (latency.total(), latency.quantile(1.0).unwrap_or_default());
    let (by_service, by_target) = (of(proxy.service("web").latency), of(proxy.target("web.r1.i1").latency.unwrap()));
    assert_eq!((by_service.0, by_target.0), (1, 1));
    assert!(
        by_service.1 > Duration::from_millis(200) && by_target.1 < Duration::from_millis(150),
        "{by_service:?} {by_target:?}"
    );
    assert_eq!(proxy.target("web.r2.i2").latency, None, "nobody asked it: it costs nothing");
}
