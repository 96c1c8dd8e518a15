//! Clients that take their time. Each holds a connection and nothing else: nobody is refused for them, and nobody waits.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, service};
use super::support::{comes_to, until};

/// So many send slowly, and so many receive slowly.
const DRIPPING: usize = 250;
const TAKING: usize = 50;

/// A large answer: more than the buffers of both sockets hold on its way to the client.
const LARGE: usize = 8 << 20;

/// An instance with answers of both sizes.
fn web() -> Backend {
    Backend::scripted(|mut peer| {
        while let Some(head) = peer.request() {
            if !head.starts_with("GET /large") {
                peer.ok("hello");
                continue;
            }
            peer.conn.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n"));
            let piece = [b'x'; 64 << 10];
            for _ in 0..LARGE / piece.len() {
                // Some clients leave in the middle.
                if peer.conn.stream.write_all(&piece).is_err() {
                    return;
                }
            }
        }
    })
}

/// Seen to fail with connections that are served before the next one is accepted.
#[test]
fn hundreds_of_slow_clients_hold_nobody_up() {
    let web = web();
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    // A byte more of a head now and then.
    let mut dripping: Vec<TcpStream> = (0..DRIPPING).map(|_| TcpStream::connect(proxy.address).unwrap()).collect();
    let drip = |dripping: &mut Vec<TcpStream>, byte: u8| {
        dripping.iter_mut().for_each(|slow| slow.write_all(&[byte]).unwrap());
    };
    b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ".iter().for_each(|byte| drip(&mut dripping, *byte));
    // They ask for much and take little of it.
    let mut taking: Vec<Conn> = (0..TAKING).map(|_| proxy.connect()).collect();
    for slow in &mut taking {
        slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(slow.head().contains(&LARGE.to_string()));
    }
    until("all of them are connected", || proxy.stats().connections as usize == DRIPPING + TAKING);
    assert_eq!(proxy.target("web.r1.i1").in_flight as usize, TAKING, "who has not asked yet holds no instance");

    let began = Instant::now();
    for round in 0..10 {
        drip(&mut dripping, b'x');
        taking.iter_mut().for_each(|slow| drop(slow.exactly(1)));
        let mut kept = proxy.connect();
        for _ in 0..20 {
            assert_eq!((kept.get("/").status, proxy.connect().get("/").status), (200, 200), "round {round}");
        }
    }
    assert!(began.elapsed() < Duration::from_secs(15), "400 requests took {:?}", began.elapsed());
    let web_now = proxy.service("web");
    assert_eq!((web_now.failed, web_now.held, web_now.retried), (0, 0, 0));

    // And they get what they came for.
    let mut last = dripping.pop().unwrap();
    last.write_all(b"\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    last.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut whole = taking.pop().unwrap();
    assert_eq!(whole.exactly(LARGE - 10).len(), LARGE - 10);
    drop((dripping, taking, last, whole));
    comes_to(0, || proxy.stats().connections);
}
