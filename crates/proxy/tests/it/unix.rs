//! Instances that listen on unix sockets: everything that passes by TCP passes there, and what is not there is passed over.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cutover_core::table::{Limits, Service};
use cutover_core::tls::InstanceTls;

use super::support::backend::Backend;
use super::support::h2c::{self, Instance};
use super::support::plug::Plug;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, service, table, tcp, with};
use super::support::{free_address, until};

/// An address where nobody listens: whoever goes there has not looked at the socket.
fn nowhere() -> SocketAddr {
    free_address()
}

/// The service `web` with an instance at each of these sockets.
fn web(paths: &[&Path]) -> Service {
    let names = ["web.r1.i1", "web.r1.i2"];
    let targets: Vec<_> = names.iter().zip(paths).map(|(name, _)| (*name, nowhere(), SERVING)).collect();
    with(service("web", &targets), |web| {
        for (target, path) in web.targets.iter_mut().zip(paths) {
            target.socket = Some((*path).to_owned());
        }
        web.limits = Limits { connect: Duration::from_millis(300), ..Limits::default() };
    })
}

/// Seen to fail with the address asked in place of the socket.
#[test]
fn requests_pass_over_connections_that_are_kept() {
    let plain = Backend::named("web");
    let plug = Plug::before(plain.address);
    let proxy = Proxy::serving(web(&[&plug.path]));
    let mut conn = proxy.connect();
    for _ in 0..5 {
        assert_eq!(conn.get("/").text(), "web");
        assert_eq!(conn.post("/", "hello").text(), "web");
    }
    assert_eq!((plug.accepted(), proxy.service("web").failed), (1, 0));
    assert!(plain.seen()[0].contains("X-Forwarded-For: 127.0.0.1\r\n"), "{}", plain.seen()[0]);
}

#[test]
fn calls_and_streams_pass_too() {
    let calls = Instance::scripted(|_, respond| async move { h2c::answer(respond, "world", &[("grpc-status", "0")]) });
    let plug = Plug::before(calls.address);
    let speaks_h2 = |mut service: Service| {
        service.targets[0].protocol = cutover_core::table::Protocol::H2c;
        service
    };
    let proxy = Proxy::serving(speaks_h2(web(&[&plug.path])));
    h2c::calls_are_answered(proxy.address);
    assert_eq!(plug.accepted(), 1);

    let echo = Backend::scripted(|mut peer| {
        while let Some(byte) = peer.conn.try_exactly(1) {
            peer.conn.send(byte);
        }
    });
    let plug = Plug::before(echo.address);
    let proxy = Proxy::start();
    proxy.publish(vec![tcp(proxy.address, "web")], vec![web(&[&plug.path])]);
    let mut conn = proxy.connect();
    for round in 0..20 {
        conn.send([round; 100]);
        assert_eq!(conn.exactly(100), [round; 100]);
    }
    drop(conn);
    until("the instance is left", || echo.open() == 0);
}

/// A file that nobody listens on, and none at all. Seen to fail with no socket taken for a failed answer.
#[test]
fn a_socket_that_is_not_there_is_passed_over() {
    let (plain, folder) = (Backend::named("web"), tempfile::tempdir().unwrap());
    let (left, missing) = (folder.path().join("left.sock"), folder.path().join("missing.sock"));
    drop(std::os::unix::net::UnixListener::bind(&left).unwrap());
    for bad in [&left, &missing] {
        let plug = Plug::before(plain.address);
        let proxy = Proxy::serving(web(&[bad, &plug.path]));
        for _ in 0..10 {
            assert_eq!(proxy.connect().post("/", "x").text(), "web");
        }
        assert_eq!(proxy.service("web").failed, 0);
        let proxy = Proxy::serving(web(&[bad]));
        let answer = proxy.connect().get("/");
        assert_eq!((answer.status, answer.field("cutover-error")), (502, Some("unreachable")));
        let place = format!("web.r1.i1 at unix:{}: ", bad.display());
        assert!(answer.text().contains(&place), "{}", answer.text());
    }
    let proxy = Proxy::serving(web(&[&missing]));
    assert_eq!(proxy.connect().get("/").status, 502);
    let _plug = Plug::at(&missing, plain.address);
    assert_eq!(proxy.connect().get("/").text(), "web", "and reached once it is there");
}

#[test]
fn what_cannot_be_a_socket_is_refused() {
    let proxy = Proxy::start();
    let refused = |path: PathBuf, tls: bool| {
        let service = with(web(&[&path]), |web| web.targets[0].tls = tls.then(|| Box::new(InstanceTls::default())));
        proxy.try_publish(table(vec![http(proxy.address, "web")], vec![service])).unwrap_err().to_string()
    };
    let too_long = PathBuf::from(format!("/{}", "x".repeat(107)));
    for (path, tls, expected) in [
        (PathBuf::from("web.sock"), false, "is not an absolute path"),
        (too_long, false, "is longer than 107 bytes"),
        ("/run/web.sock".into(), true, "by TLS on a unix socket"),
    ] {
        let said = refused(path, tls);
        assert!(said.contains(expected), "{said}");
    }
}
