//! The real binary and a program that speaks TLS and wants to see a certificate: found ready, served and replaced.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

#[path = "config/certificate.rs"]
mod certificate;
mod release_server;

use cutover_testkit::host::{App, Host, until};
use release_server::{curl, program, replaced_under_requests};

/// A host with certificates for the program and for the proxy.
fn host() -> Host {
    let host = Host::new(env!("CARGO_BIN_EXE_cutover"));
    certificate::write(host.root(), "server", &["web.internal"], 90);
    certificate::write(host.root(), "proxy", &["proxy.internal"], 90);
    certificate::write(host.root(), "stranger", &["proxy.internal"], 90);
    host
}

/// The program, spoken to by this name, and shown this certificate.
fn app(host: &Host, name: &str, shown: &str) -> App {
    let (server, folder) = (program(host, "tls.py"), host.root().display().to_string());
    let shown = format!("certificate = \"{folder}/{shown}.pem\", key = \"{folder}/{shown}.key\"");
    let tls = format!("instance_tls = {{ ca_file = \"{folder}/server.pem\", name = {name:?}, {shown} }}");
    let smoke = format!("case $CUTOVER_PREVIEW_URL in https://127.0.0.1:*) echo ok > {folder}/smoke;; esac");
    App {
        check: "http = \"/healthz\"\nwarm_up = { requests = 3 }".to_owned(),
        route: tls,
        within: "10s",
        smoke: Some(["/bin/sh", "-c", &smoke].map(str::to_owned).to_vec()),
        ..App::running(&["/usr/bin/python3", &server.display().to_string(), &folder])
    }
}

/// Requests without end while one release takes the place of another. Seen to fail with probes that speak no TLS: nothing is ever ready.
#[test]
fn a_program_that_speaks_tls_is_replaced_and_nobody_notices() {
    let host = host();
    host.configure(&app(&host, "web.internal", "proxy"));
    host.done(&["deploy"]);
    assert!(host.root().join("smoke").exists(), "the smoke command was told where to look");
    replaced_under_requests(&host);
    let proof = host.story().summary.proof.expect("there is a proof");
    assert_eq!(proof.failed, 0, "{proof:?}");
}

/// Each way in which it can be wrong is said, and the release before goes on.
#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let host = host();
    let good = app(&host, "web.internal", "proxy");
    host.configure(&good);
    host.done(&["deploy"]);
    let short = |app: App| App { within: "2s", ..app };
    host.configure(&short(app(&host, "other.internal", "proxy")));
    host.run(&["deploy"]).expect(4).says(&[
        "was not ready within 2s: no TLS with the instance: its certificate is for web.internal, not for other.internal",
        "release 1 of sample is live, as before",
    ]);
    host.configure(&short(app(&host, "web.internal", "stranger")));
    host.run(&["deploy"]).expect(4).says(&["was not ready within 2s", "release 1 of sample is live, as before"]);
    host.configure(&short(App { route: String::new(), ..good.clone() }));
    host.run(&["deploy"]).expect(4).says(&["was not ready within 2s"]);
    let missing = good.route.replace("server.pem", "missing.pem");
    host.configure(&App { route: missing, ..good });
    host.run(&["deploy"]).expect(2).says(&["instance_tls.ca_file: cannot read ", "missing.pem"]);
    assert_eq!(curl(&host), (true, "release 1".to_owned()));
}

/// A certificate that the program does not know any more is a matter of a file: once it is put right, requests pass again.
#[test]
fn the_certificates_change_while_it_serves() {
    let host = host();
    let app = app(&host, "web.internal", "proxy");
    host.configure(&App {
        route: format!("{}\nlimits = {{ connect = \"200ms\", keep_idle = \"1ms\" }}", app.route),
        ..app
    });
    host.done(&["deploy"]);
    let (root, kept) = (host.root(), host.root().join("kept.pem"));
    let pair = |from: &str| {
        for kind in ["key", "pem"] {
            std::fs::copy(root.join(format!("{from}.{kind}")), root.join(format!("proxy.{kind}"))).unwrap();
        }
    };
    for kind in ["key", "pem"] {
        std::fs::copy(root.join(format!("proxy.{kind}")), kept.with_extension(kind)).unwrap();
    }
    pair("stranger");
    until("it is refused", || (!curl(&host).0).then_some(()));
    pair("kept");
    until("it is known again", || curl(&host).0.then_some(()));
}
