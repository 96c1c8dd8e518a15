//! Probes over FastCGI, against a real php-fpm.

#![allow(clippy::unwrap_used)] // Clippy lets tests unwrap, but not the functions that they share.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cutover::engine::port::{ProbeTarget, Prober};
use cutover::probe::NetProber;
use cutover_core::spec::Check;
use cutover_testkit::host::free_port;

/// A php-fpm of the test's own.
struct Fpm {
    child: Child,
    folder: tempfile::TempDir,
    address: SocketAddr,
}

impl Fpm {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().display();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let config = format!(
            "[global]\nerror_log = {at}/log\npid = {at}/pid\n[www]\nuser = root\ngroup = root\nlisten = {address}\n\
             pm = static\npm.max_children = 2\nping.path = /ping\ncatch_workers_output = yes\n"
        );
        std::fs::write(folder.path().join("fpm.conf"), config).unwrap();
        let child = Command::new(program())
            .args(["--nodaemonize", "--allow-to-run-as-root", "--fpm-config"])
            .arg(folder.path().join("fpm.conf"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "php-fpm does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, folder, address }
    }

    /// A script, by its path.
    fn script(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    async fn probe(&self, script: &str, query: &str, body: Option<&str>) -> Result<(), String> {
        let (script, query, body) = (script.to_owned(), query.to_owned(), body.map(str::to_owned));
        let check = Check::FastCgi { script, query, status: (200, 399), body };
        let target =
            ProbeTarget { instance: "web.r1.i1".parse().unwrap(), address: self.address, tls: None, socket: None };
        NetProber.probe(&check, &target, Duration::from_secs(10)).await
    }
}

impl Drop for Fpm {
    fn drop(&mut self) {
        // Its master takes its workers along when it is asked; a killed one would not.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Debian names it after its version.
fn program() -> PathBuf {
    let programs = Path::new("/usr/sbin").read_dir().unwrap().flatten().map(|entry| entry.path());
    let fpm = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"));
    programs.filter(fpm).max().expect("php-fpm is missing: `cargo xtask test` installs it")
}

/// Seen to fail with SCRIPT_FILENAME left out.
#[tokio::test]
async fn a_script_and_the_ping_page_are_asked() {
    let fpm = Fpm::start();
    assert_eq!(fpm.probe("/ping", "", Some("pong")).await, Ok(()));
    let script = fpm.script("health.php", "<?php http_response_code($_GET['s'] ?? 200); echo 'all is well';");
    assert_eq!(fpm.probe(&script, "", Some("well")).await, Ok(()));
    assert_eq!(fpm.probe(&script, "s=204", None).await, Ok(()));
    let failed = fpm.probe(&script, "s=503", None).await.unwrap_err();
    assert_eq!(failed, "answered 503 Service Unavailable instead of 200-399");
    let missing = fpm.probe("/no/such.php", "", None).await.unwrap_err();
    assert!(missing.starts_with("answered 404 Not Found"), "{missing}");
    let other = fpm.probe(&script, "", Some("fine")).await.unwrap_err();
    assert_eq!(other, "the body does not contain \"fine\"");
}

#[tokio::test]
async fn what_is_not_fastcgi_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let check = Check::FastCgi { script: "/ping".into(), query: String::new(), status: (200, 399), body: None };
    let target = ProbeTarget { instance: "web.r1.i1".parse().unwrap(), address, tls: None, socket: None };
    let answers = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let mut stream = listener.accept().unwrap().0;
        let _ = stream.read(&mut [0; 1024]);
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").unwrap();
        // Closed with something unread it would be a reset.
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let failed = NetProber.probe(&check, &target, Duration::from_secs(10)).await.unwrap_err();
    answers.join().unwrap();
    assert!(failed.contains("not FastCGI") || failed.contains("closed before"), "{failed}");
}
