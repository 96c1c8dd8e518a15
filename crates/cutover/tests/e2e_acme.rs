//! The real binary with certificates by ACME: what is deployed before there is one, told while there is none, and served once there is.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

#[path = "../../proxy/tests/it/support/pebble.rs"]
#[allow(dead_code, reason = "the tests of the proxy need more of it")]
mod pebble;

use std::process::Command;
use std::time::Duration;

use cutover_testkit::host::{App, Host, until};
use pebble::{BLOCKED, Pebble, Settings};

/// A host with a service by TLS, and the authority that asks at its ports.
fn host(hosts: &[&str]) -> (Host, Pebble, u16) {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    let (plain, local) = (host.another_port(), |port: u16| ([127, 0, 0, 1], port).into());
    let settings = Settings {
        address: local(host.another_port()),
        management: local(host.another_port()),
        http: plain,
        tls: host.address().port(),
        validity: Duration::from_secs(90 * 86_400),
        bound: false,
    };
    let pebble = Pebble::start(settings);
    let (directory, ca) = (pebble.directory(), pebble.ca_file());
    let acme = format!("acme = {{ directory = {directory:?}, ca_file = {ca:?} }}");
    let tls = format!("tls = {{ {acme}, redirect = \"127.0.0.1:{plain}\" }}");
    host.configure(&App { route: format!("hosts = {hosts:?}\n{tls}"), ..App::default() });
    (host, pebble, plain)
}

fn curl(url: String) -> String {
    let run = Command::new("curl").args(["-sS", "-k", "-i", "--http1.1"]).arg(url).output().unwrap();
    String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned()
}

/// One name gets its certificate, one is refused: neither keeps a deployment from being done, and `status` tells which is which.
#[test]
fn a_deployment_waits_for_no_authority() {
    let (host, mut pebble, plain) = host(&["localhost", BLOCKED]);
    pebble.stop();
    host.done(&["deploy"]).says(&["is live at https://"]);
    let port = host.address().port();
    until("status tells", || {
        let said = host.run(&["status"]).stdout;
        (said.contains("nobody can connect to localhost") && said.contains("could not be reached")).then_some(())
    });
    assert!(!curl(format!("https://localhost:{port}/")).contains("HTTP/1.1"));
    assert!(curl(format!("http://localhost:{plain}/")).starts_with("HTTP/1.1 308"));
    pebble.resume();
    // What is noted of the failure keeps the proxy from asking; whoever has seen to it need not wait.
    let store = host.state().join("proxy/acme");
    for folder in std::fs::read_dir(store).unwrap().flatten() {
        let _ = std::fs::remove_file(folder.path().join("localhost.json"));
        let _ = std::fs::remove_file(folder.path().join(format!("{BLOCKED}.json")));
    }
    until("it is served", || curl(format!("https://localhost:{port}/")).contains("HTTP/1.1 200").then_some(()));
    until("status tells", || {
        let said = host.run(&["status"]).stdout;
        (said.contains("the authority refused") && !said.contains("connect to localhost")).then_some(())
    });
    host.build("another");
    host.done(&["deploy"]);
    assert!(curl(format!("https://localhost:{port}/")).contains("HTTP/1.1 200"));
    assert_eq!(pebble.signed(), 1);
}
