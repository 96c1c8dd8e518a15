//! Event streams and upgraded connections.

use std::time::Duration;

use cutover_core::table::Mode;

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, id, service};
use super::support::{comes_to, until};

/// An instance that sends an event for each byte it is told to, and one at the start.
fn events() -> Backend {
    Backend::scripted(|mut peer| {
        peer.request();
        peer.conn.send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        peer.conn.send("8\r\ndata:1\n\n\r\n");
        // Until the proxy hangs up.
        peer.request();
    })
}

/// An instance that switches protocols and sends everything back.
fn echo() -> Backend {
    Backend::scripted(|mut peer| {
        let head = peer.request().unwrap();
        assert!(
            head.contains("Connection: Upgrade\r\nUpgrade: websocket\r\n") && head.contains("Sec-WebSocket-Key: k\r\n")
        );
        peer.conn.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n");
        peer.conn.send(FIRST);
        loop {
            let byte = peer.conn.exactly(1);
            peer.conn.send(byte);
        }
    })
}

/// A text frame with the letter `!`, as a server sends it.
const FIRST: [u8; 3] = [0x81, 1, b'!'];

/// A text frame with the letter `a`, masked with zeros.
const FRAME: [u8; 7] = [0x81, 0x81, 0, 0, 0, 0, b'a'];

fn upgrade(proxy: &Proxy) -> Conn {
    let mut conn = proxy.connect();
    conn.send(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n",
    );
    let head = conn.head();
    assert_eq!(head, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_eq!(conn.exactly(3), FIRST);
    conn
}

#[test]
fn events_come_at_once_and_end_properly() {
    let web = events();
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    conn.head();
    assert_eq!(conn.chunk().unwrap(), b"data:1\n\n");
    let target = proxy.target("web.r1.i1");
    assert_eq!((target.in_flight, target.streams), (0, 1), "an event stream holds up no drain");
    proxy.replace(service("web", &[("web.r1.i1", web.address, Mode::Draining)]));
    assert_eq!(proxy.target("web.r1.i1").streams, 1);
    proxy.ask(|client| async move { client.close_streams(&id("web.r1.i1"), Duration::ZERO).await }).unwrap();
    assert_eq!(conn.chunk(), None, "the body ends as a body does");
    assert!(conn.rest().unwrap().is_empty());
    until("it is over", || proxy.target("web.r1.i1").streams == 0 && web.open() == 0);
}

// Seen to fail with every answer in chunks ended like an event stream: half a download would then pass for a whole one.
#[test]
fn a_long_download_counts_as_a_stream_and_is_not_ended_as_if_whole() {
    let web = Backend::scripted(|mut peer| {
        peer.request();
        peer.conn.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
        peer.request();
    });
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    conn.head();
    assert_eq!(conn.chunk().unwrap(), b"abc");
    assert_eq!(proxy.target("web.r1.i1").in_flight, 1);
    until("it counts as a stream", || proxy.target("web.r1.i1").streams == 1);
    comes_to(0, || proxy.target("web.r1.i1").in_flight);
    proxy.ask(|client| async move { client.close_streams(&id("web.r1.i1"), Duration::ZERO).await }).unwrap();
    assert!(conn.rest().unwrap_or_default().is_empty());
    until("it is counted as failed", || proxy.service("web").failed == 1 && proxy.target("web.r1.i1").streams == 0);
}

#[test]
fn a_web_socket_outlives_table_changes_and_is_closed_in_its_own_words() {
    let web = echo();
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = upgrade(&proxy);
    let echoes = |conn: &mut Conn| {
        conn.send(FRAME);
        assert_eq!(conn.exactly(FRAME.len()), FRAME);
    };
    echoes(&mut conn);
    assert_eq!((proxy.target("web.r1.i1").in_flight, proxy.target("web.r1.i1").streams), (0, 1));
    for _ in 0..5 {
        proxy.replace(service("web", &[("web.r1.i1", web.address, Mode::Draining)]));
        echoes(&mut conn);
    }
    proxy.replace(service("web", &[]));
    echoes(&mut conn);
    assert_eq!(proxy.target("web.r1.i1").streams, 1, "reported though it left the table");
    proxy.ask(|client| async move { client.close_streams(&id("web.r1.i1"), Duration::ZERO).await }).unwrap();
    assert_eq!(conn.rest().unwrap(), [0x88, 2, 0x03, 0xf4], "1012, service restart");
    until("it is over", || web.open() == 0);
}

#[test]
fn no_close_frame_is_put_into_the_middle_of_another() {
    let web = echo();
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = upgrade(&proxy);
    conn.send(&FRAME[..6]);
    assert_eq!(conn.exactly(6), FRAME[..6]);
    proxy.ask(|client| async move { client.close_streams(&id("web.r1.i1"), Duration::ZERO).await }).unwrap();
    assert_eq!(conn.rest().unwrap_or_default(), b"");
}

#[test]
fn closing_is_spread_over_the_window() {
    let web = echo();
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conns: Vec<_> = (0..20).map(|_| upgrade(&proxy)).collect();
    assert_eq!(proxy.target("web.r1.i1").streams, 20);
    let began = std::time::Instant::now();
    let over = Duration::from_millis(1500);
    proxy.ask(|client| async move { client.close_streams(&id("web.r1.i1"), over).await }).unwrap();
    let mut seen = vec![];
    until("all are closed", || {
        let left = proxy.target("web.r1.i1").streams;
        seen.push(left);
        left == 0
    });
    seen.dedup();
    assert!(seen.len() >= 5, "closed in few steps: {seen:?}");
    assert!(began.elapsed() >= over / 2 && began.elapsed() < over * 2, "{:?}", began.elapsed());
    for conn in &mut conns {
        assert_eq!(conn.rest().unwrap(), [0x88, 2, 0x03, 0xf4]);
    }
}

#[test]
fn an_upgrade_that_is_declined_is_an_answer_like_any_other() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    let mut conn = proxy.connect();
    assert_eq!(conn.get_with("/", "Connection: Upgrade\r\nUpgrade: websocket\r\n").text(), "web");
    assert_eq!(
        conn.get_with("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n").text(),
        "web"
    );
    let last = web.seen().pop().unwrap().to_lowercase();
    assert!(!last.contains("h2c") && !last.contains("http2") && !last.contains("upgrade"), "{last}");
}
