//! Probes of gRPC's health service, against the implementation that people use, and against what else may listen there.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use cutover::engine::port::{ProbeTarget, Prober};
use cutover::probe::NetProber;
use cutover_core::spec::Check;
use cutover_core::tls::{InstanceTls, ShownFiles};

#[path = "config/certificate.rs"]
mod certificate;

/// A server of the test's own.
struct Server {
    child: Child,
    address: SocketAddr,
}

impl Server {
    fn start(health: &str) -> Self {
        Self::start_with(&[health])
    }

    fn start_with(arguments: &[&str]) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/grpc/server.py");
        let mut server = Command::new("/usr/bin/python3");
        let mut child = server.arg(script).arg("0").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, address: (Ipv4Addr::LOCALHOST, line.trim().parse().unwrap()).into() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn probe(service: &str, address: SocketAddr) -> Result<(), String> {
    probe_by(service, address, None).await
}

async fn probe_by(service: &str, address: SocketAddr, tls: Option<InstanceTls>) -> Result<(), String> {
    let target = ProbeTarget { instance: "web.r1.i1".parse().unwrap(), address, tls: tls.map(Box::new), socket: None };
    NetProber.probe(&Check::Grpc { service: service.to_owned() }, &target, Duration::from_secs(10)).await
}

#[track_caller]
fn fails(probed: Result<(), String>, expected: &str) {
    let told = probed.unwrap_err();
    assert!(told.contains(expected), "{told:?} does not say {expected:?}");
}

#[tokio::test]
async fn a_server_says_how_it_is() {
    let well = Server::start("serving");
    assert_eq!(probe("", well.address).await, Ok(()));
    assert_eq!(probe("shop.Echo", well.address).await, Ok(()));
    fails(probe("shop.Other", well.address).await, "does not know \"shop.Other\" (NOT_FOUND): no such service");
    let sick = Server::start("sick");
    fails(probe("", sick.address).await, "says that the state is NOT_SERVING");
    let plain = Server::start("none");
    fails(probe("", plain.address).await, "it has no grpc.health.v1.Health (UNIMPLEMENTED)");
}

/// Inside TLS, by a server that wants to see a certificate. Seen to fail with the certificate left out.
#[tokio::test]
async fn a_server_that_speaks_tls_is_asked_inside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name);
    certificate::write(folder.path(), "server", &["web.internal"], 90);
    certificate::write(folder.path(), "proxy", &["proxy.internal"], 90);
    let well = Server::start_with(&["serving", &folder.path().display().to_string()]);
    let shown = ShownFiles { certificate: file("proxy.pem"), key: file("proxy.key") };
    let tls =
        InstanceTls { ca_file: Some(file("server.pem")), name: Some("web.internal".to_owned()), shown: Some(shown) };
    assert_eq!(probe_by("", well.address, Some(tls.clone())).await, Ok(()));
    assert!(probe("", well.address).await.is_err(), "it answers in the clear, too");
    let other = InstanceTls { name: Some("other.internal".to_owned()), ..tls.clone() };
    fails(probe_by("", well.address, Some(other)).await, "is for web.internal, not for other.internal");
    let unknown = InstanceTls { ca_file: Some(file("proxy.pem")), ..tls.clone() };
    assert!(probe_by("", well.address, Some(unknown)).await.unwrap_err().starts_with("no TLS with the instance: "));
    assert!(probe_by("", well.address, Some(InstanceTls { shown: None, ..tls })).await.is_err());
    fails(
        probe_by("", well.address, Some(InstanceTls { ca_file: Some(file("gone.pem")), ..InstanceTls::default() }))
            .await,
        "no TLS with the instance: cannot read ",
    );
}

/// Something else listens: it is said what.
#[tokio::test]
async fn what_is_not_grpc_is_named() {
    let http = listening(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    fails(probe("", http).await, "not HTTP/2");
    let silent = listening(b"");
    fails(probe("", silent).await, "the connection was");
}

/// Somebody who answers whatever comes with these bytes, and hangs up.
fn listening(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut first = [0; 24];
            let _ = stream.read_exact(&mut first);
            let _ = stream.write_all(answer);
            // Hanging up with something unread would be a reset.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
        }
    });
    address
}
