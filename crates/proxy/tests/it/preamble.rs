//! The PROXY protocol, on both sides.

use std::io::Write;

use cutover_core::listen::{ListenAddress, Peer};
use cutover_core::table::{Introduced, Table};
use cutover_core::trail::Preamble;

use super::support::backend::{Backend, field};
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, http, service, table, tcp, with};
use super::support::until;

pub fn introduced(table: Table, listener: impl Into<ListenAddress>, from: &str) -> Table {
    let (listener, from) = (listener.into(), vec![Peer::try_from(from.to_owned()).unwrap()]);
    Table { introduced: vec![Introduced { listener, from }], ..table }
}

/// Seen to fail with the peer in place of the client, with the header read from everybody, and with bytes behind it lost.
#[test]
fn a_peer_that_is_named_introduces_its_client_and_nobody_else_does() {
    let web = Backend::named("web");
    let proxy = Proxy::start();
    let of = |from: &str| {
        let web = service("web", &[("web.r1.i1", web.address, SERVING)]);
        introduced(table(vec![http(proxy.address, "web")], vec![web]), proxy.address, from)
    };
    proxy.try_publish(of("127.0.0.1")).unwrap();
    let v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f\xc0\0\x02\x07\x0a\0\0\x01\x12\x67\0\x50\x04\0\0";
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    for (header, client) in [
        (&b"PROXY TCP4 192.0.2.9 10.0.0.1 4711 80\r\n"[..], "192.0.2.9"),
        (b"PROXY TCP6 2001:db8::9 ::1 4711 80\r\n", "2001:db8::9"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (v2, "192.0.2.7"),
        (local, "127.0.0.1"),
    ] {
        let mut conn = proxy.connect();
        // The first half alone, then the rest and the request at once.
        conn.stream.write_all(&header[..9]).unwrap();
        conn.stream.write_all(&[&header[9..], b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"].concat()).unwrap();
        assert_eq!(conn.answer().status, 200);
        assert_eq!(conn.get("/").status, 200, "once for a connection");
        assert_eq!(field(&web.seen().pop().unwrap(), "x-forwarded-for").as_deref(), Some(client));
    }
    let count = web.seen().len();
    for header in ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PROXY TCP4 nobody 10.0.0.1 4711 80\r\n"] {
        let mut conn = proxy.connect();
        conn.send(header);
        assert!(conn.rest().is_err() || conn.closed(), "{header} is not served");
    }
    assert_eq!(web.seen().len(), count);
    proxy.try_publish(of("192.0.2.0/24")).unwrap();
    let mut stranger = proxy.connect();
    stranger.send("PROXY TCP4 192.0.2.9 10.0.0.1 4711 80\r\n\r\n");
    assert_eq!(stranger.answer().status, 400, "a stranger's header is no header");
    assert_eq!(proxy.connect().get("/").status, 200);
}

/// Seen to fail with the header written after the first bytes of the client, and with the instance told of the proxy.
#[test]
fn an_instance_is_told_of_its_client_on_a_tcp_route() {
    for (version, wanted) in
        [(Preamble::V1, &b"PROXY TCP4 "[..]), (Preamble::V2, &b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01"[..])]
    {
        let (tell, told) = std::sync::mpsc::channel();
        let tell = std::sync::Mutex::new(tell);
        let echo = Backend::scripted(move |mut peer| {
            let first = peer.conn.exactly(28);
            tell.lock().unwrap().send(first).unwrap();
            let mut rest = peer.conn.rest().unwrap();
            rest.reverse();
            peer.conn.send(rest);
        });
        let proxy = Proxy::start();
        let db = with(service("db", &[("db.r1.i1", echo.address, SERVING)]), |db| db.trail.preamble = Some(version));
        proxy.try_publish(table(vec![tcp(proxy.address, "db")], vec![db])).unwrap();
        let mut conn = Conn::to(proxy.address);
        conn.send("0123456789012345678901234567890123456789");
        conn.finish();
        let (ours, told) = (conn.stream.local_addr().unwrap(), told.recv().unwrap());
        assert!(told.starts_with(wanted), "{told:?}");
        if version == Preamble::V2 {
            assert_eq!(told[20..26], [&[127, 0, 0, 1][..], &ours.port().to_be_bytes()].concat()[..]);
            assert_eq!(conn.rest().unwrap(), b"9876543210987654321098765432109876543210");
        }
        until("it is over", || proxy.target("db.r1.i1").streams == 0);
    }
}
