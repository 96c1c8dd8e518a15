//! The real binary with TLS: deployed, looked at through its own proxy, and told of when something is wrong with a certificate.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

#[path = "config/certificate.rs"]
mod certificate;

use std::path::Path;
use std::process::Command;

use cutover_testkit::host::{App, Host, until};

/// A host with a service by TLS, the folder of its certificates, and where the way to https is told.
fn host() -> (Host, tempfile::TempDir, u16) {
    let (host, folder) = (Host::new(env!("CARGO_BIN_EXE_cutover")), tempfile::tempdir().unwrap());
    certificate::write(folder.path(), "site", &["localhost"], 90);
    let (plain, path) = (host.another_port(), |file: &str| folder.path().join(file).display().to_string());
    let (certificate, key) = (path("site.pem"), path("site.key"));
    let redirect = format!("redirect = \"127.0.0.1:{plain}\"");
    let tls = format!("tls = {{ certificate = {certificate:?}, key = {key:?}, hsts = \"1h\", {redirect} }}");
    host.configure(&App { route: format!("hosts = [\"localhost\"]\n{tls}"), ..App::default() });
    (host, folder, plain)
}

fn curl(folder: &Path, arguments: &[&str]) -> String {
    let ca = folder.join("site.pem");
    let run =
        Command::new("curl").args(["-sS", "--http1.1", "-i", "--cacert"]).arg(ca).args(arguments).output().unwrap();
    String::from_utf8_lossy(&[run.stdout, run.stderr].concat()).into_owned()
}

/// From the first deployment to a rollback while the files are bad.
#[test]
fn a_service_is_deployed_by_tls_and_its_certificate_watched() {
    let (host, folder, plain) = host();
    host.done(&["deploy"]).says(&["is live at https://localhost:"]);
    let port = host.address().port();
    let answer = curl(folder.path(), &[&format!("https://localhost:{port}/")]);
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("Strict-Transport-Security: max-age=3600"),
        "{answer}"
    );
    let answer = curl(folder.path(), &["-L", &format!("http://localhost:{plain}/")]);
    assert!(answer.starts_with("HTTP/1.1 308") && answer.contains("HTTP/1.1 200"), "{answer}");
    host.build("another");
    host.done(&["deploy"]);
    let said = host.run(&["status"]).expect(0);
    assert!(!said.stdout.contains("certificate"), "{}", said.stdout);
    // It is replaced by one that ends soon, then by a bad one.
    certificate::write(folder.path(), "site", &["localhost"], 3);
    until("status tells", || host.run(&["status"]).stdout.contains("expires in 3 days").then_some(()));
    std::fs::write(folder.path().join("site.key"), "nonsense").unwrap();
    until("status tells", || host.run(&["status"]).stdout.contains("the new certificate is not used").then_some(()));
    let key = folder.path().join("site.key").display().to_string();
    host.build("a third");
    host.run(&["deploy"]).expect(2).says(&["there is no private key in", &key]);
    host.done(&["rollback"]);
    let answer = curl(folder.path(), &[&format!("https://localhost:{port}/")]);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
