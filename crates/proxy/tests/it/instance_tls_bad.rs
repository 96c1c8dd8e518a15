//! TLS to instances that goes wrong: what is said, what is tried elsewhere, and what is refused before it is served.

use std::net::SocketAddr;
use std::time::Duration;

use cutover_core::table::{Limits, Protocol, Service};
use cutover_core::tls::{InstanceTls, ShownFiles};

use super::support::backend::{Backend, field};
use super::support::proxy::Proxy;
use super::support::sheath::{EACH, Manner, Sheath};
use super::support::table::{SERVING, http, service, table, with};
use super::support::tls::{Authority, Files, to_instances};
use super::support::{comes_to, until};

fn named(tls: InstanceTls) -> InstanceTls {
    InstanceTls { name: Some("web.internal".to_owned()), ..tls }
}

/// The service `web` at these addresses, whose clients are not kept waiting for long.
fn web(addresses: &[SocketAddr], tls: &InstanceTls) -> Service {
    let names = ["web.r1.i1", "web.r1.i2"];
    let targets: Vec<_> = names.iter().zip(addresses).map(|(name, address)| (*name, *address, SERVING)).collect();
    let limits = Limits { connect: Duration::from_millis(500), ..Limits::default() };
    with(to_instances(service("web", &targets), tls), |web| web.limits = limits)
}

/// What a client is told of an instance that cannot be spoken to.
#[track_caller]
fn told(instance: SocketAddr, tls: &InstanceTls, expected: &str) {
    let proxy = Proxy::serving(web(&[instance], tls));
    let answer = proxy.connect().post("/", "x");
    assert_eq!((answer.status, answer.field("cutover-error")), (502, Some("instance-tls")));
    let place = format!("web.r1.i1 at {instance}: no TLS with the instance: ");
    assert!(answer.text().contains(&place), "{}", answer.text());
    assert!(answer.text().contains(expected), "{:?} does not say {expected:?}", answer.text());
    assert_eq!(proxy.service("web").served, 0);
}

/// Seen to fail with the address in place of the name.
#[test]
fn whom_it_cannot_believe_gets_nothing() {
    let (authority, stranger, plain) = (Authority::new(), Authority::new(), Backend::named("web"));
    let behind = |files: &Files| Sheath::before(plain.address, &Manner::of(files)).address;
    let good = behind(&authority.sign("web", &["web.internal"]));
    let tls = named(authority.to_instances());
    let ca = stranger.ca().display().to_string();
    told(good, &named(stranger.to_instances()), &format!("its certificate is not signed by an authority in {ca}"));
    told(good, &named(InstanceTls::default()), "not signed by an authority that this machine believes");
    told(good, &authority.to_instances(), "its certificate is for web.internal, not for 127.0.0.1");
    let other = InstanceTls { name: Some("other.internal".to_owned()), ..tls.clone() };
    told(good, &other, "its certificate is for web.internal, not for other.internal");
    told(behind(&authority.expired("old", &["web.internal"])), &tls, "its certificate has expired");
    told(behind(&authority.own()), &tls, "is that of an authority (CA:TRUE)");
    let clear = Backend::scripted(|mut peer| {
        peer.conn.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        drop(peer.conn.rest());
    });
    told(clear.address, &tls, "what it answers is not TLS");
    let silent = Backend::scripted(|mut peer| {
        peer.conn.stream.shutdown(std::net::Shutdown::Write).unwrap();
        drop(peer.conn.rest());
    });
    told(silent.address, &tls, "closed the connection in the middle of the handshake");
    assert!(plain.seen().is_empty(), "{:?}", plain.seen());
}

/// An instance that wants to know who asks. With TLS 1.3 it says no when the request is on its way already.
/// Seen to fail with its alert taken for a lost connection.
#[test]
fn an_instance_that_refuses_our_certificate_is_passed_over() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    for versions in EACH {
        let (plain, refusing) = (Backend::named("web"), Backend::named("never"));
        let manner = |wants: &Authority| {
            let manner = Manner::of(&authority.sign("web", &["web.internal"])).wanting(wants);
            Manner { versions, ..manner }
        };
        let (good, bad) =
            (Sheath::before(plain.address, &manner(&authority)), Sheath::before(refusing.address, &manner(&stranger)));
        let shown = authority.sign("proxy", &["proxy.internal"]);
        let tls = InstanceTls { shown: shown.shown(), ..named(authority.to_instances()) };
        told(bad.address, &tls, &format!("it refuses the certificate in {}", shown.certificate.display()));
        told(bad.address, &named(authority.to_instances()), "if it wants a certificate, certificate and key name one");
        let proxy = Proxy::serving(web(&[bad.address, good.address], &tls));
        for _ in 0..20 {
            assert_eq!(proxy.connect().post("/", "x").text(), "web");
        }
        assert_eq!((plain.seen().len(), refusing.seen().len()), (20, 0));
        comes_to((20, 0), || (proxy.service("web").served, proxy.service("web").failed));
        assert!(!bad.failed().is_empty());
    }
}

/// Any request may go elsewhere, for nobody has seen it. Seen to fail with a handshake that failed taken for an answer that did not come.
#[test]
fn a_handshake_that_fails_is_as_good_as_a_connection_refused() {
    let (authority, plain) = (Authority::new(), Backend::named("web"));
    let good = Sheath::before(plain.address, &Manner::of(&authority.sign("web", &["web.internal"])));
    let bad = Sheath::before(plain.address, &Manner::of(&authority.sign("bad", &["bad.internal"])));
    let proxy = Proxy::serving(web(&[bad.address, good.address], &named(authority.to_instances())));
    for _ in 0..20 {
        assert_eq!(proxy.connect().post("/", "x").text(), "web");
    }
    assert_eq!((plain.seen().len(), proxy.service("web").failed, bad.said().len()), (20, 0, 0));
    assert!(proxy.target("web.r1.i1").failed > 0, "it is counted where it failed");
}

/// The time for a connection is the time for a handshake too.
#[test]
fn a_handshake_that_never_ends_is_given_up() {
    let authority = Authority::new();
    let hangs = Backend::scripted(|mut peer| drop(peer.conn.rest()));
    let proxy = Proxy::serving(web(&[hangs.address], &named(authority.to_instances())));
    let answer = proxy.connect().get("/");
    assert_eq!((answer.status, answer.field("cutover-error")), (502, Some("unreachable")), "{}", answer.text());
    until("it is left", || hangs.open() == 0);
}

/// An instance of HTTP/1.1 where HTTP/2 is expected, and the other way round.
#[test]
fn the_protocol_inside_must_be_the_right_one() {
    let (authority, plain) = (Authority::new(), Backend::named("web"));
    let files = authority.sign("web", &["web.internal"]);
    let tls = named(authority.to_instances());
    let speaking = |inside| Sheath::before(plain.address, &Manner { inside, ..Manner::of(&files) }).address;
    told(speaking(&["h2"]), &tls, "does not speak this version of HTTP inside TLS (alert: NoApplicationProtocol)");
    let h2 = |address: SocketAddr| {
        with(web(&[address], &tls), |web| web.targets.iter_mut().for_each(|target| target.protocol = Protocol::H2c))
    };
    for (inside, expected) in
        [(&[][..], "does not offer HTTP/2 inside TLS"), (&["http/1.1"], "does not speak this version")]
    {
        let answer = Proxy::serving(h2(speaking(inside))).connect().get("/");
        assert_eq!(answer.field("cutover-error"), Some("instance-tls"));
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
}

/// The rule of connections that were used before holds in TLS too. Seen to fail with every request sent again.
#[test]
fn only_an_idempotent_request_is_sent_again() {
    let plain = Backend::scripted(|mut peer| {
        if let Some(head) = peer.request() {
            peer.conn.exactly(field(&head, "content-length").map_or(0, |length| length.parse().unwrap()));
            peer.ok("ok");
            peer.request();
        }
    });
    let authority = Authority::new();
    let sheath = Sheath::before(plain.address, &Manner::of(&authority.sign("web", &["web.internal"])));
    let proxy = Proxy::serving(web(&[sheath.address], &named(authority.to_instances())));
    let mut conn = proxy.connect();
    assert_eq!((conn.get("/1").text(), conn.get("/2").text()), ("ok", "ok"));
    assert_eq!((proxy.service("web").retried, proxy.service("web").failed), (1, 0));
    let answer = conn.post("/3", "x");
    assert_eq!((answer.status, answer.field("cutover-error")), (502, Some("no-answer")));
    assert_eq!(plain.seen().iter().filter(|head| head.contains("/3")).count(), 1, "a POST was sent twice");
}

/// A connection whose instance said goodbye with its answer is not used again. Seen to fail with nobody
/// looking whether it is still quiet.
#[test]
fn a_farewell_behind_an_answer_is_heard() {
    let plain = Backend::scripted(|mut peer| {
        peer.request();
        peer.conn.exactly(1);
        peer.ok("ok");
    });
    let authority = Authority::new();
    let sheath = Sheath::before(plain.address, &Manner::of(&authority.sign("web", &["web.internal"])));
    let proxy = Proxy::serving(web(&[sheath.address], &named(authority.to_instances())));
    let mut conn = proxy.connect();
    for _ in 0..20 {
        assert_eq!(conn.post("/", "x").text(), "ok");
        until("the instance has closed", || sheath.open() == 0);
    }
    assert_eq!((proxy.service("web").retried, proxy.service("web").failed), (0, 0));
}

/// An answer that ends with its connection has an end only if the instance says so. Seen to fail with an end below TLS taken for one.
#[test]
fn an_answer_without_a_farewell_is_a_cut_one() {
    let plain = Backend::scripted(|mut peer| {
        peer.request();
        peer.conn.send("HTTP/1.1 200 OK\r\n\r\nall of it");
    });
    let authority = Authority::new();
    for abrupt in [false, true] {
        let manner = Manner { abrupt, ..Manner::of(&authority.sign("web", &["web.internal"])) };
        let sheath = Sheath::before(plain.address, &manner);
        let proxy = Proxy::serving(web(&[sheath.address], &named(authority.to_instances())));
        let mut conn = proxy.connect();
        conn.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        conn.head();
        let sent = String::from_utf8_lossy(&conn.rest_or_end()).into_owned();
        assert_eq!(sent.ends_with("\r\n0\r\n\r\n"), !abrupt, "{sent:?}");
    }
}

/// Nothing is published that nobody could be reached by, and what was there goes on. Seen to fail with nobody told of what is wrong with
/// them.
#[test]
fn files_that_cannot_be_used_are_refused() {
    let (authority, plain) = (Authority::new(), Backend::named("web"));
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", plain.address, SERVING)]));
    let (one, other) = (authority.sign("one", &["a"]), authority.sign("other", &["a"]));
    let file = |name: &str, text: &str| {
        let path = authority.dir().join(name);
        std::fs::write(&path, text).unwrap();
        Some(path)
    };
    let refused = |tls: InstanceTls, expected: &str| {
        let listeners = vec![http(proxy.address, "web")];
        let error = proxy.try_publish(table(listeners, vec![web(&[plain.address], &tls)])).unwrap_err().to_string();
        assert!(error.contains("TLS to the instances of web: ") && error.contains(expected), "{error}");
        assert_eq!(proxy.connect().get("/").text(), "web");
    };
    let ca = authority.to_instances();
    let of = |ca_file| InstanceTls { ca_file, ..InstanceTls::default() };
    refused(of(Some("/nowhere/ca.pem".into())), "cannot read /nowhere/ca.pem: No such file");
    refused(of(file("empty.pem", "nobody")), "there is no certificate in ");
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    refused(of(file("broken.pem", broken)), "broken.pem cannot be read: ");
    refused(InstanceTls { name: Some("not a name".to_owned()), ..ca.clone() }, "is neither a host name nor an address");
    let showing = |certificate: &Files, key: &Files| {
        let shown = ShownFiles { certificate: certificate.certificate.clone(), key: key.key.clone() };
        InstanceTls { shown: Some(shown), ..ca.clone() }
    };
    refused(showing(&one, &other), "does not belong to the certificate in");
    let gone = Files { key: "/nowhere/proxy.key".into(), ..one.clone() };
    refused(showing(&one, &gone), "cannot read /nowhere/proxy.key");
}

/// A proxy that starts again without one of the files serves everybody else, and those instances too when it is back.
#[test]
fn a_restart_without_the_files_costs_no_more_than_these_instances() {
    let (authority, plain) = (Authority::new(), Backend::named("web"));
    let sheath = Sheath::before(plain.address, &Manner::of(&authority.sign("web", &["web.internal"])));
    let proxy = Proxy::start();
    let other = super::support::free_address();
    let services = vec![
        web(&[sheath.address], &named(authority.to_instances())),
        service("other", &[("other.r1.i1", plain.address, SERVING)]),
    ];
    proxy.publish(vec![http(proxy.address, "web"), http(other, "other")], services);
    assert_eq!(proxy.connect().get("/").text(), "web");
    let kept = std::fs::read(authority.ca()).unwrap();
    let proxy = proxy.crash_and_start_with(|| std::fs::remove_file(authority.ca()).unwrap());
    assert_eq!(super::support::client::Conn::to(other).get("/").text(), "web");
    let answer = proxy.connect().get("/");
    assert!(answer.text().contains("cannot read "), "{}", answer.text());
    std::fs::write(authority.ca(), kept).unwrap();
    until("it is read", || proxy.connect().get("/").status == 200);
}
