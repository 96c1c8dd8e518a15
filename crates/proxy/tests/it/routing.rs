//! Which instance answers, and what the proxy says when none does.

use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

use cutover_core::table::{Balance, Mode};

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, preview, routes, service, table, with};
use super::support::{comes_to, free_address, until};

#[test]
fn the_most_specific_route_answers() {
    let (shop, api) = (Backend::named("shop"), Backend::named("api"));
    let proxy = Proxy::start();
    let services = vec![
        service("shop", &[("shop.r1.i1", shop.address, SERVING)]),
        service("api", &[("api.r1.i1", api.address, SERVING)]),
    ];
    proxy.publish(vec![routes(proxy.address, &[(&["test"], "/", "shop"), (&[], "/api", "api")])], services);
    let mut conn = proxy.connect();
    assert_eq!(conn.get("/api").text(), "shop", "an exact host comes first");
    conn.send("GET /api/x HTTP/1.1\r\nHost: other\r\n\r\n");
    assert_eq!(conn.answer().text(), "api");
    conn.send("GET /apix HTTP/1.1\r\nHost: other:80\r\n\r\n");
    let answer = conn.answer();
    assert_eq!((answer.status, answer.field("cutover-error")), (404, Some("no-route")));
    assert_eq!(answer.text(), "cutover: no service is routed for other:80 /apix\n");
    assert_eq!(conn.get("/").text(), "shop", "a refusal keeps the connection");
}

#[test]
fn a_failure_says_whose_it_is() {
    let dead = free_address();
    let proxy = Proxy::serving(service("web", &[]));
    let mut conn = proxy.connect();
    let answer = conn.get("/");
    assert_eq!((answer.status, answer.field("cutover-error")), (503, Some("no-target")));
    let web = service("web", &[("web.r1.i1", dead, SERVING)]);
    proxy.replace(with(web, |web| web.limits.connect = Duration::from_millis(100)));
    let answer = conn.get("/");
    assert_eq!((answer.status, answer.field("cutover-error")), (502, Some("unreachable")));
    assert!(answer.text().contains(&format!("web.r1.i1 at {dead}")), "{}", answer.text());
    assert_eq!((proxy.service("web").failed, proxy.target("web.r1.i1").failed), (2, 1));
}

/// The only instance crashed and is started again: who asks meanwhile waits, for nothing was sent to anybody.
// Seen to fail (502 at once) with `is_patient` answering false.
#[test]
fn a_request_waits_for_an_instance_that_comes_back() {
    let address = free_address();
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", address, SERVING)]));
    let mut conn = proxy.connect();
    conn.send("POST /order HTTP/1.1\r\nHost: web\r\nContent-Length: 1\r\n\r\nx");
    until("the request waits", || proxy.service("web").held == 1);
    let back = TcpListener::bind(address).unwrap();
    let (mut stream, _) = back.accept().unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nback").unwrap();
    assert_eq!(conn.answer().text(), "back");
    comes_to((1, 0, 0), || (proxy.service("web").served, proxy.service("web").failed, proxy.service("web").held));
}

#[test]
fn a_target_that_refuses_connections_costs_no_request() {
    let good = Backend::named("good");
    let targets = [("web.r1.i1", free_address(), SERVING), ("web.r1.i2", good.address, SERVING)];
    let proxy = Proxy::serving(service("web", &targets));
    let mut conn = proxy.connect();
    for _ in 0..20 {
        assert_eq!(conn.post("/", "x").text(), "good");
    }
    comes_to((20, 0), || (proxy.service("web").served, proxy.service("web").failed));
    // It is asked once, then passed over for a second.
    assert!(proxy.target("web.r1.i1").failed <= 2, "{:?}", proxy.target("web.r1.i1"));
}

#[test]
fn weights_are_shares() {
    for balance in [Balance::RoundRobin, Balance::LeastConnections] {
        let (old, new) = (Backend::named("old"), Backend::named("new"));
        let weight = |weight| Mode::Serving { weight };
        let targets = [("web.r1.i1", old.address, weight(90)), ("web.r2.i2", new.address, weight(10))];
        let proxy = Proxy::serving(with(service("web", &targets), |service| service.balance = balance));
        let mut conn = proxy.connect();
        for _ in 0..100 {
            conn.get("/");
        }
        assert_eq!((old.seen().len(), new.seen().len()), (90, 10), "{balance:?}");
    }
}

#[test]
fn a_token_chooses_the_instance_and_names_it() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let targets = [("web.r1.i1", old.address, SERVING), ("web.r2.i2", new.address, Mode::Registered)];
    let proxy = Proxy::serving(service("web", &targets));
    let mut conn = proxy.connect();
    assert_eq!(conn.get_with("/", "cutover-instance: web.r2.i2\r\n").text(), "old", "without a token");
    assert_eq!(conn.get_with("/", "cutover-token: wrong!\r\ncutover-instance: web.r2.i2\r\n").text(), "old");
    let answer = conn.get_with("/", "Cutover-Token: secret\r\nCutover-Instance: web.r2.i2\r\n");
    assert_eq!(answer.text(), "new");
    assert_eq!((answer.field("cutover-instance"), answer.field("cutover-release")), (Some("web.r2.i2"), Some("2")));
    let answer = conn.get_with("/", "cutover-token: secret\r\n");
    assert_eq!((answer.text(), answer.field("cutover-instance")), ("old", Some("web.r1.i1")));
    assert_eq!(conn.get("/").field("cutover-instance"), None);
    let answer = conn.get_with("/", "cutover-token: secret\r\ncutover-instance: web.r9.i9\r\n");
    assert_eq!((answer.status, answer.field("cutover-error")), (503, Some("no-such-instance")));
    let heads = [old.seen(), new.seen()].concat().join("").to_lowercase();
    assert!(!heads.contains("cutover"), "the token reached an instance:\n{heads}");
    proxy.replace(service("web", &[targets[0], ("web.r2.i2", new.address, Mode::Draining)]));
    let answer = conn.get_with("/", "cutover-token: secret\r\ncutover-instance: web.r2.i2\r\n");
    assert_eq!(answer.status, 503, "a draining instance takes nothing, also by name");
}

#[test]
fn a_listener_that_leaves_the_table_closes_and_others_do_not_notice() {
    let web = Backend::named("web");
    let proxy = Proxy::start();
    let other = free_address();
    let services = || vec![service("web", &[("web.r1.i1", web.address, SERVING)])];
    proxy.publish(vec![http(proxy.address, "web"), http(other, "web")], services());
    let (mut stays, mut leaves) = (proxy.connect(), Conn::to(other));
    assert_eq!((stays.get("/").text(), leaves.get("/").text()), ("web", "web"));
    proxy.publish(vec![http(proxy.address, "web")], services());
    assert!(std::net::TcpStream::connect(other).is_err(), "still listening after the acknowledgement");
    until("the idle connection is closed", || leaves.closed());
    for _ in 0..10 {
        proxy.publish(vec![http(proxy.address, "web")], services());
        assert_eq!(stays.get("/").text(), "web", "a table change touched a connection of another listener");
    }
    proxy.publish(vec![http(proxy.address, "web"), http(other, "web")], services());
    assert_eq!(Conn::to(other).get("/").text(), "web");
}

/// Seen to fail with a preview that goes by the weights, and with one that counts what comes there.
#[test]
fn a_preview_shows_the_new_release_and_nobody_else_sees_it() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let proxy = Proxy::start();
    let at = free_address();
    let publish = |mode, release: Option<u32>| {
        let targets = [("web.r1.i1", old.address, SERVING), ("web.r2.i2", new.address, mode)];
        let listeners = vec![routes(proxy.address, &[(&["shop"], "/shop", "web")]), preview(at, "web", release)];
        proxy.publish(listeners, vec![service("web", &targets)]);
    };
    publish(Mode::Draining, None);
    let mut person = Conn::to(at);
    let answer = person.get("/any");
    assert_eq!((answer.status, answer.field("cutover-error")), (503, Some("no-preview")));
    assert!(answer.text().contains("there is no new release of web to look at now"), "{}", answer.text());
    for mode in [Mode::Registered, SERVING] {
        publish(mode, Some(2));
        for _ in 0..4 {
            let answer = person.get_with("/shop/any", "Cookie: cutover-canary-web=1.1\r\n");
            assert_eq!((answer.text(), answer.field("cutover-release")), ("new", Some("2")));
        }
    }
    publish(Mode::Draining, Some(2));
    assert_eq!(person.get("/").status, 503, "it is taken back");
    publish(Mode::Registered, Some(3));
    assert_eq!(person.get("/").status, 503, "none of its instances is known yet");
    let web = proxy.service("web");
    assert_eq!((web.served, web.failed, web.errors, web.latency.total(), web.longest_gap_us), (0, 0, 0, 0, 0));
    assert_eq!((proxy.target("web.r2.i2").served, proxy.target("web.r2.i2").failed), (0, 0));
    assert!(old.seen().is_empty());
}

/// A preview is a convenience: that its address is taken must not keep the traffic from coming back after a crash. Seen to fail
/// (the proxy does not start) with the address of a preview required.
#[test]
fn traffic_comes_back_although_a_preview_cannot() {
    let web = Backend::named("web");
    let proxy = Proxy::start();
    let at = free_address();
    let targets = [("web.r1.i1", web.address, SERVING)];
    let publish = |proxy: &Proxy| {
        proxy.try_publish(table(
            vec![http(proxy.address, "web"), preview(at, "web", None)],
            vec![service("web", &targets)],
        ))
    };
    let stranger = TcpListener::bind(at).unwrap();
    assert!(publish(&proxy).is_err(), "at first somebody must be told");
    drop(stranger);
    publish(&proxy).unwrap();
    let taken = std::cell::Cell::new(None);
    let proxy = proxy.crash_and_start_with(|| taken.set(Some(TcpListener::bind(at).unwrap())));
    assert_eq!(proxy.connect().get("/").text(), "web");
    publish(&proxy).unwrap();
    drop(taken.take());
    publish(&proxy).unwrap();
    assert_eq!(Conn::to(at).get("/").status, 503, "it listens as soon as it can");
}
