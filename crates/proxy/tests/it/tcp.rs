//! TCP routes.

use super::support::backend::Backend;
use super::support::client::Conn;
use super::support::proxy::Proxy;
use super::support::table::{SERVING, id, service, tcp};
use super::support::{free_address, until};
use cutover_core::table::Mode;

/// An instance that reads to the end, then says what it read.
fn reversed() -> Backend {
    Backend::scripted(|mut peer| {
        let text = peer.conn.rest().unwrap();
        peer.conn.send(text.into_iter().rev().collect::<Vec<_>>());
    })
}

#[test]
fn a_connection_goes_through_whole_and_half_closes() {
    let db = reversed();
    let proxy = Proxy::start();
    let targets = [("db.r1.i1", free_address(), SERVING), ("db.r1.i2", db.address, SERVING)];
    proxy.publish(vec![tcp(proxy.address, "db")], vec![service("db", &targets)]);
    for _ in 0..4 {
        let mut conn = proxy.connect();
        conn.send("hello");
        conn.finish();
        assert_eq!(conn.rest().unwrap(), b"olleh");
    }
    assert_eq!((proxy.service("db").served, proxy.service("db").failed), (4, 0));
    until("all are over", || proxy.target("db.r1.i2").streams == 0);
}

#[test]
fn connections_outlive_a_drain_until_they_are_closed() {
    let (old, new) = (Backend::named("old"), Backend::named("new"));
    let proxy = Proxy::start();
    let publish = |mode, other| {
        let targets = [("db.r1.i1", old.address, mode), ("db.r2.i2", new.address, other)];
        proxy.publish(vec![tcp(proxy.address, "db")], vec![service("db", &targets)]);
    };
    publish(SERVING, Mode::Registered);
    let mut conn = proxy.connect();
    assert_eq!(conn.get("/").text(), "old");
    publish(Mode::Draining, SERVING);
    assert_eq!(conn.get("/").text(), "old");
    assert_eq!((proxy.target("db.r1.i1").streams, proxy.target("db.r1.i1").in_flight), (1, 0));
    assert_eq!(Conn::to(proxy.address).get("/").text(), "new");
    proxy.ask(|client| async move { client.close_streams(&id("db.r1.i1"), std::time::Duration::ZERO).await }).unwrap();
    assert!(conn.rest().unwrap_or_default().is_empty());
    until("it is over", || proxy.target("db.r1.i1").streams == 0);
}

#[test]
fn without_an_instance_the_connection_is_closed() {
    let proxy = Proxy::start();
    proxy.publish(vec![tcp(proxy.address, "db")], vec![service("db", &[])]);
    assert!(proxy.connect().rest().unwrap_or_default().is_empty());
    until("it is counted", || proxy.service("db").failed == 1);
}
