//! The life of the process: one per directory, from its disk, to an orderly end.

use std::io::Read;
use std::sync::{Mutex, mpsc};

use rustix::process::Signal;

use super::support::backend::Backend;
use super::support::proxy::{Proxy, spawn};
use super::support::table::{SERVING, service};
use super::support::until;

#[test]
fn it_starts_again_from_its_disk() {
    let web = Backend::named("web");
    let proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    assert_eq!(proxy.connect().get("/").text(), "web");
    // The killed one leaves its socket file behind.
    let proxy = proxy.crash_and_start();
    assert_eq!(proxy.connect().get("/").text(), "web");
}

#[test]
fn a_second_one_is_refused() {
    let proxy = Proxy::start();
    let mut second = spawn(proxy.state());
    let mut said = String::new();
    second.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!second.wait().unwrap().success());
    assert!(said.contains("another proxy runs with the state directory"), "{said}");
    assert!(proxy.stats().services.is_empty(), "the first one lives on");
}

#[test]
fn damaged_tables_are_not_served_as_empty() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("table.json"), "garbage").unwrap();
    let mut child = spawn(dir.path());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!child.wait().unwrap().success());
    assert!(said.contains("refusing to serve an empty table"), "{said}");
}

#[test]
fn on_sigterm_it_finishes_and_on_sighup_it_goes_on() {
    let (go, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let web = Backend::scripted(move |mut peer| {
        peer.request();
        wait.lock().unwrap().recv().unwrap();
        peer.ok("finished");
        peer.request();
    });
    let mut proxy = Proxy::serving(service("web", &[("web.r1.i1", web.address, SERVING)]));
    proxy.signal(Signal::HUP);
    let mut conn = proxy.connect();
    let mut idle = proxy.connect();
    conn.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    until("it is in flight", || proxy.target("web.r1.i1").in_flight == 1);
    proxy.signal(Signal::TERM);
    until("it accepts no more", || std::net::TcpStream::connect(proxy.address).is_err());
    go.send(()).unwrap();
    let answer = conn.answer();
    assert_eq!((answer.text(), answer.field("connection")), ("finished", Some("close")));
    assert!(proxy.wait().success());
    assert!(idle.closed());
    assert!(!proxy.state().join("proxy.sock").exists());
}

#[test]
fn it_quits_when_asked() {
    let mut proxy = Proxy::start();
    proxy.ask(|client| async move { client.quit().await }).unwrap();
    assert!(proxy.wait().success());
}
