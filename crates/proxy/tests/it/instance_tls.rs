//! TLS to instances: what they get and what comes back, connections that are kept, files that change.

use std::net::SocketAddr;
use std::time::Duration;

use cutover_core::table::{Limits, Protocol, Service};
use cutover_core::tls::InstanceTls;

use super::support::backend::{Backend, field};
use super::support::client::Conn;
use super::support::h2c::{self, Instance};
use super::support::proxy::Proxy;
use super::support::sheath::{EACH, Manner, Said, Sheath};
use super::support::table::{SERVING, http, service, tcp, with};
use super::support::tls::{Authority, Files, to_instances};
use super::support::{comes_to, free_address, until};

/// The service `web` with one instance at this address.
fn web(address: SocketAddr, tls: &InstanceTls) -> Service {
    to_instances(service("web", &[("web.r1.i1", address, SERVING)]), tls)
}

/// The same name for everybody.
fn named(tls: InstanceTls) -> InstanceTls {
    InstanceTls { name: Some("web.internal".to_owned()), ..tls }
}

/// Seen to fail with the name left out of the handshake, and with connections that are not put back.
#[test]
fn requests_pass_over_connections_that_are_kept() {
    let (authority, plain) = (Authority::new(), Backend::named("web"));
    let sheath = Sheath::before(plain.address, &Manner::of(&authority.sign("web", &["web.internal"])));
    let proxy = Proxy::serving(web(sheath.address, &named(authority.to_instances())));
    let mut conn = proxy.connect();
    for _ in 0..5 {
        assert_eq!(conn.get("/").text(), "web");
        assert_eq!(conn.post("/", "hello").text(), "web");
    }
    let expected = Said {
        name: Some("web.internal".to_owned()),
        inside: Some("http/1.1".to_owned()),
        shown: None,
        resumed: false,
    };
    assert_eq!(sheath.said(), [expected]);
    assert_eq!(field(&plain.seen()[0], "x-forwarded-proto").as_deref(), Some("http"), "what the client spoke");
    comes_to((10, 0), || (proxy.service("web").served, proxy.service("web").failed));
}

/// The address is what a certificate must be for where no name is given. An instance that knows nothing of protocols inside TLS is taken to
/// speak HTTP/1.1.
#[test]
fn without_a_name_the_address_is_what_counts() {
    let (authority, plain) = (Authority::new(), Backend::named("web"));
    let manner = Manner { inside: &[], ..Manner::of(&authority.sign("web", &["127.0.0.1"])) };
    let sheath = Sheath::before(plain.address, &manner);
    let proxy = Proxy::serving(web(sheath.address, &authority.to_instances()));
    assert_eq!(proxy.connect().get("/").text(), "web");
    assert_eq!((sheath.said()[0].name.clone(), sheath.said()[0].inside.clone()), (None, None));
}

/// Larger than any buffer on the way, both ways. Seen to fail with a write of which only a part went out taken for a whole one, and with
/// what comes behind a full buffer thrown away.
#[test]
fn large_bodies_pass_whole() {
    const SIZE: usize = 3 << 20;
    let (authority, plain) = (
        Authority::new(),
        Backend::scripted(|mut peer| {
            while let Some(head) = peer.request() {
                let length = field(&head, "content-length").unwrap().parse().unwrap();
                let body = peer.conn.exactly(length);
                peer.conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n"));
                peer.conn.send(body);
            }
        }),
    );
    let sheath = Sheath::before(plain.address, &Manner::of(&authority.sign("web", &["web.internal"])));
    let proxy = Proxy::serving(web(sheath.address, &named(authority.to_instances())));
    let body: String = (0..SIZE).map(|index| char::from(b'a' + (index % 23) as u8)).collect();
    let mut conn = proxy.connect();
    for _ in 0..3 {
        assert!(conn.post("/", &body).text() == body, "it came back as something else");
    }
    assert_eq!(sheath.accepted(), 1);
}

/// Both versions of TLS, and what the instance sees. Seen to fail with the certificate left out.
#[test]
fn an_instance_that_asks_is_shown_a_certificate() {
    let (authority, plain) = (Authority::new(), Backend::named("web"));
    let shown = authority.sign("proxy", &["proxy.internal"]);
    for versions in EACH {
        let manner = Manner::of(&authority.sign("web", &["web.internal"])).wanting(&authority);
        let sheath = Sheath::before(plain.address, &Manner { versions, ..manner });
        let tls = InstanceTls { shown: shown.shown(), ..named(authority.to_instances()) };
        let proxy = Proxy::serving(web(sheath.address, &tls));
        assert_eq!(proxy.connect().post("/", "x").text(), "web");
        assert_eq!(sheath.said()[0].shown, Some(shown.der()));
    }
}

/// A session is taken up again by the next connection. Seen to fail with a configuration made anew for each.
#[test]
fn the_costly_part_of_a_handshake_is_spared() {
    let (authority, plain) = (Authority::new(), Backend::named("web"));
    let sheath = Sheath::before(plain.address, &Manner::of(&authority.sign("web", &["web.internal"])));
    let limits = Limits { keep_idle: Duration::from_millis(1), ..Limits::default() };
    let proxy = Proxy::serving(with(web(sheath.address, &named(authority.to_instances())), |web| web.limits = limits));
    until("a session is taken up again", || {
        assert_eq!(proxy.connect().get("/").text(), "web");
        sheath.said().iter().any(|said| said.resumed)
    });
}

/// HTTP/2 inside TLS, with trailers. Seen to fail with the scheme of HTTP/2 without TLS.
#[test]
fn calls_pass_inside_tls() {
    let authority = Authority::new();
    let plain = Instance::scripted(|request, respond| async move {
        assert_eq!(request.uri().scheme_str(), Some("https"));
        h2c::answer(respond, "world", &[("grpc-status", "0")]);
    });
    let manner = Manner { inside: &["h2", "http/1.1"], ..Manner::of(&authority.sign("web", &["web.internal"])) };
    let sheath = Sheath::before(plain.address, &manner.wanting(&authority));
    let shown = authority.sign("proxy", &["proxy.internal"]).shown();
    let tls = InstanceTls { shown, ..named(authority.to_instances()) };
    let proxy = Proxy::serving(to_instances(h2c::h2c("web", &[("web.r1.i1", sheath.address, SERVING)]), &tls));
    h2c::calls_are_answered(proxy.address);
    assert_eq!((sheath.accepted(), sheath.said()[0].inside.as_deref()), (1, Some("h2")));
}

#[test]
fn a_websocket_passes_inside_tls() {
    let (authority, plain) = (
        Authority::new(),
        Backend::scripted(|mut peer| {
            peer.request();
            peer.conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
            while let Some(byte) = peer.conn.try_exactly(1) {
                peer.conn.send(byte);
            }
        }),
    );
    let sheath = Sheath::before(plain.address, &Manner::of(&authority.sign("web", &["web.internal"])));
    let proxy = Proxy::serving(web(sheath.address, &named(authority.to_instances())));
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n");
    assert!(conn.head().starts_with("HTTP/1.1 101 "));
    for round in 0..50 {
        conn.send([round; 100]);
        assert_eq!(conn.exactly(100), [round; 100]);
    }
    drop(conn);
    until("the instance is left", || plain.open() == 0);
}

/// A TCP route has nothing to do with it: its client shakes hands with the instance itself.
#[test]
fn a_tcp_route_passes_bytes_on_as_they_are() {
    let (authority, plain) = (Authority::new(), Backend::named("web"));
    let sheath = Sheath::before(plain.address, &Manner::of(&authority.sign("web", &["web.internal"])));
    let proxy = Proxy::start();
    proxy.publish(vec![tcp(proxy.address, "web")], vec![web(sheath.address, &named(authority.to_instances()))]);
    let mut conn = Conn::secure(proxy.address, &authority.client(), "web.internal");
    assert_eq!(conn.get("/").text(), "web");
}

/// The authority of the instances is replaced, then the certificate that they are shown. Seen to fail with files that are never looked at
/// again.
#[test]
fn files_that_change_are_read_again() {
    let (old, new, plain) = (Authority::new(), Authority::new(), Backend::named("web"));
    let sheath = |authority: &Authority| {
        let manner = Manner::of(&authority.sign("web", &["web.internal"]));
        Sheath::before(plain.address, &manner.wanting(authority))
    };
    let (before, after) = (sheath(&old), sheath(&new));
    let shown = old.sign("proxy", &["proxy.internal"]);
    let tls = InstanceTls { shown: shown.shown(), ..named(old.to_instances()) };
    // Each request by a connection of its own.
    let (connect, keep_idle) = (Duration::from_millis(300), Duration::from_millis(1));
    let quick = Limits { connect, keep_idle, ..Limits::default() };
    let proxy = Proxy::serving(with(web(before.address, &tls), |web| web.limits = quick.clone()));
    assert_eq!(proxy.connect().get("/").text(), "web");
    proxy.replace(with(web(after.address, &tls), |web| web.limits = quick));
    assert_eq!(proxy.connect().get("/").field("cutover-error"), Some("instance-tls"));
    replace(&shown, &new.sign("proxy", &["proxy.internal"]));
    std::fs::copy(new.ca(), old.ca()).unwrap();
    until("what is new is used", || proxy.connect().get("/").status == 200);
    // What cannot be used keeps the place of nothing.
    std::fs::write(old.ca(), "nonsense").unwrap();
    std::fs::remove_file(&shown.key).unwrap();
    let another = free_address();
    proxy.publish(vec![http(proxy.address, "web"), http(another, "web")], vec![web(after.address, &tls)]);
    assert_eq!(Conn::to(another).get("/").text(), "web", "and a table that names it once more is no reason to stop");
}

fn replace(old: &Files, new: &Files) {
    std::fs::copy(&new.key, &old.key).unwrap();
    std::fs::copy(&new.certificate, &old.certificate).unwrap();
}

/// Two releases, one of which speaks TLS, while one takes the place of the other; and the same instance, now with TLS.
#[test]
fn each_release_is_spoken_to_in_its_own_way() {
    let (authority, plain) = (Authority::new(), Backend::named("web"));
    let sheath = Sheath::before(plain.address, &Manner::of(&authority.sign("web", &["web.internal"])));
    let both = [("web.r1.i1", plain.address, SERVING), ("web.r2.i2", sheath.address, SERVING)];
    let mixed = with(service("web", &both), |web| {
        web.targets[1].tls = Some(Box::new(named(authority.to_instances())));
        assert_eq!(web.targets[0].protocol, Protocol::Http1);
    });
    let proxy = Proxy::serving(mixed);
    for _ in 0..10 {
        assert_eq!(proxy.connect().get("/").text(), "web");
    }
    assert_eq!((plain.seen().len(), sheath.accepted() > 0, proxy.service("web").failed), (10, true, 0));
}
